"""The notes of one request."""

import asyncio
from datetime import timedelta

import pytest

from gateway.clients.messages import timing_messages
from gateway.model.causes import Peer
from gateway.model.errors import PeerUnavailable, StageLate
from gateway.model.retrieved import BranchResult, failed
from gateway.state.trace import RequestTrace, plan_of
from servicekit import deadlines
from servicekit.errors import Unavailable
from sightline.common.v1 import answer_pb2
from sightline_core.columns import ProductColumns
from sightline_core.degradations import DegradationCause
from sightline_core.ranking import NominationBasis, RankerCandidates
from sightline_core.search import NearestProducts
from sightline_core.versions import Freshness, SpaceVersion, StageTiming


def found(generation: str, lag: float) -> NearestProducts:
    space = SpaceVersion(space="visual", version="v1", generation=generation)
    return NearestProducts(
        ProductColumns(),
        (),
        (),
        space,
        Freshness(index_token=f"t{lag}", index_lag=timedelta(seconds=lag)),
        "",
        None,
    )


async def test_a_stage_is_timed_from_the_requests_start():
    now = [10.0]
    trace = RequestTrace(clock=lambda: now[0])
    now[0] = 10.25
    async with trace.stage("embed", 5.0) as note:
        now[0] = 10.75
        note.work = 0.1

    (found,) = trace.timings
    seconds = [found.start, found.total, found.work]
    assert (found.stage, seconds) == ("embed", [0.25, 0.5, 0.1])


async def test_a_stage_that_is_late_is_cancelled_and_still_timed():
    trace, cancelled = RequestTrace(), asyncio.Event()

    async def work() -> None:
        async with trace.stage("embed", 0.03):
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                cancelled.set()
                raise

    with pytest.raises(StageLate) as caught:
        await work()

    assert cancelled.is_set()
    assert caught.value.reason == "STAGE_DEADLINE"
    assert [item.stage for item in trace.timings] == ["embed"]


async def test_a_stage_whose_time_is_over_before_it_begins_runs_nothing():
    trace = RequestTrace()
    with pytest.raises(StageLate):
        async with trace.stage("rank", -1.0):
            await asyncio.sleep(5)


async def test_calls_within_a_stage_have_its_deadline():
    async with RequestTrace().stage("embed", 0.5):
        left = deadlines.remaining()

    assert left is not None
    assert 0.3 < left <= 0.5
    assert deadlines.remaining() is None


async def test_a_cancelled_request_is_not_taken_for_a_late_stage():
    async def work() -> None:
        async with RequestTrace().stage("embed", 5.0):
            await asyncio.sleep(5)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_index_that_lags_most_speaks_for_all():
    trace = RequestTrace()
    trace.note(BranchResult(found=(found("g1", 1.0), found("g2", 3.0), found("g1", 2.0))))

    assert trace.freshness is not None
    assert trace.freshness.index_token == "t3.0"
    assert [item.generation for item in trace.spaces] == ["g1", "g2"]


def test_the_plan_reads_the_same_in_whatever_order_branches_come():
    one, other = ["visual", "collaborative"], ["collaborative", "visual"]

    assert plan_of(one, ["rank"]) == plan_of(other, ["rank"]) == "collaborative + visual → rank"


async def test_a_peer_that_did_not_answer_is_known_to_be_unreachable():
    trace = RequestTrace()
    trace.note(failed("visual", Peer.RETRIEVER, PeerUnavailable(Peer.RETRIEVER)))
    trace.note(failed("text", Peer.EMBEDDER, Unavailable("busy", reason="EMBED_QUEUE_FULL")))

    assert Peer.RETRIEVER in trace.unreachable
    assert Peer.EMBEDDER not in trace.unreachable
    assert trace.causes == {
        DegradationCause.RETRIEVER_UNAVAILABLE,
        DegradationCause.EMBEDDER_UNAVAILABLE,
    }


async def test_the_model_is_the_first_and_the_history_the_last_that_the_ranker_named():
    trace, first, then = (
        RequestTrace(),
        RankerCandidates((), NominationBasis.SESSION, "m1", history_token="h1"),
        RankerCandidates((), NominationBasis.SESSION, "m2", history_token="h2"),
    )
    trace.note(BranchResult(generated=(first, then)))

    assert (trace.model_version, trace.history_token) == ("m1", "h2")


def test_what_the_peer_did_not_work_was_spent_on_the_way():
    message = answer_pb2.StageTiming(**timing_messages([StageTiming("embed", 0.5, 0.3, 0.2)])[0])

    assert message.start.ToTimedelta().total_seconds() == 0.5
    assert message.work.ToTimedelta().total_seconds() == pytest.approx(0.2)
    assert message.network.ToTimedelta().total_seconds() == pytest.approx(0.1)


def test_work_by_another_clock_never_exceeds_the_stage():
    message = answer_pb2.StageTiming(**timing_messages([StageTiming("embed", 0.0, 0.1, 0.2)])[0])

    assert message.work.ToTimedelta().total_seconds() == pytest.approx(0.1)
    assert message.network.ToTimedelta().total_seconds() == 0


def test_unknown_work_is_absent():
    message = answer_pb2.StageTiming(**timing_messages([StageTiming("hydrate", 0.0, 0.1, None)])[0])

    assert not message.HasField("work")
    assert not message.HasField("network")
