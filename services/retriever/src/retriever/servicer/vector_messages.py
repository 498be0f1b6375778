"""Vectors, searches and their answers: protos to values and back."""

from collections.abc import Iterable

from retriever.domain.generation import Freshness, Generation
from retriever.domain.index_values import Collapse
from retriever.domain.misfits import Misfit
from retriever.domain.vectors import GivenVector
from retriever.search.query import BlendPart
from retriever.search.recall.watchdog import RecallVerdict
from retriever.servicer.messages import value_of, values_by_number
from sightline.common.v1 import answer_pb2, product_pb2, vector_pb2
from sightline.retriever.v1 import vector_service_pb2

_COLLAPSE = values_by_number(vector_service_pb2.Collapse.DESCRIPTOR, Collapse, Collapse.DROP)


def collapse(number: int) -> Collapse:
    """Parse the mode of near-duplicates. Raises RequestInvalid."""
    return value_of(_COLLAPSE, number, "collapse")


def vector(message: vector_pb2.Vector) -> GivenVector:
    """Parse a vector."""
    return GivenVector(message.space, message.space_version, message.dimension, message.data)


def blend(message: vector_service_pb2.Blend) -> tuple[BlendPart, ...]:
    """Parse the parts of a blend."""
    return tuple(
        BlendPart(
            weight=part.weight,
            vector=vector(part.vector) if part.HasField("vector") else None,
            product_id=part.product_id,
        )
        for part in message.parts
    )


def space_version(generation: Generation) -> answer_pb2.SpaceVersion:
    """Return the searched generation as a message."""
    return answer_pb2.SpaceVersion(
        space=generation.space, version=generation.space_version, generation=generation.name
    )


def nearest_cosines(generation: Generation) -> tuple[float, ...]:
    """Return quantiles of photos' cosines to their nearest other product; empty: unmeasured."""
    return generation.verification.nearest_cosines if generation.verification else ()


def freshness(found: Freshness, token: str, now: int) -> answer_pb2.IndexFreshness:
    """Return the freshness of an index at `now`, in microseconds since 1970."""
    message = answer_pb2.IndexFreshness(
        index_token=token, index_time_micros=found.time, pending=found.pending
    )
    lag = max(0, now - found.oldest_open) if found.oldest_open else 0
    message.index_lag.FromMicroseconds(lag)
    return message


def index_lost(substitute: str) -> list[answer_pb2.Degradation]:
    """Return the degradations of an answer computed without the index; none for other answers."""
    if not substitute:
        return []
    cause = answer_pb2.Degradation.CAUSE_INDEX_UNAVAILABLE
    return [answer_pb2.Degradation(stage="index", cause=cause, substitute=substitute)]


def recalls(
    verdicts: Iterable[RecallVerdict], generation: Generation | None
) -> list[answer_pb2.RecallEstimate]:
    """Return the recall of a generation as measured by the watchdog."""
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
    """Parse product id, image id and vector of each item."""
    return [(item.product_id, item.image_id, vector(item.vector)) for item in vectors]


def misfit(value: Misfit) -> product_pb2.PhotoMisfit:
    """Return the message of a misfit."""
    return product_pb2.PhotoMisfit(
        product_id=value.product_id,
        image_id=value.image_id,
        similarity=value.similarity,
        other_product_id=value.other.product_id,
        other_image_id=value.other.image_id,
        other_similarity=value.other.similarity,
        lead=value.lead,
    )
