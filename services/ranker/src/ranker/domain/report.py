"""Results of an evaluation, as plain values for JSON. Their fields are those of the messages of
evaluation.proto, which documents them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ranker.domain.model import ModelVerdict


class Protocol(StrEnum):
    """How events were split."""

    GLOBAL = "global"
    PER_USER_TAIL = "per-user-tail"


class SystemKind(StrEnum):
    """Kind of a compared system."""

    CANDIDATE = "CANDIDATE"
    PRODUCTION = "PRODUCTION"
    BASELINE = "BASELINE"


class ProductionAs(StrEnum):
    """How the model in production was compared."""

    NONE = "NONE"
    ARTIFACT = "ARTIFACT"
    REFITTED = "REFITTED"


@dataclass(frozen=True, slots=True)
class Figure:
    """A quality figure; metrics.py defines the names."""

    name: str
    value: float
    low: float | None
    high: float | None
    sample_count: int


@dataclass(frozen=True, slots=True)
class FigureSlice:
    """Figures of one slice of shoppers or products."""

    name: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Exposure:
    """Share of the first places of one brand."""

    brand: str
    places: float
    products: float
    interests: float


@dataclass(frozen=True, slots=True)
class System:
    """A compared system."""

    name: str
    kind: SystemKind
    slices: tuple[FigureSlice, ...]
    exposures: tuple[Exposure, ...]
    settings: str = ""


@dataclass(frozen=True, slots=True)
class SystemComparison:
    """Comparison of the candidate with another system, on the same shoppers."""

    against: str
    metric: str
    difference: float
    low: float
    high: float
    smallest_effect: float | None
    margin: float
    verdict: ModelVerdict
    decides: bool


@dataclass(frozen=True, slots=True)
class SplitReport:
    """Results on one split."""

    protocol: Protocol
    share: float
    moment_micros: int | None
    events_before: int
    events_after: int
    product_count: int
    systems: tuple[System, ...]
    comparisons: tuple[SystemComparison, ...]
    order_tests: tuple[SystemComparison, ...] = ()


POPULARITY, UNTRAINED = "popularity", "no model"
"""Names of the baselines that a model has to be better than; margins are over popularity."""
HELD_OUT = 0.2
"""Share of the events that the evaluation of a full training holds out."""


@dataclass(frozen=True, slots=True)
class ProvenMargin:
    """Proven margin of a model over popularity, as of its promotion."""

    version: str
    margin: float
    """Lower end of the 95% interval of the difference in the decisive metric, so that the luckiest
    of many models is no stricter measure than the others."""
    held_out: float
    """Share of the events that were held out."""

    def comparable(self, held_out: float) -> bool:
        """Return whether an evaluation of this share asks alike: a full training's, or that of a
        continued model, which is asked only about the newest events."""
        return (self.held_out < HELD_OUT) == (held_out < HELD_OUT)


def best_margin(proven: Iterable[ProvenMargin], held_out: float) -> ProvenMargin | None:
    """Return the largest margin above 0 that such an evaluation can be compared with."""
    found = [one for one in proven if one.margin > 0 and one.comparable(held_out)]
    return max(found, key=lambda one: one.margin, default=None)


@dataclass(frozen=True, slots=True)
class Report:
    """Results of an evaluation."""

    verdict: ModelVerdict
    summary: str
    trials: tuple[SplitReport, ...]
    production: str
    production_as: ProductionAs
    shopper_count: int
    evaluated_micros: int
    findings: tuple[str, ...] = ()
