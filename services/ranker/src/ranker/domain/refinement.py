"""What clicks on searches by photo teach about a fitted space."""

from dataclasses import dataclass

from ranker.domain.arrays import Floats

REFINE = "refine_space"
"""Kind of the job that refines a space."""


@dataclass(frozen=True, slots=True)
class ClickGain:
    """Weighted share of clicks outside the training whose product is the nearest, with its 95%
    interval over shoppers."""

    hit: float
    hit_low: float
    hit_high: float
    baseline: float
    """Share in the space that is refined, measured like `hit`."""
    gain_low: float
    gain_high: float
    """Ends of the interval of the paired difference."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """A refinement of a fitted space."""

    space_version: str
    matrix: Floats
    """(dimension, columns): vectors of the space are multiplied by it."""
    click_count: int
    shopper_count: int
    gain: ClickGain
