"""Why a product is in an answer, and why at another place than its score."""

from dataclasses import dataclass
from enum import IntEnum


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason for a product, in words."""

    code: str
    text: str
    parameters: tuple[tuple[str, str], ...] = ()
    """Names with values."""

    @property
    def product_id(self) -> str:
        """The product that it names; empty: none."""
        return next((value for name, value in self.parameters if name == "product_id"), "")


class MoveCause(IntEnum):
    """What moves a product, by the numbers of Move.Cause."""

    UNSPECIFIED = 0
    DIVERSITY = 1
    BRAND_CAP = 2
    CATEGORY_CAP = 3
    POPULARITY = 4
    EXPLORATION = 5
    CONTROL = 6
    COLLAPSE = 7


@dataclass(frozen=True, slots=True)
class Move:
    """By how many places something moved a product up; below 0: down."""

    cause: int
    """A MoveCause, or one that only a newer ranker knows."""
    places: int
