"""Merges, purges, rollbacks and the kinds of events, over real gRPC, on each engine."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ranker.events import purge
from servicekit.clock import now_micros
from sightline.common.v1 import event_pb2, job_pb2, job_service_pb2
from sightline.gateway.v1 import user_event_service_pb2 as gateway_pb
from sightline.ranker.v1 import event_service_pb2 as pb
from sightline.ranker.v1 import model_service_pb2
from tests.wire.ranker_suite import ANN, HOUR, Suite, at_work, crowd, event, refusal, suite

__all__ = ["suite"]

COOKIE = event_pb2.Shopper(visitor_id="cookie-of-ann")
POPULARITY = {"popularity": 1.0}


@pytest.fixture
async def purging(suite: Suite) -> AsyncIterator[Suite]:
    """Yield a ranker with a worker that purges."""
    async with at_work(suite):
        yield suite


def merging(source=COOKIE, target=ANN, **fields) -> gateway_pb.MergeShopperRequest:
    """Return the request that merges the cookie into Ann; "from" is a keyword of Python."""
    return gateway_pb.MergeShopperRequest(**{"from": source, "to": target}, **fields)


async def ids(suite: Suite, who=ANN, **fields) -> list[str]:
    request = pb.GetEventsRequest(shopper=who, page_size=1000, **fields)
    return [one.event_id for one in (await suite.events.GetEvents(request)).events]


async def followed(suite: Suite, job_id: str, catalog: str = "") -> job_pb2.Job:
    """Return the job once it has ended."""
    watch = job_service_pb2.WatchJobRequest(job_id=job_id, catalog_id=catalog)
    return [state async for state in suite.jobs.WatchJob(watch)][-1]


# ---- merge


async def test_what_a_visitor_did_counts_for_the_user_in_the_very_next_request(
    suite: Suite,
) -> None:
    suite_version = await learned(suite)
    visits = [event("w1", shopper=COOKIE, event_id="v1"), event("w2", "HIDE", shopper=COOKIE)]
    await suite.append(*visits)
    before = await suite.rank(shopper=ANN)
    assert "session" not in {part.name for part in before.parts}
    assert "w2" in before.product_ids

    answer = await suite.events.MergeShopper(merging())
    assert answer.moved_count == 2
    after = await suite.rank(shopper=ANN)
    assert "session" in {part.name for part in after.parts}
    assert ("w2" in after.product_ids, after.hidden_count) == (False, 1)
    assert after.model_version == suite_version
    candidates = await suite.generate(shopper=ANN, top_k=3)
    assert set(candidates.product_ids) <= {f"w{n}" for n in range(6)} - {"w2"}


async def learned(suite: Suite) -> str:
    """Return a promoted model that distinguishes reds and whites."""
    await suite.append(*crowd())
    version = await suite.learn()
    await suite.promote(version)
    return version


async def test_either_id_is_answered_alike_and_later_visits_are_the_users(suite: Suite) -> None:
    await learned(suite)
    await suite.append(event("w1", event_id="mine", ago=60))
    await suite.events.MergeShopper(merging())
    await suite.append(event("w3", event_id="later", shopper=COOKIE))
    assert await ids(suite) == ["later", "mine"] == await ids(suite, COOKIE)
    one, other = await suite.rank(shopper=ANN), await suite.rank(shopper=COOKIE)
    assert list(one.product_ids) == list(other.product_ids)
    assert list(one.raw_scores) == list(other.raw_scores)
    again = await suite.events.MergeShopper(merging())
    assert again.moved_count == 0


async def test_a_training_takes_both_for_one_person(suite: Suite) -> None:
    await suite.append(*crowd(), event("r1", "PURCHASE"), event("r2", "PURCHASE", shopper=COOKIE))
    apart = (await listed(suite, await suite.learn())).shopper_count
    await suite.events.MergeShopper(merging())
    joined = (await listed(suite, await suite.learn())).shopper_count
    assert (apart, joined) == (18, 17)


async def listed(suite: Suite, version: str) -> model_service_pb2.Model:
    answer = await suite.models.ListModels(model_service_pb2.ListModelsRequest())
    return next(model for model in answer.models if model.model_version == version)


async def test_a_merge_makes_no_product_more_popular(suite: Suite) -> None:
    await suite.append(event("r1"), event("w1", shopper=COOKIE))
    nobody = {"weights": POPULARITY}
    before = await suite.rank(**nobody)
    await suite.events.MergeShopper(merging())
    after = await suite.rank(**nobody)
    assert list(before.raw_scores) == list(after.raw_scores)
    assert list(before.product_ids) == list(after.product_ids)


VISITOR, USER = event_pb2.Shopper(visitor_id="v"), event_pb2.Shopper(user_id="u")


@pytest.mark.parametrize(
    ("source", "target", "field"),
    [
        (USER, USER, "from.visitor_id"),
        (None, USER, "from.visitor_id"),
        (event_pb2.Shopper(visitor_id=""), USER, "from.visitor_id"),
        (event_pb2.Shopper(visitor_id="v" * 129), USER, "from.visitor_id"),
        (VISITOR, VISITOR, "to.user_id"),
        (VISITOR, None, "to.user_id"),
        (VISITOR, event_pb2.Shopper(user_id="é" * 65), "to.user_id"),
    ],
)
async def test_only_a_visitor_becomes_a_user_and_the_culprit_is_named(
    suite: Suite, source, target, field: str
) -> None:
    error = await refusal(suite.events.MergeShopper(merging(source, target)))
    assert (error.reason, [one.field for one in error.violations]) == ("REQUEST_INVALID", [field])


# ---- purge


def ago(seconds: int) -> Timestamp:
    return Timestamp(seconds=now_micros() // 1_000_000 - seconds)


async def test_a_purge_counts_first_and_deletes_only_with_force(purging: Suite) -> None:
    await purging.append(event(event_id="old", ago=HOUR), event("r1", event_id="new"))
    await purging.append(event(event_id="elsewhere", ago=HOUR), catalog="other")
    conditions = {"before_time": ago(60), "product_id": "r0"}

    counted = await purging.events.PurgeEvents(gateway_pb.PurgeEventsRequest(**conditions))
    assert (counted.event_count, counted.HasField("job")) == (1, False)
    assert counted.first_event_time == counted.last_event_time
    assert abs(counted.first_event_time.seconds - ago(HOUR).seconds) <= 2
    assert await ids(purging) == ["new", "old"]

    forced = await purging.events.PurgeEvents(
        gateway_pb.PurgeEventsRequest(**conditions, force=True)
    )
    assert (forced.event_count, forced.job.kind) == (1, "purge_events")
    job = await followed(purging, forced.job.job_id)
    assert (job.state, job.done, job.total) == (job_pb2.Job.STATE_SUCCEEDED, 1, 1)
    assert [(one.name, one.value) for one in job.results] == [("deleted_count", "1")]
    assert await ids(purging) == ["new"]
    assert await ids(purging, catalog_id="other") == ["elsewhere"]


async def test_many_events_go_in_batches_and_what_they_counted_goes_with_them(
    purging: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "BATCH", 100)
    await purging.append(*(event(f"r{n % 6}", event_id=f"e{n}", ago=n) for n in range(1000)))
    await purging.append(event("w1", shopper=COOKIE))
    request = gateway_pb.PurgeEventsRequest(shopper=ANN, force=True)
    answer = await purging.events.PurgeEvents(request)
    job = await followed(purging, answer.job.job_id)
    assert (job.state, job.done) == (job_pb2.Job.STATE_SUCCEEDED, 1000)
    assert await ids(purging) == []
    assert list((await purging.generate()).product_ids) == ["w1"]


async def test_a_cancelled_purge_leaves_the_rest_and_says_how_far_it_came(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "BATCH", 10)
    await suite.append(*(event(event_id=f"e{n}", ago=n) for n in range(500)))
    answer = await suite.events.PurgeEvents(gateway_pb.PurgeEventsRequest(shopper=ANN, force=True))
    get = job_service_pb2.GetJobRequest(job_id=answer.job.job_id)
    async with at_work(suite):
        while (await suite.jobs.GetJob(get)).done == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await suite.jobs.CancelJob(job_service_pb2.CancelJobRequest(job_id=answer.job.job_id))
        job = await followed(suite, answer.job.job_id)
    assert job.state == job_pb2.Job.STATE_CANCELLED
    assert len(await ids(suite)) == 500 - job.done
    assert 0 < job.done < 500


async def test_events_that_come_in_after_the_count_stay(suite: Suite) -> None:
    await suite.append(event(event_id="before"))
    answer = await suite.events.PurgeEvents(gateway_pb.PurgeEventsRequest(shopper=ANN, force=True))
    await suite.append(event(event_id="after", ago=HOUR))
    async with at_work(suite):
        await followed(suite, answer.job.job_id)
    assert await ids(suite) == ["after"]


async def test_the_same_request_asks_for_one_purge_and_another_one_for_another(
    suite: Suite,
) -> None:
    async def asked(**fields) -> str:
        request = gateway_pb.PurgeEventsRequest(request_id="r1", force=True, **fields)
        return (await suite.events.PurgeEvents(request)).job.job_id

    first = await asked(product_id="r1")
    assert await asked(product_id="r1") == first
    assert await asked(product_id="r2") != first


EVERYTHING = {"before_time", "types", "product_id", "shopper"}


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (gateway_pb.PurgeEventsRequest(), EVERYTHING),
        (gateway_pb.PurgeEventsRequest(force=True), EVERYTHING),
        (gateway_pb.PurgeEventsRequest(shopper=event_pb2.Shopper()), {"shopper"}),
        (
            gateway_pb.PurgeEventsRequest(shopper=event_pb2.Shopper(user_id="")),
            {"shopper.user_id"},
        ),
        (
            gateway_pb.PurgeEventsRequest(types=[event_pb2.EVENT_TYPE_VIEW, 0]),
            {"types[1]"},
        ),
        (gateway_pb.PurgeEventsRequest(types=[77]), {"types[0]"}),
        (gateway_pb.PurgeEventsRequest(product_id="a\nb"), {"product_id"}),
        (
            gateway_pb.PurgeEventsRequest(before_time=Timestamp(seconds=2**62)),
            {"before_time"},
        ),
        (
            gateway_pb.PurgeEventsRequest(product_id="a", request_id="r" * 129),
            {"request_id"},
        ),
    ],
)
async def test_a_purge_without_a_sound_condition_is_refused(
    suite: Suite, request_: gateway_pb.PurgeEventsRequest, fields: set[str]
) -> None:
    await suite.append(event())
    error = await refusal(suite.events.PurgeEvents(request_))
    assert error.reason == "REQUEST_INVALID"
    assert {one.field for one in error.violations} == fields
    assert len(await ids(suite)) == 1


# ---- kinds of events


async def test_impressions_are_kept_whole_and_are_no_interest(suite: Suite) -> None:
    shown = [
        event(f"r{n}", "IMPRESSION", event_id=f"i{n}", position=n + 1, scene="home", session_id="s")
        for n in range(6)
    ]
    await suite.append(*shown)
    request = pb.GetEventsRequest(shopper=ANN)
    back = {one.event_id: one for one in (await suite.events.GetEvents(request)).events}
    assert {one.position for one in back.values()} == set(range(1, 7))
    assert {one.scene for one in back.values()} == {"home"}
    assert {one.session_id for one in back.values()} == {""}
    assert not (await suite.generate(shopper=ANN)).product_ids
    ranked = await suite.rank(shopper=ANN, drop_seen=True, weights=POPULARITY)
    assert len(ranked.product_ids) == 12
    assert set(ranked.raw_scores) == {0.0}


async def test_what_belongs_to_one_order_comes_back_with_its_order(suite: Suite) -> None:
    await suite.append(
        *(event(f"r{n}", "PURCHASE", event_id=f"e{n}", order_id="o-1", quantity=n) for n in (1, 2))
    )
    request = pb.GetEventsRequest(shopper=ANN)
    found = (await suite.events.GetEvents(request)).events
    assert {(one.order_id, one.product_id, one.quantity) for one in found} == {
        ("o-1", "r1", 1),
        ("o-1", "r2", 2),
    }


# ---- rollback


@pytest.mark.full
async def test_a_rollback_serves_the_model_before_and_the_next_one_goes_further(
    suite: Suite,
) -> None:
    await suite.append(*crowd())
    versions = [await suite.learn(seed) for seed in (1, 2, 3)]
    for version in versions:
        await suite.promote(version)
    request = model_service_pb2.RollbackModelRequest()
    for expected in (versions[1], versions[0]):
        model = await suite.models.RollbackModel(request)
        assert model.model_version == expected
        assert model.state == model_service_pb2.Model.STATE_PROMOTED
        assert (await suite.rank(shopper=ANN)).model_version == expected
    error = await refusal(suite.models.RollbackModel(request))
    assert error.reason == "MODEL_NOT_FOUND"
    assert (await suite.rank(shopper=ANN)).model_version == versions[0]


async def test_demoting_goes_back_to_no_model_and_any_can_be_promoted_again(suite: Suite) -> None:
    await suite.append(*crowd())
    first, second = await suite.learn(1), await suite.learn(2)
    before = await suite.rank(shopper=ANN)
    for version in (first, second):
        await suite.promote(version)
    demoted = await suite.models.DemoteModel(model_service_pb2.DemoteModelRequest())
    assert demoted.model_version == second
    assert demoted.state == model_service_pb2.Model.STATE_READY
    answer = await suite.rank(shopper=ANN)
    assert answer.model_version == ""
    assert not answer.degradations
    assert answer.product_ids == before.product_ids
    for call, request in (
        (suite.models.DemoteModel, model_service_pb2.DemoteModelRequest()),
        (suite.models.RollbackModel, model_service_pb2.RollbackModelRequest()),
    ):
        assert (await refusal(call(request))).reason == "MODEL_NOT_FOUND"
    await suite.promote(first)
    assert (await suite.rank(shopper=ANN)).model_version == first


async def test_a_damaged_model_is_not_rolled_back_to(suite: Suite) -> None:
    await suite.append(*crowd())
    first, second = await suite.learn(1), await suite.learn(2)
    await suite.promote(first)
    await suite.promote(second)
    arrays = suite.folder / "models" / "default" / first / "model.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    error = await refusal(suite.models.RollbackModel(model_service_pb2.RollbackModelRequest()))
    assert error.reason == "MODEL_CORRUPT"
    assert (await suite.rank(shopper=ANN)).model_version == second


# ---- catalogs


async def test_a_page_token_of_one_catalog_is_refused_in_another(suite: Suite) -> None:
    await suite.append(*crowd(), event(event_id="e1"), event(event_id="e2"))
    for seed in (1, 2):
        await suite.learn(seed)
    lists = [
        (suite.events.GetEvents, pb.GetEventsRequest(shopper=ANN, page_size=1)),
        (suite.models.ListModels, model_service_pb2.ListModelsRequest(page_size=1)),
        (suite.jobs.ListJobs, job_service_pb2.ListJobsRequest(page_size=1)),
    ]
    for call, request in lists:
        token = (await call(request)).next_page_token
        assert token
        request.page_token = token
        await call(request)
        request.catalog_id = "other"
        assert (await refusal(call(request))).reason == "PAGE_TOKEN_INVALID"
