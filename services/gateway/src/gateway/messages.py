"""Our values as the messages of sightline.common.v1, and back. Decides nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from datetime import timedelta
from types import MappingProxyType
from typing import cast

from google.protobuf import duration_pb2, timestamp_pb2

from gateway.model import (
    Box,
    CategoryGuess,
    Cause,
    Classification,
    Degradation,
    Freshness,
    Identity,
    Reason,
    RecallEstimate,
    Score,
    Shopper,
    SpaceVersion,
    Subject,
    Timing,
    Versions,
)
from gateway.moving import Addends, Move, MoveCause
from sightline.common.v1 import answer_pb2, event_pb2, photo_pb2


def duration(seconds: float) -> duration_pb2.Duration:
    """Seconds, to the microsecond."""
    message = duration_pb2.Duration()
    message.FromTimedelta(timedelta(seconds=max(seconds, 0.0)))
    return message


def timestamp(micros: int) -> timestamp_pb2.Timestamp:
    """Microseconds since 1970 (UTC)."""
    message = timestamp_pb2.Timestamp()
    message.FromMicroseconds(micros)
    return message


def shopper(message: event_pb2.Shopper) -> Shopper | None:
    """Who is meant; None = nobody in particular."""
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


def box(message: photo_pb2.Box) -> Box:
    """A rectangle, as it came."""
    return Box(message.left, message.top, message.right, message.bottom)


def box_message(value: Box | None) -> photo_pb2.Box | None:
    """The message of a rectangle; None stays None, and the field absent."""
    if value is None:
        return None
    return photo_pb2.Box(left=value.left, top=value.top, right=value.right, bottom=value.bottom)


def subject(message: photo_pb2.Subject) -> Subject:
    """What a photo shows most of."""
    return Subject(box(message.box), tuple(box(item) for item in message.alternatives))


def subject_message(value: Subject | None) -> photo_pb2.Subject | None:
    """The message of what a photo shows most of; None stays None, and the field absent."""
    if value is None:
        return None
    alternatives = [box_message(item) for item in value.alternatives]
    return photo_pb2.Subject(
        box=box_message(value.box), alternatives=[item for item in alternatives if item]
    )


def classification(message: photo_pb2.Classification) -> Classification:
    """What a photo is of."""
    return Classification(
        guesses=tuple(_guess(item) for item in message.guesses),
        unknown_probability=message.unknown_probability,
        unknown=message.unknown,
        sure=_guess(message.sure) if message.HasField("sure") else None,
        space_version=message.space_version,
    )


def _guess(message: photo_pb2.CategoryGuess) -> CategoryGuess:
    return CategoryGuess(tuple(message.category_path), message.probability)


def classification_message(value: Classification) -> photo_pb2.Classification:
    """The message of what a photo is of."""
    return photo_pb2.Classification(
        guesses=[_guess_message(item) for item in value.guesses],
        unknown_probability=value.unknown_probability,
        unknown=value.unknown,
        sure=_guess_message(value.sure) if value.sure is not None else None,
        space_version=value.space_version,
    )


def _guess_message(value: CategoryGuess) -> photo_pb2.CategoryGuess:
    return photo_pb2.CategoryGuess(category_path=value.path, probability=value.probability)


def reason(message: answer_pb2.Reason) -> Reason:
    """A reason."""
    parameters = tuple((item.name, item.value) for item in message.parameters)
    return Reason(message.code, parameters, message.text)


def reason_message(value: Reason) -> answer_pb2.Reason:
    """The message of a reason."""
    return answer_pb2.Reason(
        code=value.code,
        parameters=[
            answer_pb2.ReasonParameter(name=name, value=text) for name, text in value.parameters
        ],
        text=value.text,
    )


def part_messages(
    parts: Iterable[tuple[str, float]], addends: Mapping[str, Addends] = MappingProxyType({})
) -> list[answer_pb2.ScorePart]:
    """The messages of a score's parts, split where their addends are given."""
    return [
        answer_pb2.ScorePart(
            name=name,
            value=value,
            features=[
                answer_pb2.ScoreFeature(name=feature, value=added)
                for feature, added in addends.get(name, ())
            ],
        )
        for name, value in parts
    ]


def move(message: answer_pb2.Move) -> Move:
    """A move; a cause that this gateway does not know yet is UNSPECIFIED."""
    known = message.cause in answer_pb2.Move.Cause.values()
    name = answer_pb2.Move.Cause.Name(message.cause).removeprefix("CAUSE_") if known else ""
    cause = MoveCause(name) if name in MoveCause.__members__ else MoveCause.UNSPECIFIED
    return Move(cause, message.places)


