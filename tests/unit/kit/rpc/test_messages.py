"""Conversion between values and messages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from servicekit.rpc.messages import UnknownMember, message_of, micros_of, value_of
from sightline.retriever.v1 import watch_pb2 as pb


class Kind(StrEnum):
    STARTED = "started"
    ENDED = "ended"


@dataclass(frozen=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Alert:
    alert_id: str
    kind: Kind
    create_micros: int = 0
    score: float = 0.5
    box: Box | None = None
    note: str = "none"


@dataclass(frozen=True)
class Rule:
    rule_id: str
    hold: int = 10


@dataclass(frozen=True)
class Regions:
    region_ids: tuple[str, ...]
    direction: Kind = Kind.STARTED


ALERT = Alert("a1", Kind.ENDED, 1_700_000_000_000_001, 0.25, Box(0.25, 0, 1, 1))


def test_a_value_becomes_a_message_and_is_read_again() -> None:
    message = message_of(pb.Alert, ALERT)
    assert message.kind == pb.Alert.KIND_ENDED
    assert message.create_time == Timestamp(seconds=1_700_000_000, nanos=1_000)
    assert message.box.left == 0.25
    assert value_of(Alert, message) == ALERT


def test_what_is_unset_has_the_default() -> None:
    message = pb.Alert(alert_id="a1", kind=pb.Alert.KIND_STARTED)
    assert value_of(Alert, message) == Alert("a1", Kind.STARTED)
    assert not message_of(pb.Alert, Alert("a1", Kind.STARTED)).HasField("create_time")
    assert value_of(Rule, pb.WatchRule(rule_id="r")).hold == 10
    assert value_of(Rule, pb.WatchRule(rule_id="r", hold=Duration())).hold == 0


def test_what_is_given_replaces_an_attribute_or_adds_a_field() -> None:
    message = message_of(pb.Alert, ALERT, alert_id="a2", product_id="p", box=None)
    assert (message.alert_id, message.product_id) == ("a2", "p")
    assert not message.HasField("box")
    assert value_of(Alert, message, alert_id="a3", box=None).alert_id == "a3"
    with pytest.raises(ValueError, match="nothing"):
        message_of(pb.Alert, ALERT, nothing=1)


@pytest.mark.parametrize("number", [0, 77])
def test_an_unknown_member_is_named(number: int) -> None:
    message = pb.Alert(alert_id="a1")
    message.kind = number  # type: ignore[assignment]
    with pytest.raises(UnknownMember) as caught:
        value_of(Alert, message)
    assert caught.value.field == "kind"


def test_lists_are_tuples() -> None:
    message = pb.PresenceCondition(region_ids=["a", "b"])
    assert value_of(Regions, message).region_ids == ("a", "b")


@pytest.mark.parametrize(
    "message", [Duration(seconds=-1), Duration(seconds=2**50), Timestamp(nanos=10**9)]
)
def test_a_time_that_is_none_is_negative(message: Duration | Timestamp) -> None:
    assert micros_of(message) == -1
