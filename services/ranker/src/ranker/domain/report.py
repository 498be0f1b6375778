"""What an evaluation found, as plain values that go to JSON. Their fields are those of the messages
of evaluation.proto, which says what each means."""

from dataclasses import dataclass
from enum import StrEnum

from ranker.domain.model import ModelVerdict


class Protocol(StrEnum):
    """How events are split."""

    GLOBAL = "global"
    PER_USER_TAIL = "per-user-tail"


class SystemKind(StrEnum):
    """What a compared system is."""

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
    """A figure of quality; metrics.py says what each name means."""

    name: str
    value: float
    low: float | None
    high: float | None
    sample_count: int


@dataclass(frozen=True, slots=True)
class FigureSlice:
    """The figures of one kind of shoppers or products."""

    name: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Exposure:
    """How much of the places a brand gets."""

    brand: str
    places: float
    products: float
    interests: float


@dataclass(frozen=True, slots=True)
class System:
    """One of those that were compared."""

    name: str
    kind: SystemKind
    slices: tuple[FigureSlice, ...]
    exposures: tuple[Exposure, ...]


@dataclass(frozen=True, slots=True)
class SystemComparison:
    """The candidate against another system, on the same shoppers."""

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
    """Everything that one split showed."""

    protocol: Protocol
    share: float
    moment_micros: int | None
    events_before: int
    events_after: int
    product_count: int
    systems: tuple[System, ...]
    comparisons: tuple[SystemComparison, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found."""

    verdict: ModelVerdict
    summary: str
    trials: tuple[SplitReport, ...]
    production: str
    production_as: ProductionAs
    shopper_count: int
    evaluated_micros: int
