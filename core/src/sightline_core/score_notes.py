"""Data that the scores of an answer lack."""

from enum import IntEnum

from sightline_rules.fast_dataclass import fast_dataclass

OBJECTIVE = "objective"
"""Name of the part in notes about the objective."""


class NoteCause(IntEnum):
    """Causes of notes, as numbers of ScoreNote.Cause."""

    NUMBER_MISSING = 1
    COST_ABOVE_PRICE = 2
    OTHER_CURRENCY = 3
    RATING_WITHOUT_COUNT = 4
    CHANCE_BY_CLICKS = 5
    CHANCE_BY_FORMULA = 6
    NOT_APPLIED = 7


@fast_dataclass(frozen=True, slots=True)
class ScoreNote:
    """Data that a part, or the objective, lacks."""

    part: str
    cause: int
    """A NoteCause, or a cause that only a newer ranker knows."""
    count: int = 0
    """Number of candidates that it concerns; 0 if it concerns the answer."""
