"""Results of a model's evaluation, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EvaluationVerdict(StrEnum):
    """Verdict on serving a model."""

    UNKNOWN = "UNKNOWN"
    """Not evaluated, or a verdict that this client is too old to know."""
    PASSED = "PASSED"
    """Shown: better than popularity, and no worse than the model in production."""
    FAILED = "FAILED"
    """Refuted: surely worse than one of the two."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Too little evidence for either."""


class SplitProtocol(StrEnum):
    """Protocol that splits events into training and test data."""

    UNKNOWN = "UNKNOWN"
    GLOBAL = "GLOBAL"
    """At one moment for everyone; verdicts rest on it."""
    PER_USER_TAIL = "PER_USER_TAIL"
    """The last share of each shopper's events; an appendix."""


class SystemKind(StrEnum):
    """Kind of a measured system."""

    UNKNOWN = "UNKNOWN"
    CANDIDATE = "CANDIDATE"
    PRODUCTION = "PRODUCTION"
    BASELINE = "BASELINE"


class ProductionForm(StrEnum):
    """Form in which the model in production was compared."""

    UNKNOWN = "UNKNOWN"
    """None served, or a form that this client is too old to know."""
    ARTIFACT = "ARTIFACT"
    """As it serves."""
    REFITTED = "REFITTED"
    """Its recipe, learned anew from what the candidate learned from."""


@dataclass(frozen=True, slots=True)
class EvaluationFigure:
    """A figure of quality; the contract's comments say what each name means."""

    name: str
    """With its cut-off, e.g. "ndcg@10"."""
    value: float
    low: float | None
    """Lower end of the 95% interval; None = it has none."""
    high: float | None
    sample_count: int
    """Shoppers it rests on."""


@dataclass(frozen=True, slots=True)
class EvaluationSlice:
    """Figures for one kind of question."""

    name: str
    """"regulars", "new_shoppers" or "new_items"."""
    figures: tuple[EvaluationFigure, ...]
    """Empty = no shopper was measured."""

    def figure(self, name: str) -> EvaluationFigure | None:
        """Return the figure of this name; None = it was not measured."""
        return next((one for one in self.figures if one.name == name), None)


@dataclass(frozen=True, slots=True)
class BrandExposure:
    """A brand's share of the places; shares from 0 to 1."""

    brand: str
    """Empty = products without one, and all other brands."""
    place_share: float
    """Of the first ten places."""
    product_share: float
    """Of the catalog's products."""
    interest_share: float
    """Of what shoppers liked in the part that was held out."""


@dataclass(frozen=True, slots=True)
class EvaluatedSystem:
    """A recommender that was measured."""

    name: str
    kind: SystemKind
    slices: tuple[EvaluationSlice, ...]
    exposures: tuple[BrandExposure, ...]

    def slice(self, name: str) -> EvaluationSlice | None:
        """Return the slice of this name; None = it does not exist."""
        return next((one for one in self.slices if one.name == name), None)


@dataclass(frozen=True, slots=True)
class EvaluationComparison:
    """The candidate against another system, on the same shoppers."""

    against: str
    metric: str
    difference: float
    """Candidate less the other."""
    low: float
    """Lower end of its 95% interval."""
    high: float
    smallest_effect: float | None
    """The smallest true difference that the data would show in 80% of cases; None = cannot say."""
    margin: float
    """How much less than the other is still no worse; 0 = it has to be better."""
    verdict: EvaluationVerdict
    decides: bool
    """Whether the model's verdict rests on it."""


@dataclass(frozen=True, slots=True)
class EvaluationTrial:
    """Results on one split of the events."""

    protocol: SplitProtocol
    share: float
    """Of the events that were held out."""
    split_time: datetime | None
    """The first moment that was held out; None = another one for each shopper."""
    event_count_before: int
    event_count_after: int
    product_count: int
    systems: tuple[EvaluatedSystem, ...]
    """"candidate" first, then "production" if a model served, then the baselines."""
    comparisons: tuple[EvaluationComparison, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results of a model's evaluation."""

    model_version: str
    """Empty = evaluated offline."""
    verdict: EvaluationVerdict
    summary: str
    """Why, with the smallest effect that the data could show."""
    trials: tuple[EvaluationTrial, ...]
    """The one that the verdict rests on first."""
    production_version: str
    """What it was compared with; empty = no model served."""
    production_form: ProductionForm
    shopper_count: int
    """Shoppers that the verdict rests on."""
    evaluate_time: datetime | None
