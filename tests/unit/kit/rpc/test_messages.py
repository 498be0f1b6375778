"""Values become messages and back by the names of fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from servicekit.errors import FailedPrecondition
from servicekit.rpc.messages import MessageWriter, UnknownMember, micros_of, timings, value_of
from servicekit.rpc.messages import message_of as plain_message
from servicekit.telemetry import Stage
from sightline.common.v1 import answer_pb2, job_pb2
from sightline.common.v1 import catalog_list_service_pb2 as list_pb
from sightline.vision.v1 import detection_service_pb2
from sightline.vision.v1 import watch_pb2 as watch_pb
from sightline.vision.v1 import webhook_service_pb2 as pb


class Flag(StrEnum):
    ACTIVE = "active"


@dataclass
class Listed:
    catalog_id: str
    uid: str
    state: Flag = Flag.ACTIVE
    language_code: str = ""
    quota_share: float = 1.0


@dataclass
class Letter:
    watch_id: str = "door"
    sequence: int = 7
    alert_id: str = "a"
    created: int = 1_500_000
    failure: str = ""

    @property
    def replaying(self) -> bool:
        return True


@dataclass
class Others:
    create_micros: int = 5
    aliases: tuple[str, ...] = ()
    catalogs: list[Listed] = field(default_factory=list)


message_of = MessageWriter({"create_time": "created"})


def test_a_writer_takes_fields_properties_and_other_names() -> None:
    made = message_of.writer(pb.DeadLetter, Letter)(Letter())
    assert (made.watch_id, made.sequence, made.alert_id, made.replaying) == ("door", 7, "a", True)
    assert made.create_time.ToMicroseconds() == 1_500_000


def test_a_field_that_nothing_gives_fails_when_the_writer_is_made() -> None:
    with pytest.raises(TypeError, match=r"DeadLetter: nothing gives watch_id, sequence"):
        message_of.writer(pb.DeadLetter, Others)
    message_of.writer(
        pb.DeadLetter, Others, **dict.fromkeys(pb.DeadLetter.DESCRIPTOR.fields_by_name, None)
    )


def test_functions_of_the_values_and_values_of_the_call() -> None:
    write = message_of.writer(
        pb.DeadLetter, Letter, failure=lambda letter: f"{letter.alert_id} failed", sequence=None
    )
    made = write(Letter(), sequence=9)
    assert (made.failure, made.sequence) == ("a failed", 9)
    assert write(Letter()).sequence == 0, "each call gives it, or nothing"


def test_of_several_values_the_first_that_has_a_field_counts() -> None:
    assert message_of(pb.DeadLetter, Letter(), {"failure": "x", "sequence": 1}).sequence == 7
    assert message_of(pb.DeadLetter, {"sequence": 1}, Letter()).sequence == 1


def test_nested_values_enums_and_errors() -> None:
    made = message_of(list_pb.ReadCatalogListResponse, Others(catalogs=[Listed("a", "1")]))
    assert made.catalogs[0].state == list_pb.CATALOG_STATE_ACTIVE
    error = FailedPrecondition("why", reason="STOPPED")
    job = message_of(job_pb2.Job, {"error": error})
    assert job.error.message == "why"


def test_a_time_of_0_and_none_are_unset() -> None:
    assert not message_of(pb.DeadLetter, Letter(created=0)).HasField("create_time")
    assert not message_of(pb.DeadLetter, {"create_time": None}).HasField("create_time")


@pytest.mark.parametrize("value", ["SLEEPING", "active "])
def test_a_name_that_an_enum_lacks_is_an_error(value: str) -> None:
    with pytest.raises(KeyError, match=value.upper()):
        message_of(list_pb.ListedCatalog, {"state": value})


def test_a_field_that_a_message_lacks_is_an_error() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        message_of(pb.DeadLetter, nowhere=1)


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
    message = plain_message(watch_pb.Alert, ALERT)
    assert message.kind == watch_pb.Alert.KIND_ENDED
    assert message.create_time == Timestamp(seconds=1_700_000_000, nanos=1_000)
    assert message.box.left == 0.25
    assert value_of(Alert, message) == ALERT


def test_what_is_unset_has_the_default() -> None:
    message = watch_pb.Alert(alert_id="a1", kind=watch_pb.Alert.KIND_STARTED)
    assert value_of(Alert, message) == Alert("a1", Kind.STARTED)
    assert not plain_message(watch_pb.Alert, Alert("a1", Kind.STARTED)).HasField("create_time")
    assert value_of(Rule, watch_pb.WatchRule(rule_id="r")).hold == 10
    assert value_of(Rule, watch_pb.WatchRule(rule_id="r", hold=Duration())).hold == 0


def test_what_is_given_replaces_an_attribute_or_adds_a_field() -> None:
    message = plain_message(watch_pb.Alert, ALERT, alert_id="a2", product_id="p", box=None)
    assert (message.alert_id, message.product_id) == ("a2", "p")
    assert not message.HasField("box")
    assert value_of(Alert, message, alert_id="a3", box=None).alert_id == "a3"
    with pytest.raises(ValueError, match="nothing"):
        plain_message(watch_pb.Alert, ALERT, nothing=1)


@pytest.mark.parametrize("number", [0, 77])
def test_an_unknown_member_is_named(number: int) -> None:
    message = watch_pb.Alert(alert_id="a1")
    message.kind = number  # type: ignore[assignment]
    with pytest.raises(UnknownMember) as caught:
        value_of(Alert, message)
    assert caught.value.field == "kind"


def test_lists_are_tuples() -> None:
    message = watch_pb.PresenceCondition(region_ids=["a", "b"])
    assert value_of(Regions, message).region_ids == ("a", "b")


@pytest.mark.parametrize(
    "message", [Duration(seconds=-1), Duration(seconds=2**50), Timestamp(nanos=10**9)]
)
def test_a_time_that_is_none_is_negative(message: Duration | Timestamp) -> None:
    assert micros_of(message) == -1


def test_stages_become_one_timing_for_each_name() -> None:
    stages = [Stage("embed", 0.5, 1.0), Stage("search", 1.5, 0.25), Stage("embed", 2.0, 0.5)]
    wanted = [
        answer_pb2.StageTiming(
            stage="embed", start=Duration(nanos=500_000_000), total=Duration(seconds=2)
        ),
        answer_pb2.StageTiming(
            stage="search",
            start=Duration(seconds=1, nanos=500_000_000),
            total=Duration(nanos=250_000_000),
        ),
    ]
    made = detection_service_pb2.DetectProductsResponse(stage_timings=timings(stages))
    assert list(made.stage_timings) == wanted
    assert plain_message(type(made), {"stage_timings": timings(stages)}) == made
