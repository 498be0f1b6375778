"""Index generations: protos to values and back."""

from dataclasses import asdict

from retriever.domain.errors import IndexParametersInvalid
from retriever.domain.generation import (
    EXACT,
    Generation,
    GenerationStatus,
    IndexKind,
    IndexParameters,
    VectorMetric,
)
from retriever.indexing.generations import (
    DEFAULT_K,
    DEFAULT_RECALL,
    DEFAULT_SAMPLE,
    Demand,
    GenerationRequest,
)
from retriever.servicer.messages import message_of, values_by_number
from sightline.retriever.v1 import index_service_pb2

_METRIC = values_by_number(index_service_pb2.Metric.DESCRIPTOR, VectorMetric, VectorMetric.COSINE)
_INDEX_KIND = values_by_number(
    index_service_pb2.IndexParameters.Kind.DESCRIPTOR, IndexKind, IndexKind.FLAT
)


def generation_order(
    message: index_service_pb2.CreateGenerationRequest, space: str
) -> GenerationRequest:
    """Parse a requested generation; `space` is the default. Raises IndexParametersInvalid."""
    metric = _METRIC.get(message.metric)
    kind = _INDEX_KIND.get(message.parameters.kind)
    if metric is None:
        raise IndexParametersInvalid.at("metric", "is not one of the known values")
    if kind is None:
        raise IndexParametersInvalid.at("parameters.kind", "is not one of the known values")
    given = message.parameters
    return GenerationRequest(
        space=message.space or space,
        name=message.name,
        space_version=message.space_version,
        dimension=message.dimension,
        parameters=IndexParameters(
            metric,
            kind,
            m=given.m or EXACT.m,
            ef_construction=given.ef_construction or EXACT.ef_construction,
            ef=given.ef or EXACT.ef,
            partitions=given.partitions,
        ),
    )


def demand(message: index_service_pb2.VerifyGenerationRequest) -> Demand:
    """Parse the thresholds of a verification."""
    return Demand(
        sample_size=message.sample_size or DEFAULT_SAMPLE,
        k=message.k or DEFAULT_K,
        min_recall=message.min_recall or DEFAULT_RECALL,
    )


def generation(status: GenerationStatus) -> index_service_pb2.Generation:
    """Return a generation as a message."""
    return _generation(status, status.generation)


def _parameters(_: GenerationStatus, found: Generation) -> dict[str, object]:
    given = found.parameters
    if given.kind is IndexKind.FLAT:  # a flat index has no other parameters
        return {"kind": given.kind, "partitions": given.partitions}
    return asdict(given)


_generation = message_of.writer(
    index_service_pb2.Generation,
    GenerationStatus,
    Generation,
    metric=lambda _, found: found.parameters.metric,
    parameters=_parameters,
)
