"""Conversion between protos and values. Rejects only what the values cannot represent."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any as Anything
from typing import TypeVar

from google.protobuf.descriptor import EnumDescriptor
from google.rpc import code_pb2, status_pb2

from servicekit.errors import ServiceError
from servicekit.jobs.queue import Job
from servicekit.rpc.job_service import job_message
from servicekit.rpc.messages import MessageWriter
from servicekit.rpc.requests import RequestInvalid, duration
from servicekit.status import to_status
from servicekit.telemetry import Stage
from sightline.common.v1 import candidate_pb2, job_pb2, product_pb2
from sightline_core.columns import Stamp
from sightline_rules.filters import Availability

E = TypeVar("E", bound=Enum)


def values_by_number(
    of: EnumDescriptor, values: Iterable[E], unspecified: E | None = None
) -> Mapping[int, E]:
    """Map a proto enum's numbers to values of the same names. `unspecified`: the value of 0."""
    found = {of.values_by_name[_label(of, value)].number: value for value in values}
    return found if unspecified is None else {0: unspecified, **found}


def _label(of: EnumDescriptor, value: Enum) -> str:
    return f"{of.values[0].name.removesuffix('UNSPECIFIED')}{value.name}"


AVAILABILITY = values_by_number(product_pb2.Availability.DESCRIPTOR, Availability)
AVAILABILITY_NUMBER: Mapping[str, Anything] = {value: n for n, value in AVAILABILITY.items()}
JOB_OWNER = "retriever/"
"""Prefix of the ids of the retriever's jobs."""
message_of = MessageWriter(
    {
        "create_time": "created",
        "activate_time": "activated",
        "category_path": "path",
        "pending_services": "pending",
        "row_count": "rows",
    }
)
"""Converts values to messages; see MessageWriter."""


def member_of(values: Mapping[int, E], number: int, field: str) -> E:
    """Return the value of a proto enum's number. Raise RequestInvalid if it is unknown."""
    if number not in values:
        raise RequestInvalid.at(field, "is not one of the known values")
    return values[number]


def status(outcome: object) -> status_pb2.Status:
    """Return an item's status; OK for anything but a ServiceError."""
    if isinstance(outcome, ServiceError):
        return to_status(outcome)
    return status_pb2.Status(code=code_pb2.OK)


def stamp(value: Stamp) -> candidate_pb2.CatalogStamp:
    """Return a stamp as a message."""
    return candidate_pb2.CatalogStamp(catalog_uid=value.catalog_uid, commit=value.commit)


def job(found: Job) -> job_pb2.Job:
    """Return a job as a message."""
    return job_message(found, JOB_OWNER)


def timings(stages: Iterable[Stage]) -> Anything:
    """Return what protobuf makes stage timings of: the duration of each stage, summed by name, with
    its first start."""
    sums: dict[str, tuple[float, float]] = {}
    for stage in stages:
        start, total = sums.get(stage.name, (stage.start, 0.0))
        sums[stage.name] = (start, total + stage.duration)
    return [
        {"stage": name, "start": duration(start), "total": duration(total)}
        for name, (start, total) in sums.items()
    ]
