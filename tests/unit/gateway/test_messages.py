"""Values as messages of sightline.common.v1, and back."""

import pytest
from google.protobuf.duration_pb2 import Duration

from gateway import messages
from gateway.model import (
    Cause,
    Degradation,
    Freshness,
    Identity,
    Reason,
    Shopper,
    SpaceVersion,
    Timing,
    Versions,
)
from sightline.common.v1 import answer_pb2, event_pb2


def span(start: float, total: float) -> answer_pb2.StageTiming:
    return answer_pb2.StageTiming(
        start=Duration(nanos=round(start * 1e9)), total=Duration(nanos=round(total * 1e9))
    )


@pytest.mark.parametrize("identity", list(Identity))
def test_a_shopper_comes_back_as_it_went(identity):
    who = Shopper(identity, "ann")

    assert messages.shopper(messages.shopper_message(who)) == who


def test_nobody_is_an_absent_field():
    assert messages.shopper_message(None) is None
    assert messages.shopper(event_pb2.Shopper()) is None


def test_a_shoppers_id_is_in_no_representation():
    assert "ann" not in repr(Shopper(Identity.USER, "ann"))


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_comes_back_as_it_went(cause):
    lost = Degradation("rank", cause, "something")

    assert messages.degradation(messages.degradation_message(lost)) == lost


def test_every_cause_of_the_contract_has_a_value():
    names = {name.removeprefix("CAUSE_") for name in answer_pb2.Degradation.Cause.keys()}  # noqa: SIM118

    assert names == {"UNSPECIFIED", *Cause}


def test_a_cause_from_a_newer_peer_is_left_out():
    message = answer_pb2.Degradation(stage="x", cause=99)  # type: ignore[arg-type]

    assert messages.degradation_list([message]) == ()


def test_reasons_and_versions_come_back_as_they_went():
    reason = Reason("MATCHES_TASTE", (("feature", "grape"),), "Fits")
    versions = Versions((SpaceVersion("visual", "v", "g"),), "m", "default", "abc", "plan", "1")

    assert messages.reason(messages.reason_message(reason)) == reason
    assert messages.versions(messages.versions_message(versions)) == versions


def test_freshness_comes_back_as_it_went_and_may_be_absent():
    fresh = Freshness("t", 1.5, 7, 3)

    assert messages.freshness(messages.freshness_message(fresh)) == fresh
    assert messages.freshness_message(None) is None


def test_what_the_peer_did_not_work_was_spent_on_the_way():
    message = messages.timing_message(Timing("embed", 0.5, 0.3, 0.2))

    assert message.start.ToTimedelta().total_seconds() == 0.5
    assert message.work.ToTimedelta().total_seconds() == pytest.approx(0.2)
    assert message.network.ToTimedelta().total_seconds() == pytest.approx(0.1)


def test_work_by_another_clock_never_exceeds_the_stage():
    message = messages.timing_message(Timing("embed", 0.0, 0.1, 0.2))

    assert message.work.ToTimedelta().total_seconds() == pytest.approx(0.1)
    assert message.network.ToTimedelta().total_seconds() == 0


def test_unknown_work_is_absent():
    message = messages.timing_message(Timing("hydrate", 0.0, 0.1))

    assert not message.HasField("work")
    assert not message.HasField("network")


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([span(0, 0.1), span(0.1, 0.2)], 0.3),
        ([span(0, 0.3), span(0.1, 0.1)], 0.3),
        ([span(0, 0.2), span(0.1, 0.2)], 0.3),
        ([span(0, 0.1), span(0.2, 0.1)], 0.2),
    ],
)
def test_nested_and_parallel_stages_of_a_peer_are_not_counted_twice(spans, seconds):
    assert messages.work(spans) == pytest.approx(seconds)


def test_a_peer_that_tells_no_stages_tells_no_work():
    assert messages.work([]) is None
