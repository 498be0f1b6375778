"""Effect of a peer's failure on an answer."""

from collections.abc import Mapping
from types import MappingProxyType

from servicekit.errors import Code, ServiceError
from vision.domain.detections import DegradationCause

_BY_REASON: Mapping[str, DegradationCause] = MappingProxyType(
    {
        **DegradationCause.__members__,
        "EMBED_QUEUE_FULL": DegradationCause.EMBEDDER_UNAVAILABLE,
        "SPACE_VERSION_UNAVAILABLE": DegradationCause.EMBEDDER_UNAVAILABLE,
        # The embedder made the vector, so the caller is not at fault.
        "VECTOR_INVALID": DegradationCause.EMBEDDER_UNAVAILABLE,
        "INDEX_REFUSED": DegradationCause.INDEX_UNAVAILABLE,
        # A space is being rolled out: embedder and index have different versions.
        "INDEX_VERSION_MISMATCH": DegradationCause.INDEX_UNAVAILABLE,
    }
)
_CALLERS = frozenset({Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE, Code.NOT_FOUND})
"""Codes of errors that the caller caused: the request fails with them."""


def cause_of(error: ServiceError, otherwise: DegradationCause) -> DegradationCause:
    """Return the cause of a degradation by a peer's error. Raise the error if the caller caused it.

    `otherwise`: the cause for a reason that has none of its own.
    """
    if (known := _BY_REASON.get(error.reason)) is not None:
        return known
    if error.code is Code.DEADLINE_EXCEEDED:
        return DegradationCause.STAGE_DEADLINE
    if error.code in _CALLERS:
        raise error
    return otherwise
