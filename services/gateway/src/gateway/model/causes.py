"""The services behind the gateway, and why an answer without one of them is degraded."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Peer(StrEnum):
    """The services that the gateway calls."""

    EMBEDDER = "embedder"
    RETRIEVER = "retriever"
    RANKER = "ranker"


class DegradationCause(IntEnum):
    """Why an answer is degraded, by the numbers of Degradation.Cause."""

    EMBEDDER_UNAVAILABLE = 1
    INDEX_UNAVAILABLE = 2
    RETRIEVER_UNAVAILABLE = 3
    RANKER_UNAVAILABLE = 4
    PROFILE_UNAVAILABLE = 5
    STAGE_DEADLINE = 6
    SPACE_UNAVAILABLE = 7
    MODEL_NOT_READY = 8
    ANSWER_RECORD_DROPPED = 9


@dataclass(frozen=True, slots=True)
class Degradation:
    """What an answer lacks, and what stands in for it."""

    stage: str
    """The stage or branch."""
    cause: DegradationCause
    substitute: str = ""
    as_of_micros: int = 0
    """When what stands in for it was read, microseconds since 1970 (UTC); 0: now."""
