"""Estimator of live searches' recall, from a random subset of the index's rows.

The estimator. Take a random subset of the rows. A search answered k rows, the last of them with
similarity t. Every row that passes its filter and is nearer than t should be among them; of the
subset's rows that can be checked exactly, at the cost of a scan of the subset. So each search gives
the number of the subset's rows that were expected and the number of these that were found, and over
many searches

    recall = found rows / expected rows

is a ratio estimate of the share that is found of all rows nearer than the last one answered. With
m rows missed that is k / (k + m), whereas recall@k counts the misses among the first k alone. The
two are the same when misses are spread evenly over the ranks; where the last ranks are missed
more, as graphs do, this is the lower of the two, by less than m / k. Where a search answers fewer
rows than it was asked for, all that pass are expected.

The interval is Wilson's (95%) with an effective number of observations: that of the expected rows,
divided by how much more the searches differ than independent rows would (Kish's design effect from
the ratio's linearised variance), and at most the number of different rows that were expected: one
that the index lost is missed by every search near it. For rows outside the subset it holds as far
as a random draw represents them. It is evaluated after every search, so a recall just above the
floor occasionally appears below it; one well above it does not.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median_low
from typing import Self

from sightline_rules.shares import wilson

WINDOW_SECONDS = 3_600.0
"""Age at which a look is dropped."""
MOST_ROWS = 5_000
"""Expected rows of a window, about: 200 kB. Beyond, the oldest look goes."""
MOST_LOOKS = 5_000
WIDE = 0.2
NARROW = 0.01


class FilterClass(StrEnum):
    """Classes of filters by the share of a catalog that they pass."""

    NONE = "none"
    """No filter, or one that passes everything."""
    WIDE = "wide"
    """20% and more."""
    MIDDLE = "middle"
    NARROW = "narrow"
    """Less than 1%."""

    @classmethod
    def of(cls, share: float) -> Self:
        """Return the class of a filter that passes this share (0 to 1) of a catalog."""
        if share >= 1:
            return cls.NONE
        if share >= WIDE:
            return cls.WIDE
        return cls.MIDDLE if share >= NARROW else cls.NARROW


@dataclass(frozen=True, slots=True)
class Look:
    """An exact check of one search on the subset."""

    expected: tuple[int, ...]
    """Rows of the subset that the search should have found; a number for each."""
    found: int
    """Number of them that it found."""
    k: int
    """Rows that it was asked for."""
    time: float
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class Recall:
    """An estimate with its interval, 0 to 1 each."""

    value: float
    lower: float
    upper: float
    looks: int
    """Searches behind it."""
    rows: int
    """Rows that they should have found, all together."""
    k: int
    """The middle one of how many rows they were asked for."""


@dataclass(slots=True)
class Window:
    """The newest looks at searches of one kind."""

    looks: deque[Look] = field(default_factory=deque)
    rows: int = 0

    def add(self, look: Look) -> None:
        """Add a check; drop checks that are too old or beyond the maximum number of rows."""
        self.looks.append(look)
        self.rows += len(look.expected)
        oldest = look.time - WINDOW_SECONDS
        while len(self.looks) > 1 and (
            self.looks[0].time < oldest or self.rows > MOST_ROWS or len(self.looks) > MOST_LOOKS
        ):
            self.rows -= len(self.looks.popleft().expected)


def pooled(looks: Sequence[Look]) -> Recall | None:
    """Return the pooled estimate of some checks, or `None` if no row was expected."""
    rows = sum(len(look.expected) for look in looks)
    if not rows:
        return None
    value = sum(look.found for look in looks) / rows
    different = len({row for look in looks for row in look.expected})
    lower, upper = wilson(value, min(rows / _design_effect(looks, value, rows), different))
    k = median_low(look.k for look in looks)
    return Recall(value, lower, upper, len(looks), rows, k)


def _design_effect(looks: Sequence[Look], value: float, rows: int) -> float:
    """Return the factor by which the variance exceeds that of independent rows."""
    if len(looks) < 2 or not 0 < value < 1:
        return 1.0
    residuals = sum((look.found - value * len(look.expected)) ** 2 for look in looks)
    variance = residuals * len(looks) / (len(looks) - 1) / rows**2
    return max(1.0, variance / (value * (1 - value) / rows))
