"""Values become messages by the names of fields; a field that nothing gives fails at import."""

from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from servicekit.errors import FailedPrecondition
from servicekit.rpc.messages import MessageWriter
from sightline.common.v1 import catalog_list_service_pb2 as list_pb
from sightline.common.v1 import job_pb2
from sightline.retriever.v1 import webhook_service_pb2 as pb


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
