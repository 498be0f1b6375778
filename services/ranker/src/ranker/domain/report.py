"""Results of an evaluation, as plain values for JSON. Their fields are those of the messages of
evaluation.proto, which documents them."""

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
