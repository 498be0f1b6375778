"""What an evaluation found, as plain values that go to JSON."""

from dataclasses import dataclass
from enum import StrEnum

from ranker.domain.model import Verdict


class Protocol(StrEnum):
    """How events are split."""

    GLOBAL = "global"
    PER_USER_TAIL = "per-user-tail"


class Kind(StrEnum):
    """What a compared system is."""

    CANDIDATE = "CANDIDATE"
    PRODUCTION = "PRODUCTION"
    BASELINE = "BASELINE"


class ProductionAs(StrEnum):
    """How the model in production was compared."""

    NONE = "NONE"
    """None serves."""
    ARTIFACT = "ARTIFACT"
    """As it serves: all that it learned from is older than the split."""
    REFITTED = "REFITTED"
    """Its recipe, learned anew from the candidate's events: as it serves it knows the answers."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of quality; metrics.py says what each name means."""

    name: str
    value: float
    low: float | None
    """End of the interval; None = of all lists together, which have none."""
    high: float | None
    sample_count: int
    """Shoppers it rests on."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The figures of one kind of shoppers or products."""

    name: str
    """"regulars", "new_shoppers" or "new_items"."""
    figures: tuple[Figure, ...]
    """Empty = there was nobody to ask."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """How much of the places a brand gets."""

    brand: str
    """Empty = products without one, or of all other brands."""
    places: float
    """Share of the places in the first ten, 0 to 1."""
    products: float
    """Share of the catalog's products."""
    interests: float
    """Share of what shoppers wanted."""


@dataclass(frozen=True, slots=True)
class System:
    """One of those that were compared."""

    name: str
    kind: Kind
    slices: tuple[Slice, ...]
    exposures: tuple[Exposure, ...]
    """The brands that get most places, then all others as one."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The candidate against another system, on the same shoppers."""

    against: str
    metric: str
    difference: float
    """Candidate less the other."""
    low: float
    high: float
    smallest_effect: float | None
    """The smallest true difference that these shoppers would show four times in five; None = there
    are fewer than two."""
    margin: float
    """How much less than the other still counts as no worse; 0 = it has to be better."""
    verdict: Verdict
    decides: bool
    """Whether the verdict on the model rests on it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Everything that one split showed."""

    protocol: Protocol
    share: float
    """Of the events that were held out."""
    moment_micros: int | None
    """Where time was cut; None = for each shopper elsewhere."""
    events_before: int
    events_after: int
    product_count: int
    systems: tuple[System, ...]
    """The candidate first, then production if there is one, then the baselines."""
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found."""

    verdict: Verdict
    summary: str
    """Why, in sentences."""
    trials: tuple[Trial, ...]
    """The one that decides first."""
    production: str
    """Version of the model in production; empty = none."""
    production_as: ProductionAs
    shopper_count: int
    """Shoppers the verdict rests on."""
    evaluated_micros: int
    """When, microseconds since 1970 (UTC)."""
