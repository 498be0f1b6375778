"""Conversion of domain values to the messages of sightline.common.v1 and back."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any, cast

from servicekit.rpc.requests import duration, timestamp
from sightline.common.v1 import answer_pb2, event_pb2
from sightline.ranker.v1 import answer_service_pb2 as answers_pb
from sightline.ranker.v1 import ranking_service_pb2 as ranking_pb
from sightline_core.answer import AnsweredProduct, Score
from sightline_core.branch import Branch
from sightline_core.candidates import Contributions
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.reasons import Move, Reason
from sightline_core.shoppers import Identity, Shopper
from sightline_core.versions import Freshness, SpaceVersion, StageTiming, Versions


def shopper(message: event_pb2.Shopper) -> Shopper | None:
    """Return the shopper; None if the request names none."""
    match message.WhichOneof("identity"):
        case "user_id":
            return Shopper(Identity.USER, message.user_id)
        case "visitor_id":
            return Shopper(Identity.VISITOR, message.visitor_id)
    return None


def shopper_message(value: Shopper | None) -> event_pb2.Shopper | None:
    """Return the message of a shopper; None for no shopper."""
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
        field.add(name=name, value=value, features=features(contributions, name))


def features(contributions: Mapping[str, Contributions], part: str) -> list[dict[str, Any]]:
    """Return what protobuf makes the features of a part of."""
    return [{"name": name, "value": added} for name, added in contributions.get(part, ())]


_CAUSES: frozenset[int] = frozenset(DegradationCause)


def degradation_list(messages: Iterable[answer_pb2.Degradation]) -> tuple[Degradation, ...]:
    """Return the degradations whose causes this gateway knows."""
    return tuple(
        [
            Degradation(
                item.stage,
                DegradationCause(item.cause),
                item.substitute,
                item.as_of.ToMicroseconds(),
            )
            for item in messages
            if item.cause in _CAUSES
        ]
    )


def degradation_messages(values: Iterable[Degradation]) -> list[answer_pb2.Degradation]:
    """Return the messages of degradations."""
    return [
        answer_pb2.Degradation(
            stage=item.stage,
            cause=cast(answer_pb2.Degradation.Cause.ValueType, int(item.cause)),
            substitute=item.substitute,
            as_of=timestamp(item.as_of_micros) if item.as_of_micros else None,
        )
        for item in values
    ]


def space_version(message: answer_pb2.SpaceVersion) -> SpaceVersion:
    """Return the version of a space that a message names."""
    return SpaceVersion(message.space, message.version, message.generation)


def space_version_message(value: SpaceVersion | None) -> answer_pb2.SpaceVersion | None:
    """Return the message of a space's version; None stays None."""
    if value is None:
        return None
    return answer_pb2.SpaceVersion(
        space=value.space, version=value.version, generation=value.generation
    )


_TEXTS = [name for name in Versions._fields if name != "spaces"]


def versions(message: answer_pb2.Versions) -> Versions:
    """Return the versions in a message."""
    texts = {name: getattr(message, name) for name in _TEXTS}
    return Versions(tuple(map(space_version, message.spaces)), **texts)


@lru_cache(256)
def versions_message(value: Versions) -> answer_pb2.Versions:
    """Return the message of an answer's versions; it is shared and must not be changed."""
    spaces = filter(None, map(space_version_message, value.spaces))
    return answer_pb2.Versions(spaces=spaces, **{name: getattr(value, name) for name in _TEXTS})


def freshness(message: answer_pb2.IndexFreshness) -> Freshness:
    """Return the freshness in a message."""
    lag = timedelta(microseconds=message.index_lag.ToMicroseconds())
    return Freshness(message.index_token, lag, message.index_time_micros, message.pending)


def freshness_message(value: Freshness | None) -> answer_pb2.IndexFreshness | None:
    """Return the message of an index's freshness; None stays None."""
    if value is None:
        return None
    lag: Any = value.index_lag
    return answer_pb2.IndexFreshness(
        index_token=value.index_token,
        index_time_micros=value.index_time_micros,
        pending=value.pending,
        index_lag=lag,
    )


