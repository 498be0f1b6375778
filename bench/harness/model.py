"""Values that a bench returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float

    def shown(self, digits: int = 3, *, sign: bool = False) -> str:
        """Return the figure and its interval as text, such as "0.612 (0.598 to 0.627)"."""
        form = f"{'+' if sign else ''}.{digits}f"
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"


class GoalVerdict(StrEnum):
    """Outcome of a goal."""

    MET = "MET"
    """The whole interval is within the limit (or the figure, if it decides)."""
    MISSED = "MISSED"
    """A part of it is beyond the limit."""
    NOT_MEASURED = "NOT MEASURED"
    """There is no figure."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit for a figure."""

    name: str
    at_most: float | None
    """None = there is no upper limit."""
    unit: str
    measured: Interval | None
    """None: not measured."""
    at_least: float | None = None
    """None = there is no lower limit."""
    by_figure: bool = False
    """True if the figure decides, and its interval is only shown: for figures of a fixed set of
    people, whose interval describes other people.
    """
    missing: str = ""
    """Reason why there is no figure."""
    note: str = ""
    """Limits of the figure: that settings were chosen on the same data, and the figure on data that
    took no part."""

    @property
    def verdict(self) -> GoalVerdict:
        """Outcome of the goal."""
        if self.measured is None:
            return GoalVerdict.NOT_MEASURED
        found = self.measured
        low, high = (found.value, found.value) if self.by_figure else (found.low, found.high)
        kept = (self.at_most is None or high <= self.at_most) and (
            self.at_least is None or low >= self.at_least
        )
        return GoalVerdict.MET if kept else GoalVerdict.MISSED


def chosen_here(elsewhere: str | None) -> str:
    """Return the note of a figure whose settings were chosen on the same folds, with the figure
    `elsewhere`, if there is one."""
    return f"chosen on these folds, {elsewhere or 'not measured on others'}"


@dataclass(frozen=True, slots=True)
class BenchTable:
    """Figures for people."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    section: int | None = 0
    """Column whose change starts a new section of rows; None: no sections."""


@dataclass(frozen=True, slots=True)
class PageBlock:
    """Tables and goals between two comments of a page."""

    tables: tuple[BenchTable, ...]
    goals: Sequence[Goal] = field(default=())


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Tables, figures and goals of one bench."""

    tables: tuple[BenchTable, ...]
    figures: Mapping[str, object]
    """The same figures and more for programs; written as JSON."""
    goals: Sequence[Goal] = field(default=())
    warnings: tuple[str, ...] = ()
    """Warnings for readers of the figures."""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """SVG files by name, written into the folder of the bench's page."""
    page: Mapping[str, PageBlock] | None = None
    """Blocks of the page by the names in their comments; None: one block of the bench's name, with
    all tables and goals."""
