"""Vectors, searches and their answers: protos to values and back."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from retriever.domain.generation import DEFAULT_SPACE, Freshness, Generation
from retriever.domain.index_values import Collapse
from retriever.domain.misfits import Misfit
from retriever.domain.vectors import GivenVector
from retriever.search.freshness import write_index_token
from retriever.search.query import BlendPart
from retriever.search.recall.watchdog import RecallVerdict
from retriever.servicer.messages import member_of, message_of, values_by_number
from servicekit.clock import now_micros
from servicekit.rpc.requests import duration
from sightline.common.v1 import answer_pb2, product_pb2
from sightline.retriever.v1 import vector_service_pb2
from sightline_core import versions
from sightline_core.columns import single
from sightline_core.opaque_messages import Vector
from sightline_core.search import VectorBlend

_COLLAPSE = values_by_number(vector_service_pb2.Collapse.DESCRIPTOR, Collapse, Collapse.DROP)


def collapse(number: int) -> Collapse:
    """Parse the mode of near-duplicates. Raises RequestInvalid."""
    return member_of(_COLLAPSE, number, "collapse")


def near(request: vector_service_pb2.SearchRequest) -> Vector | str | VectorBlend:
    """Return what is searched near: a vector, a product or a blend of both."""
    match request.WhichOneof("query"):
        case "vector":
            return request.vector
        case "blend":
            parts: list[tuple[float, Vector | str]] = [
                (each.weight, each.vector if each.HasField("vector") else each.product_id)
                for each in request.blend.parts
            ]
            return VectorBlend(request.space, tuple(parts))
    return request.product_id


def asked(value: Vector | str | VectorBlend) -> dict[str, Any]:
    """Return the fields of a SearchQuery that say what is searched near."""
    if isinstance(value, str):
        return {"product_id": value}
    if not isinstance(value, VectorBlend):
        return {"vector": vector(value)}
    weights = single([weight for weight, _ in value.parts])
    parts = zip(weights, (asked(each) for _, each in value.parts), strict=True)
    blend = tuple([BlendPart(weight, **each) for weight, each in parts])
    return {"blend": blend, "space": value.space or DEFAULT_SPACE}


def vector(given: Vector) -> GivenVector:
    """Return a vector as it was given, unchecked."""
    return GivenVector(given.space, given.space_version, given.dimension, given.data)


def space_version(generation: Generation) -> answer_pb2.SpaceVersion:
    """Return the searched generation as a message."""
    return answer_pb2.SpaceVersion(
        space=generation.space, version=generation.space_version, generation=generation.name
    )


def nearest_cosines(generation: Generation) -> tuple[float, ...]:
    """Return quantiles of photos' cosines to their nearest other product; empty: unmeasured."""
    return generation.verification.nearest_cosines if generation.verification else ()


def freshness(catalog_id: str, found: Freshness, now: int) -> versions.Freshness:
    """Return the freshness of an index at `now`, in microseconds since 1970."""
    lag = max(0, now - found.oldest_open) if found.oldest_open else 0
    token = write_index_token(catalog_id, found.seq)
    return versions.Freshness(token, timedelta(microseconds=lag), found.time, found.pending)


def freshness_message(catalog_id: str, found: Freshness) -> answer_pb2.IndexFreshness:
    """Return the message of an index's freshness, as of now."""
    value = freshness(catalog_id, found, now_micros())
    return answer_pb2.IndexFreshness(
        index_token=value.index_token,
        index_time_micros=value.index_time_micros,
        pending=value.pending,
        index_lag=duration(value.index_lag.total_seconds()),
    )


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
        message_of(
            answer_pb2.RecallEstimate,
            each.recall,
            each,
            plan=each.kind.route.value,
            filter_class=each.kind.filters.value,
            recall=each.recall.value,
            search_count=each.recall.looks,
            ef_factor=1.0,
        )
        for each in sorted(found, key=lambda each: (each.kind.route, each.kind.filters))
    ]


def given_vectors(
    vectors: Iterable[vector_service_pb2.ImageVector],
) -> list[tuple[str, str, GivenVector]]:
    """Parse product id, image id and vector of each item."""
    return [(item.product_id, item.image_id, vector(item.vector)) for item in vectors]


misfit = message_of.writer(
    product_pb2.PhotoMisfit,
    Misfit,
    other_product_id=lambda value: value.other.product_id,
    other_image_id=lambda value: value.other.image_id,
    other_similarity=lambda value: value.other.similarity,
)
"""Returns the message of a misfit."""
