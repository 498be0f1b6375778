"""Our values as the messages of sightline.common.v1, and back. Decides nothing."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from google.protobuf import duration_pb2

from gateway.model.answer import Score
from gateway.model.candidates import Contributions
from gateway.model.causes import Cause
from gateway.model.messages import Degradation
from gateway.model.query import Identity, Shopper
from sightline.common.v1 import answer_pb2, event_pb2


def shopper(message: event_pb2.Shopper) -> Shopper | None:
    """The shopper; None = nobody in particular."""
    match message.WhichOneof("identity"):
        case "user_id":
            return Shopper(Identity.USER, message.user_id)
        case "visitor_id":
            return Shopper(Identity.VISITOR, message.visitor_id)
    return None


def shopper_message(value: Shopper | None) -> event_pb2.Shopper | None:
    """The message of a shopper; None stays None, and the field absent."""
    if value is None:
        return None
    if value.kind is Identity.USER:
        return event_pb2.Shopper(user_id=value.id)
    return event_pb2.Shopper(visitor_id=value.id)


def add_parts(
    field: Any, parts: Iterable[tuple[str, float]], contributions: Mapping[str, Contributions]
) -> None:
    """Add a score's parts to a repeated field, split where their contributions are given."""
    for name, value in parts:
        message = field.add(name=name, value=value)
        for feature, added in contributions.get(name, ()):
            message.features.add(name=feature, value=added)


_CAUSES: frozenset[int] = frozenset(Cause)


def degradation_list(messages: Iterable[answer_pb2.Degradation]) -> tuple[Degradation, ...]:
    """Those that this gateway knows."""
    return tuple(item for item in messages if item.cause in _CAUSES)


def work(timings: Iterable[answer_pb2.StageTiming]) -> float | None:
    """Seconds that a peer worked by its own clock: what its stages cover together; None = not said.

    Stages may nest and run side by side, so their times are not simply added up.
    """
    spans = sorted(
        [(begin := _seconds(item.start), begin + _seconds(item.total)) for item in timings]
    )
    if not spans:
        return None
    covered, reached = 0.0, float("-inf")
    for begin, end in spans:
        covered += max(end - max(begin, reached), 0.0)
        reached = max(reached, end)
    return covered


def seconds(timings: Iterable[answer_pb2.StageTiming], stage: str) -> float:
    """What a peer's stages of one name took together."""
    return sum(_seconds(item.total) for item in timings if item.stage == stage)


def _seconds(message: duration_pb2.Duration) -> float:
    return message.seconds + message.nanos / 1e9


def score_event(value: Score | None) -> event_pb2.EventType.ValueType:
    """Of which event a score is the chance; UNSPECIFIED = there is none."""
    number = event_pb2.EVENT_TYPE_UNSPECIFIED if value is None else value.event
    return cast(event_pb2.EventType.ValueType, number)
