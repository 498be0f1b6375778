"""Causes of degradations."""

from enum import IntEnum

from sightline_rules.fast_dataclass import fast_dataclass


class DegradationCause(IntEnum):
    """Cause of a degradation, by the numbers of Degradation.Cause."""

    EMBEDDER_UNAVAILABLE = 1
    INDEX_UNAVAILABLE = 2
    RETRIEVER_UNAVAILABLE = 3
    RANKER_UNAVAILABLE = 4
    PROFILE_UNAVAILABLE = 5
    STAGE_DEADLINE = 6
    SPACE_UNAVAILABLE = 7
    MODEL_NOT_READY = 8
    ANSWER_RECORD_DROPPED = 9


@fast_dataclass(frozen=True, slots=True)
class Degradation:
    """A part that the answer lacks, and its substitute."""

    stage: str
    """Stage or branch."""
    cause: DegradationCause
    substitute: str = ""
    as_of_micros: int = 0
    """When the substitute was read, microseconds since 1970 (UTC); 0: by this request."""
