"""Controls of requests, from the wire."""

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.model.controls import Control
from gateway.model.filters import carried
from servicekit.errors import FieldViolation
from servicekit.requests import RequestInvalid
from sightline.gateway.v1 import control_pb2 as pb
from sightline_rules.controls import Kind

KINDS = {pb.Control.Kind.Value(f"KIND_{kind.name}"): kind for kind in Kind}
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""Years 1 to 9999."""


def of_request(messages: Sequence[pb.Control]) -> tuple[Control, ...]:
    """The controls; what they mean is checked later. Raises RequestInvalid."""
    violations = [
        FieldViolation(f"controls[{index}].{field}", problem)
        for index, message in enumerate(messages)
        for field, problem in _problems(message)
    ]
    if violations:
        raise RequestInvalid(*violations)
    return tuple(_control(message) for message in messages)


def _problems(message: pb.Control) -> list[tuple[str, str]]:
    found = []
    if message.kind not in KINDS:
        found.append(("kind", "is required: pin, boost, bury or exclude"))
    for name in ("start_time", "end_time"):
        time = getattr(message, name)
        if not (FIRST_SECOND <= time.seconds <= LAST_SECOND and 0 <= time.nanos < 10**9):
            found.append((name, "must be a time of the years 1 to 9999"))
    return found


def _control(message: pb.Control) -> Control:
    return Control(
        name=message.name,
        kind=KINDS[message.kind],
        product_ids=tuple(message.product_ids),
        filter=carried(message.filter) if message.HasField("filter") else None,
        place=message.place,
        boost=message.boost,
        start_time=_micros(message.start_time),
        end_time=_micros(message.end_time),
        daily_budget=message.daily_budget,
    )


def _micros(time: Timestamp) -> int:
    return time.seconds * 1_000_000 + time.nanos // 1_000
