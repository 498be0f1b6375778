"""What people did in some days."""

from collections.abc import Mapping
from dataclasses import dataclass

from ranker.domain.events import DAY_MICROS


@dataclass(frozen=True, slots=True)
class Sample:
    """A number of values by their moments."""

    count: int
    total: float
    squares: float
    """Sum of the squares."""

    @property
    def mean(self) -> float:
        """0 without values."""
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        """Unbiased; 0 of fewer than two values."""
        if self.count < 2:
            return 0.0
        return max(self.squares - self.total * self.mean, 0.0) / (self.count - 1)


@dataclass(frozen=True, slots=True)
class Window:
    """From a midnight (UTC) on until before another; microseconds since 1970."""

    start_micros: int
    end_micros: int

    @property
    def days(self) -> range:
        """Whole days since 1970."""
        return range(self.start_micros // DAY_MICROS, self.end_micros // DAY_MICROS)


@dataclass(frozen=True, slots=True)
class Activity:
    """What people did in a window."""

    types: Mapping[tuple[int, str], int]
    """Events by day since 1970 and type."""
    shoppers: int
    """People who did something."""
    new_shoppers: int
    """Of whom nothing was known before the window."""
    ratings: Sample
    products: Mapping[str, int]
    """People who showed interest in each product."""
