"""Effect of a peer's failure on the answer. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.model.causes import Peer
from gateway.model.errors import PeerUnavailable
from servicekit.admission.quotas import QuotaExhausted
from servicekit.errors import Code, ServiceError
from sightline_core.degradations import DegradationCause
from sightline_rules.fast_dataclass import fast_dataclass

BY_REASON: Mapping[str, DegradationCause] = MappingProxyType(
    {
        "EMBEDDER_UNAVAILABLE": DegradationCause.EMBEDDER_UNAVAILABLE,
        "EMBED_QUEUE_FULL": DegradationCause.EMBEDDER_UNAVAILABLE,
        # The embedder does not serve the version that the index holds.
        "SPACE_VERSION_UNAVAILABLE": DegradationCause.EMBEDDER_UNAVAILABLE,
        # The embedder made the vector, so the caller is not at fault.
        "VECTOR_INVALID": DegradationCause.EMBEDDER_UNAVAILABLE,
        "INDEX_UNAVAILABLE": DegradationCause.INDEX_UNAVAILABLE,
        "INDEX_REFUSED": DegradationCause.INDEX_UNAVAILABLE,
        # A space is being rolled out: embedder and index have different versions.
        "INDEX_VERSION_MISMATCH": DegradationCause.INDEX_UNAVAILABLE,
        "RETRIEVER_UNAVAILABLE": DegradationCause.RETRIEVER_UNAVAILABLE,
        "RANKER_UNAVAILABLE": DegradationCause.RANKER_UNAVAILABLE,
        "SPACE_UNAVAILABLE": DegradationCause.SPACE_UNAVAILABLE,
        "STAGE_DEADLINE": DegradationCause.STAGE_DEADLINE,
    }
)
"""Cause by reason, for any code."""

CALLERS = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.OUT_OF_RANGE,
        Code.NOT_FOUND,
        Code.UNAUTHENTICATED,
        Code.PERMISSION_DENIED,
    }
)
"""Codes of errors that the caller caused: the request fails with them."""

_BAD_INPUT = frozenset({Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE})


@fast_dataclass(frozen=True, slots=True)
class StageFailure:
    """A failed part without which the answer is degraded."""

    stage: str
    """Stage or branch."""
    cause: DegradationCause
    unreachable: Peer | None = None
    """The peer, if it did not answer at all."""


def failure_of(stage: str, peer: Peer, error: ServiceError) -> StageFailure:
    """Return the failure of a peer in a stage. Raise the error if the caller caused it."""
    unreachable = peer if isinstance(error, PeerUnavailable) else None
    return StageFailure(stage, cause_of(peer, error), unreachable)


def cause_of(peer: Peer, error: ServiceError) -> DegradationCause:
    """Return the cause of a degradation by a peer's error. Raise the error if the caller caused
    it."""
    # Errors of the gateway's own caller do not degrade the answer.
    if isinstance(error, QuotaExhausted):
        raise error
    known = BY_REASON.get(error.reason)
    if known is not None:
        return known
    if error.code is Code.DEADLINE_EXCEEDED:
        return DegradationCause.STAGE_DEADLINE
    # The caller's input is validated before the ranker is called: an invalid argument there is a
    # fault of the gateway.
    ours = peer is Peer.RANKER and error.code in _BAD_INPUT
    if error.code in CALLERS and not ours:
        raise error
    return DegradationCause[f"{peer.name}_UNAVAILABLE"]
