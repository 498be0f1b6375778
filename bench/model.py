"""What a bench gives back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float


class Verdict(StrEnum):
    """What came of a goal."""

    MET = "MET"
    """The whole interval is within the limit."""
    MISSED = "MISSED"
    """Some of the interval is beyond it."""
    NOT_MEASURED = "NOT MEASURED"
    """There is no figure."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit that a figure should keep."""

    name: str
    at_most: float | None
    """None = there is no upper limit."""
    unit: str
    measured: Interval | None
    """None = could not be measured here."""
    at_least: float | None = None
    """None = there is no lower limit."""

    @property
    def verdict(self) -> Verdict:
        """What came of it."""
        if self.measured is None:
            return Verdict.NOT_MEASURED
        kept = (self.at_most is None or self.measured.high <= self.at_most) and (
            self.at_least is None or self.measured.low >= self.at_least
        )
        return Verdict.MET if kept else Verdict.MISSED


@dataclass(frozen=True, slots=True)
class Table:
    """Figures for people."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    section: int | None = 0
    """Column whose change starts a new section of rows; None = there are no sections."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one bench found."""

    tables: tuple[Table, ...]
    figures: Mapping[str, object]
    """The same and more for programs; becomes JSON."""
    goals: Sequence[Goal] = field(default=())
    warnings: tuple[str, ...] = ()
    """What a reader must know before believing the figures."""