def move_messages(moves: Iterable[Move]) -> list[answer_pb2.Move]:
    """The messages of moves."""
    return [
        answer_pb2.Move(
            cause=answer_pb2.Move.Cause.Value(f"CAUSE_{each.cause}"), places=each.places
        )
        for each in moves
    ]


def degradation(message: answer_pb2.Degradation) -> Degradation | None:
    """What a peer lost; None for a cause that this gateway does not know yet."""
    try:
        name = answer_pb2.Degradation.Cause.Name(message.cause)
        cause = Cause(name.removeprefix("CAUSE_"))
    except ValueError:
        return None
    return Degradation(message.stage, cause, message.substitute)


def degradation_list(messages: Iterable[answer_pb2.Degradation]) -> tuple[Degradation, ...]:
    """Those that this gateway knows."""
    return tuple(item for message in messages if (item := degradation(message)) is not None)


def degradation_message(value: Degradation) -> answer_pb2.Degradation:
    """The message of something lost."""
    return answer_pb2.Degradation(
        stage=value.stage,
        cause=answer_pb2.Degradation.Cause.Value(f"CAUSE_{value.cause}"),
        substitute=value.substitute,
    )


def timing_message(value: Timing) -> answer_pb2.StageTiming:
    """The message of a stage; what the peer did not work it spent on the wire and in its queue."""
    message = answer_pb2.StageTiming(
        stage=value.stage, total=duration(value.total), start=duration(value.start)
    )
    if value.work is not None:
        message.work.CopyFrom(duration(min(value.work, value.total)))
        message.network.CopyFrom(duration(value.total - value.work))
    return message


def work(timings: Iterable[answer_pb2.StageTiming]) -> float | None:
    """Seconds that a peer worked by its own clock: what its stages cover together; None = not said.

    Stages may nest and run side by side, so their times are not simply added up.
    """
    spans = sorted(
        (begin, begin + item.total.ToTimedelta().total_seconds())
        for item in timings
        for begin in (item.start.ToTimedelta().total_seconds(),)
    )
    if not spans:
        return None
    covered, reached = 0.0, float("-inf")
    for begin, end in spans:
        covered += max(end - max(begin, reached), 0.0)
        reached = max(reached, end)
    return covered


def score_event(value: Score | None) -> event_pb2.EventType.ValueType:
    """Of which event a score is the chance; UNSPECIFIED = there is none."""
    number = event_pb2.EVENT_TYPE_UNSPECIFIED if value is None else value.event
    return cast(event_pb2.EventType.ValueType, number)


def space(message: answer_pb2.SpaceVersion) -> SpaceVersion:
    """A space and its generation."""
    return SpaceVersion(message.space, message.version, message.generation)


def space_message(value: SpaceVersion) -> answer_pb2.SpaceVersion:
    """The message of a space and its generation."""
    return answer_pb2.SpaceVersion(
        space=value.space, version=value.version, generation=value.generation
    )


def freshness(message: answer_pb2.IndexFreshness) -> Freshness:
    """How fresh an index is."""
    return Freshness(
        index_token=message.index_token,
        lag_seconds=message.index_lag.ToTimedelta().total_seconds(),
        time_micros=message.index_time_micros,
        pending=message.pending,
    )


def freshness_message(value: Freshness | None) -> answer_pb2.IndexFreshness | None:
    """The message of an index's freshness; None stays None, and the field absent."""
    if value is None:
        return None
    return answer_pb2.IndexFreshness(
        index_token=value.index_token,
        index_lag=duration(value.lag_seconds),
        index_time_micros=value.time_micros,
        pending=value.pending,
    )


_RECALL = [field.name for field in fields(RecallEstimate)]


def recall(message: answer_pb2.RecallEstimate) -> RecallEstimate:
    """How much live searches found."""
    return RecallEstimate(**{name: getattr(message, name) for name in _RECALL})


def recall_message(value: RecallEstimate) -> answer_pb2.RecallEstimate:
    """The message of how much live searches found."""
    return answer_pb2.RecallEstimate(**asdict(value))


def versions(message: answer_pb2.Versions) -> Versions:
    """Which versions made an answer."""
    return Versions(
        spaces=tuple(space(item) for item in message.spaces),
        model_version=message.model_version,
        scene=message.scene,
        scene_version=message.scene_version,
        plan=message.plan,
        service_version=message.service_version,
    )


def versions_message(value: Versions) -> answer_pb2.Versions:
    """The message of an answer's versions."""
    return answer_pb2.Versions(
        spaces=[space_message(item) for item in value.spaces],
        model_version=value.model_version,
        scene=value.scene,
        scene_version=value.scene_version,
        plan=value.plan,
        service_version=value.service_version,
    )
