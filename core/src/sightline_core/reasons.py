"""Reasons of products, and why ranks differ from score ranks."""

from enum import IntEnum
from typing import NamedTuple


class Reason(NamedTuple):
    """A reason for a product, in words. A tuple, because caches by reasons hash many of them."""

    code: str
    text: str
    parameters: tuple[tuple[str, str], ...] = ()
    """Names with values."""

    @property
    def product_id(self) -> str:
        """The product that it names; empty if none."""
        for name, value in self.parameters:
            if name == "product_id":
                return value
        return ""


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


class Move(NamedTuple):
    """Number of places that a rule moved a product up; negative: down."""

    cause: int
    """A MoveCause, or a cause that only a newer ranker knows."""
    places: int
