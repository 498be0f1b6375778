"""What a peer's failure means for an answer. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.model.causes import Cause, Peer
from gateway.model.errors import PeerUnavailable
from servicekit.errors import Code, ServiceError
from servicekit.quotas import QuotaExhausted

BY_REASON: Mapping[str, Cause] = MappingProxyType(
    {
        "EMBEDDER_UNAVAILABLE": Cause.EMBEDDER_UNAVAILABLE,
        "EMBED_QUEUE_FULL": Cause.EMBEDDER_UNAVAILABLE,
        # It does not serve the version that the index holds.
        "SPACE_VERSION_UNAVAILABLE": Cause.EMBEDDER_UNAVAILABLE,
        # The embedder made it, so it is no fault of the caller's.
        "VECTOR_INVALID": Cause.EMBEDDER_UNAVAILABLE,
        "INDEX_UNAVAILABLE": Cause.INDEX_UNAVAILABLE,
        "INDEX_REFUSED": Cause.INDEX_UNAVAILABLE,
        # A space is being rolled out: the embedder is ahead of the index or behind it.
        "INDEX_VERSION_MISMATCH": Cause.INDEX_UNAVAILABLE,
        "RETRIEVER_UNAVAILABLE": Cause.RETRIEVER_UNAVAILABLE,
        "RANKER_UNAVAILABLE": Cause.RANKER_UNAVAILABLE,
        "SPACE_UNAVAILABLE": Cause.SPACE_UNAVAILABLE,
        "STAGE_DEADLINE": Cause.STAGE_DEADLINE,
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
class Failure:
    """Something that failed, without which the answer is degraded."""

    stage: str
    """The stage or branch."""
    cause: Cause
    unreachable: Peer | None = None
    """A peer that did not answer at all."""


def failure_of(stage: str, peer: Peer, error: ServiceError) -> Failure:
    """What a peer's failure in a stage means; raises it when it is the caller's own."""
    unreachable = peer if isinstance(error, PeerUnavailable) else None
    return Failure(stage, cause_of(peer, error), unreachable)


def cause_of(peer: Peer, error: ServiceError) -> Cause:
    """What a peer's failure means for the answer; raises it when it is the caller's own."""
    if isinstance(error, QuotaExhausted):  # of the gateway's own caller: no answer is worse
        raise error
    known = BY_REASON.get(error.reason)
    if known is not None:
        return known
    if error.code is Code.DEADLINE_EXCEEDED:
        return Cause.STAGE_DEADLINE
    # The caller's part of a call to the ranker is checked before: what it refuses is our mistake.
    ours = peer is Peer.RANKER and error.code in _BAD_INPUT
    if error.code in CALLERS and not ours:
        raise error
    return Cause[f"{peer.name}_UNAVAILABLE"]
