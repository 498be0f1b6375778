"""Vectors, searches and their answers: protos to values and back."""

from collections.abc import Iterable

from retriever.domain.generation import Freshness, Generation
from retriever.domain.index_values import Collapse
from retriever.domain.vectors import GivenVector
from retriever.search.query import BlendPart
from retriever.search.recall.watchdog import Verdict
from retriever.servicer.messages import value_of, values_by_number
from sightline.common.v1 import answer_pb2, vector_pb2
from sightline.retriever.v1 import vector_service_pb2

_COLLAPSE = values_by_number(vector_service_pb2.Collapse.DESCRIPTOR, Collapse, Collapse.DROP)


def collapse(number: int) -> Collapse:
    """What becomes of near-duplicates. Raises RequestInvalid."""
    return value_of(_COLLAPSE, number, "collapse")


def vector(message: vector_pb2.Vector) -> GivenVector:
    """A vector as it came."""
    return GivenVector(message.space, message.space_version, message.dimension, message.data)


def blend(message: vector_service_pb2.Blend) -> tuple[BlendPart, ...]:
    """The parts of a blend as they came."""
    return tuple(
        BlendPart(
            weight=part.weight,
            vector=vector(part.vector) if part.HasField("vector") else None,
            product_id=part.product_id,
        )
        for part in message.parts
    )


def space_version(generation: Generation) -> answer_pb2.SpaceVersion:
    """Which generation was searched."""
    return answer_pb2.SpaceVersion(
        space=generation.space, version=generation.space_version, generation=generation.name
    )


def nearest_cosines(generation: Generation) -> tuple[float, ...]:
    """What the catalog's own photos have to their nearest other product; empty = not measured."""
    return generation.verification.nearest_cosines if generation.verification else ()


def freshness(found: Freshness, token: str, now: int) -> answer_pb2.IndexFreshness:
    """How fresh an index is at `now`, in microseconds since 1970."""
    message = answer_pb2.IndexFreshness(
        index_token=token, index_time_micros=found.time, pending=found.pending
    )
    lag = max(0, now - found.oldest_open) if found.oldest_open else 0
    message.index_lag.FromMicroseconds(lag)
    return message


def index_lost(substitute: str) -> list[answer_pb2.Degradation]:
    """What an answer says that does not rest on the index; empty = it does."""
    if not substitute:
        return []
    cause = answer_pb2.Degradation.CAUSE_INDEX_UNAVAILABLE
    return [answer_pb2.Degradation(stage="index", cause=cause, substitute=substitute)]


def recalls(
    verdicts: Iterable[Verdict], generation: Generation | None
) -> list[answer_pb2.RecallEstimate]:
    """What the watchdog knows of a generation."""
    name = generation.collection if generation is not None else ""
    found = [each for each in verdicts if each.kind.collection == name]
    return [
        answer_pb2.RecallEstimate(
            plan=each.kind.route.value,
            filter_class=each.kind.filters.value,
            k=each.recall.k,
            recall=each.recall.value,
            lower=each.recall.lower,
            upper=each.recall.upper,
            search_count=each.recall.looks,
            row_count=each.recall.rows,
            below_floor=each.below_floor,
            ef_factor=1.0,
        )
        for each in sorted(found, key=lambda each: (each.kind.route, each.kind.filters))
    ]


def given_vectors(
    vectors: Iterable[vector_service_pb2.ImageVector],
) -> list[tuple[str, str, GivenVector]]:
    """Product id, image id and vector of each."""
    return [(item.product_id, item.image_id, vector(item.vector)) for item in vectors]
