"""Index generations: protos to values and back."""

from retriever.domain.errors import IndexParametersInvalid
from retriever.domain.generation import (
    EXACT,
    GenerationStatus,
    IndexKind,
    IndexParameters,
    VectorMetric,
    Verification,
)
from retriever.indexing.generations import (
    DEFAULT_K,
    DEFAULT_RECALL,
    DEFAULT_SAMPLE,
    Demand,
    GenerationRequest,
)
from retriever.servicer.messages import common_fields, values_by_number
from servicekit.rpc.requests import timestamp
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
    found = status.generation
    kept = None if found.verification is None else _verification(found.verification)
    fields = common_fields(index_service_pb2.Generation.DESCRIPTOR, found) | {
        "metric": f"METRIC_{found.parameters.metric.name}",
        "parameters": _parameters(found.parameters),
        "verification": kept,
    }
    return index_service_pb2.Generation(
        **fields,
        previous=status.previous,
        indexed_count=status.indexed,
        pending_count=status.pending,
        failed_count=status.failed,
        create_time=timestamp(found.created),
        activate_time=timestamp(found.activated) if found.activated else None,
    )


def _parameters(found: IndexParameters) -> index_service_pb2.IndexParameters:
    fields = common_fields(index_service_pb2.IndexParameters.DESCRIPTOR, found)
    if found.kind is IndexKind.FLAT:  # a flat index has no other parameters
        fields = {name: fields[name] for name in ("kind", "partitions")}
    return index_service_pb2.IndexParameters(**fields)


def _verification(found: Verification) -> index_service_pb2.Verification:
    fields = common_fields(index_service_pb2.Verification.DESCRIPTOR, found)
    return index_service_pb2.Verification(**fields | {"end_time": timestamp(found.end_time)})