def timing_messages(values: Iterable[StageTiming]) -> Any:
    """Return what protobuf makes the messages of stage timings of.

    The part of a stage's time in which the peer did not work is time on the network and in its
    queue.
    """
    found = list[dict[str, Any]]()
    for value in values:
        total, work = value.total, value.work
        made = {"stage": value.stage, "start": duration(value.start), "total": duration(total)}
        if work is not None:
            work = work if work < total else total
            made |= {"work": duration(work), "network": duration(total - work)}
        found += (made,)
    return found


def reasons(messages: Iterable[answer_pb2.Reason]) -> tuple[Reason, ...]:
    """Return the reasons of messages."""
    return tuple(
        [
            Reason(item.code, item.text, tuple((each.name, each.value) for each in item.parameters))
            for item in messages
        ]
    )


@lru_cache(4_096)
def reasons_of(data: bytes) -> tuple[Reason, ...]:
    """Return the reasons of a serialized ReasonList; those of answers are few different ones."""
    return reasons(ranking_pb.ReasonList.FromString(data).reasons)


@lru_cache(1024)
def reason_message(value: Reason) -> answer_pb2.Reason:
    """Return the message of a reason; it is shared and must not be changed."""
    return answer_pb2.Reason(
        code=value.code,
        text=value.text,
        parameters=[
            answer_pb2.ReasonParameter(name=name, value=each) for name, each in value.parameters
        ],
    )


def reason_messages(values: Iterable[Reason]) -> list[answer_pb2.Reason]:
    """Return the messages of reasons; they are shared and must not be changed."""
    return list(map(reason_message, values))


def moves(messages: Iterable[answer_pb2.Move]) -> tuple[Move, ...]:
    """Return the moves of messages."""
    return tuple([Move(item.cause, item.places) for item in messages])


def move_messages(values: Iterable[Move]) -> list[answer_pb2.Move]:
    """Return the messages of moves."""
    return [
        answer_pb2.Move(
            cause=cast(answer_pb2.Move.Cause.ValueType, int(item.cause)), places=item.places
        )
        for item in values
    ]


def answered_product(message: answers_pb.AnsweredProduct) -> AnsweredProduct:
    """Return a product of a recorded answer."""
    scored = message.HasField("score")
    return AnsweredProduct(
        product_id=message.product_id,
        raw_score=message.raw_score,
        parts=tuple((part.name, part.value) for part in message.parts),
        reasons=reasons(message.reasons),
        matched_image_id=message.matched_image_id,
        branches=cast(tuple[Branch, ...], tuple(message.branches)),
        collapsed=tuple(message.collapsed_product_ids),
        score=Score(message.score, message.score_event) if scored else None,
        score_rank=message.score_rank,
        moves=moves(message.moves),
        contributions={
            part.name: tuple((item.name, item.value) for item in part.features)
            for part in message.parts
            if part.features
        },
        propensity=message.propensity,
    )


def answered_message(value: AnsweredProduct | None) -> answers_pb.AnsweredProduct | None:
    """Return the message of a product of a recorded answer; None stays None."""
    if value is None:
        return None
    message = answers_pb.AnsweredProduct(
        product_id=value.product_id,
        raw_score=value.raw_score,
        reasons=reason_messages(value.reasons),
        matched_image_id=value.matched_image_id,
        branches=value.branches,
        collapsed_product_ids=value.collapsed,
        score_rank=value.score_rank,
        moves=move_messages(value.moves),
        propensity=value.propensity,
        score=None if value.score is None else value.score.chance,
        score_event=score_event(value.score),
    )
    add_parts(message.parts, value.parts, value.contributions)
    return message


def work(timings: Iterable[answer_pb2.StageTiming]) -> float | None:
    """Return the seconds that a peer worked by its own clock; None if it does not report them.

    Stages may nest and overlap, so this is the length of their union, not their sum.
    """
    spans = [
        (start.seconds + start.nanos / 1e9, total.seconds + total.nanos / 1e9)
        for start, total in [(item.start, item.total) for item in timings]
    ]
    if not spans:
        return None
    spans.sort()
    covered, reached = 0.0, float("-inf")
    for begin, total in spans:
        if (end := begin + total) > reached:
            covered += end - (begin if begin > reached else reached)
            reached = end
    return covered


def score_event(value: Score | None) -> event_pb2.EventType.ValueType:
    """Return the event whose probability a score is; UNSPECIFIED if none."""
    number = event_pb2.EVENT_TYPE_UNSPECIFIED if value is None else value.event
    return cast(event_pb2.EventType.ValueType, int(number))
