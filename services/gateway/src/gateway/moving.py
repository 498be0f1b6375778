"""What else than the raw score places products in an answer, as values."""

from dataclasses import dataclass
from enum import StrEnum

Addends = tuple[tuple[str, float], ...]
"""What one part of a raw score is made of: names with values, largest first."""


class MoveCause(StrEnum):
    """Why a product moved; the names are those of Move.Cause without its prefix."""

    UNSPECIFIED = "UNSPECIFIED"
    """One that a newer ranker knows."""
    DIVERSITY = "DIVERSITY"
    BRAND_CAP = "BRAND_CAP"
    CATEGORY_CAP = "CATEGORY_CAP"
    POPULARITY = "POPULARITY"
    EXPLORATION = "EXPLORATION"
    CONTROL = "CONTROL"
    COLLAPSE = "COLLAPSE"


@dataclass(frozen=True, slots=True)
class Move:
    """Why a product does not stand where its raw score would put it."""

    cause: MoveCause
    places: int
    """Up (> 0) or down."""


@dataclass(frozen=True, slots=True)
class Diversity:
    """What a scene asks of the order beside the raw score; see scenes/default.toml. All off."""

    diversity: float = 0.0
    popularity: float = 0.0
    window: int = 100
    cap_places: int = 10
    brand_cap: int = 0
    """0 = any number."""
    category_caps: tuple[tuple[int, int], ...] = ()
    """(level, most of one category), by level."""
    exploration_places: tuple[int, ...] = ()
    exploration_days: float = 30.0
