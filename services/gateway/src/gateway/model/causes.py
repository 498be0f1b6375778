"""The services behind the gateway, and what their failures mean for an answer. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType

from gateway.model.messages import Degradation
from servicekit.errors import Code, ServiceError


class Peer(StrEnum):
    """The services that the gateway calls."""

    EMBEDDER = "embedder"
    RETRIEVER = "retriever"
    RANKER = "ranker"


class Cause(IntEnum):
    """Why quality was lost, by the numbers of Degradation.Cause."""

    EMBEDDER_UNAVAILABLE = Degradation.CAUSE_EMBEDDER_UNAVAILABLE
    INDEX_UNAVAILABLE = Degradation.CAUSE_INDEX_UNAVAILABLE
    RETRIEVER_UNAVAILABLE = Degradation.CAUSE_RETRIEVER_UNAVAILABLE
    RANKER_UNAVAILABLE = Degradation.CAUSE_RANKER_UNAVAILABLE
    PROFILE_UNAVAILABLE = Degradation.CAUSE_PROFILE_UNAVAILABLE
    STAGE_DEADLINE = Degradation.CAUSE_STAGE_DEADLINE
    SPACE_UNAVAILABLE = Degradation.CAUSE_SPACE_UNAVAILABLE
    MODEL_NOT_READY = Degradation.CAUSE_MODEL_NOT_READY
    ANSWER_RECORD_DROPPED = Degradation.CAUSE_ANSWER_RECORD_DROPPED


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
"""Reasons that are losses, whatever their code."""

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

LOST: Mapping[Peer, Cause] = MappingProxyType(
    {
        Peer.EMBEDDER: Cause.EMBEDDER_UNAVAILABLE,
        Peer.RETRIEVER: Cause.RETRIEVER_UNAVAILABLE,
        Peer.RANKER: Cause.RANKER_UNAVAILABLE,
    }
)
"""What any other failure of a peer comes down to."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that failed on the way."""

    stage: str
    """The stage or branch."""
    cause: Cause


def cause_of(peer: Peer, error: ServiceError) -> Cause:
    """What a peer's failure means for the answer; raises it when it is the caller's own."""
    known = BY_REASON.get(error.reason)
    if known is not None:
        return known
    if error.code is Code.DEADLINE_EXCEEDED:
        return Cause.STAGE_DEADLINE
    # The caller's part of a call to the ranker is checked before: what it refuses is our mistake.
    ours = peer is Peer.RANKER and error.code in _BAD_INPUT
    if error.code in CALLERS and not ours:
        raise error
    return LOST[peer]
