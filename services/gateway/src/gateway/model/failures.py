"""What a peer's failure means for an answer. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.model.causes import DegradationCause, Peer
from gateway.model.errors import PeerUnavailable
from servicekit.errors import Code, ServiceError
from servicekit.quotas import QuotaExhausted

BY_REASON: Mapping[str, DegradationCause] = MappingProxyType(
    {
        "EMBEDDER_UNAVAILABLE": DegradationCause.EMBEDDER_UNAVAILABLE,
        "EMBED_QUEUE_FULL": DegradationCause.EMBEDDER_UNAVAILABLE,
        # It does not serve the version that the index holds.
        "SPACE_VERSION_UNAVAILABLE": DegradationCause.EMBEDDER_UNAVAILABLE,
        # The embedder made it, so it is no fault of the caller's.
        "VECTOR_INVALID": DegradationCause.EMBEDDER_UNAVAILABLE,
        "INDEX_UNAVAILABLE": DegradationCause.INDEX_UNAVAILABLE,
        "INDEX_REFUSED": DegradationCause.INDEX_UNAVAILABLE,
        # A space is being rolled out: the embedder is ahead of the index or behind it.
        "INDEX_VERSION_MISMATCH": DegradationCause.INDEX_UNAVAILABLE,
        "RETRIEVER_UNAVAILABLE": DegradationCause.RETRIEVER_UNAVAILABLE,
        "RANKER_UNAVAILABLE": DegradationCause.RANKER_UNAVAILABLE,
        "SPACE_UNAVAILABLE": DegradationCause.SPACE_UNAVAILABLE,
        "STAGE_DEADLINE": DegradationCause.STAGE_DEADLINE,
    }
)
"""Causes by reason, whatever the code."""

CALLERS = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.OUT_OF_RANGE,
        Code.NOT_FOUND,
        Code.UNAUTHENTICATED,
        Code.PERMISSION_DENIED,
    }
)
"""Codes of failures that are the caller's: the request fails with them."""

_BAD_INPUT = frozenset({Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE})


@dataclass(frozen=True, slots=True)
class StageFailure:
    """Something that failed, without which the answer is degraded."""

    stage: str
    """The stage or branch."""
    cause: DegradationCause
    unreachable: Peer | None = None
    """A peer that did not answer at all."""


def failure_of(stage: str, peer: Peer, error: ServiceError) -> StageFailure:
    """Return a peer's failure in a stage; raise the error when it is the caller's own."""
    unreachable = peer if isinstance(error, PeerUnavailable) else None
    return StageFailure(stage, cause_of(peer, error), unreachable)


def cause_of(peer: Peer, error: ServiceError) -> DegradationCause:
    """Return why an answer is degraded by a peer's failure; raise the error when it is the caller's
    own."""
    if isinstance(error, QuotaExhausted):  # of the gateway's own caller: no answer is worse
        raise error
    known = BY_REASON.get(error.reason)
    if known is not None:
        return known
    if error.code is Code.DEADLINE_EXCEEDED:
        return DegradationCause.STAGE_DEADLINE
    # The caller's part of a call to the ranker is checked before: what it refuses is our mistake.
    ours = peer is Peer.RANKER and error.code in _BAD_INPUT
    if error.code in CALLERS and not ours:
        raise error
    return DegradationCause[f"{peer.name}_UNAVAILABLE"]
