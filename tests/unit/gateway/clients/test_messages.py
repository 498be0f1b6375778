"""Values as messages of sightline.common.v1, and back."""

import pytest
from google.protobuf.duration_pb2 import Duration

from gateway.clients import messages
from sightline.common.v1 import answer_pb2, event_pb2
from sightline_core.degradations import DegradationCause
from sightline_core.shoppers import Identity, Shopper
from sightline_core.versions import SpaceVersion, Versions


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


def test_every_cause_of_the_contract_has_a_value():
    names = {name.removeprefix("CAUSE_") for name in answer_pb2.Degradation.Cause.keys()}  # noqa: SIM118

    assert names == {"UNSPECIFIED", *DegradationCause.__members__}


def test_a_cause_from_a_newer_peer_is_left_out():
    message = answer_pb2.Degradation(stage="x", cause=99)  # type: ignore[arg-type]

    assert messages.degradation_list([message]) == ()


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


def test_a_peer_that_reports_no_stages_reports_no_work():
    assert messages.work([]) is None


def test_versions_come_back_from_their_message_whole():
    spaces = (SpaceVersion("visual", "v1", "g1"),)
    made = Versions(spaces, "m1", "home", "abc", "visual → rank", "1", "clicks")

    assert messages.versions(messages.versions_message(made)) == made
