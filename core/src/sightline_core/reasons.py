"""Reasons of products, and why ranks differ from score ranks."""

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
        """The product that it names; empty if none."""
        return next((value for name, value in self.parameters if name == "product_id"), "")


class MoveCause(IntEnum):
    """Rule that moves a product, by the numbers of Move.Cause."""

    UNSPECIFIED = 0
    DIVERSITY = 1
    BRAND_CAP = 2
    CATEGORY_CAP = 3
    POPULARITY = 4
    EXPLORATION = 5
    CONTROL = 6
    COLLAPSE = 7
    OBJECTIVE = 8
    CALIBRATION = 9


@dataclass(frozen=True, slots=True)
class Move:
    """Number of places that a rule moved a product up; negative: down."""

    cause: int
    """A MoveCause, or a cause that only a newer ranker knows."""
    places: int
