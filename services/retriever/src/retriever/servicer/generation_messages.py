"""Index generations: protos to values and back."""

from dataclasses import asdict

from retriever.domain.errors import IndexParametersInvalid
from retriever.domain.generation import (
    Generation,
    GenerationStatus,
    IndexKind,
    IndexParameters,
)
from retriever.indexing.generations import (
    GenerationRequest,
)
from retriever.servicer.messages import message_of
from servicekit.rpc.messages import UnknownMember, value_of
from sightline.retriever.v1 import index_service_pb2


def generation_order(
    message: index_service_pb2.CreateGenerationRequest, space: str
) -> GenerationRequest:
    """Parse a requested generation; `space` is the default. Raises IndexParametersInvalid."""
    path = ""
    try:
        metric = value_of(IndexParameters, message).metric
        path = "parameters."
        parameters = value_of(IndexParameters, message.parameters, metric=metric)
    except UnknownMember as error:
        field = f"{path}{error.field}"
        raise IndexParametersInvalid.at(field, "is not one of the known values") from error
    return value_of(GenerationRequest, message, space=message.space or space, parameters=parameters)


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
