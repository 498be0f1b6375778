"""Results of a model's evaluation, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EvaluationVerdict(StrEnum):
    """Verdict on serving a model."""

    UNKNOWN = "UNKNOWN"
    """Not evaluated, or a verdict that this client is too old to know."""
    PASSED = "PASSED"
    """Better than the answers without a model, and no worse than the model in production by more
    than the margin."""
    FAILED = "FAILED"
    """Worse than one of these."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Too little evidence for either."""


class SplitProtocol(StrEnum):
    """Protocol that splits events into training and test data."""

    UNKNOWN = "UNKNOWN"
    GLOBAL = "GLOBAL"
    """At one time for all shoppers; verdicts are based on it."""
    PER_USER_TAIL = "PER_USER_TAIL"
    """The last share of each shopper's events; for comparison only."""


class SystemKind(StrEnum):
    """Kind of a measured system."""

    UNKNOWN = "UNKNOWN"
    CANDIDATE = "CANDIDATE"
    PRODUCTION = "PRODUCTION"
    BASELINE = "BASELINE"


class ProductionForm(StrEnum):
    """Form in which the model in production was compared."""

    UNKNOWN = "UNKNOWN"
    """No model served, or a form that this client is too old to know."""
    ARTIFACT = "ARTIFACT"
    """The serving artefact itself."""
    REFITTED = "REFITTED"
    """Its recipe, trained again on the candidate's training events."""


@dataclass(frozen=True, slots=True)
class EvaluationFigure:
    """A quality figure; the contract's comments define each name."""

    name: str
    """With its cut-off, e.g. "ndcg@10"."""
    value: float
    low: float | None
    """Lower bound of the 95% interval; `None` if it has none."""
    high: float | None
    sample_count: int
    """Number of shoppers."""


@dataclass(frozen=True, slots=True)
class EvaluationSlice:
    """Figures for one slice of the test."""

    name: str
    """"regulars", "new_shoppers" or "new_items"."""
    figures: tuple[EvaluationFigure, ...]
    """Empty if no shopper was measured."""

    def figure(self, name: str) -> EvaluationFigure | None:
        """Return the figure of this name; None = it was not measured."""
        return next((one for one in self.figures if one.name == name), None)


@dataclass(frozen=True, slots=True)
class BrandExposure:
    """Share of the first places of one brand; shares from 0 to 1."""

    brand: str
    """Empty for products without a brand and all other brands together."""
    place_share: float
    """Share of the first ten places."""
    product_share: float
    """Share of the catalog's products."""
    interest_share: float
    """Share of the shoppers' held-out interests."""


@dataclass(frozen=True, slots=True)
class EvaluatedSystem:
    """A recommender that was measured."""

    name: str
    kind: SystemKind
    slices: tuple[EvaluationSlice, ...]
    exposures: tuple[BrandExposure, ...]
    settings: str = ""
    """Parameters chosen on a validation part of the training events; empty if none were."""

    def slice(self, name: str) -> EvaluationSlice | None:
        """Return the slice of this name; None = it does not exist."""
        return next((one for one in self.slices if one.name == name), None)


@dataclass(frozen=True, slots=True)
class EvaluationComparison:
    """Comparison of the candidate with another system, on the same shoppers."""

    against: str
    metric: str
    difference: float
    """Candidate minus other system."""
    low: float
    """Lower bound of its 95% interval."""
    high: float
    smallest_effect: float | None
    """Smallest true difference that the data would detect with a power of 80%; `None` if unknown.
    """
    margin: float
    """Tolerated deficit to the other system; 0 if the candidate must be better."""
    verdict: EvaluationVerdict
    decides: bool
    """True if the model's verdict is based on it."""


@dataclass(frozen=True, slots=True)
class EvaluationTrial:
    """Results on one split of the events."""

    protocol: SplitProtocol
    share: float
    """Share of the events that were held out."""
    split_time: datetime | None
    """Time of the split, the first that was held out; `None` if it differs by shopper."""
    event_count_before: int
    event_count_after: int
    product_count: int
    systems: tuple[EvaluatedSystem, ...]
    """"candidate" first, then "production" if a model served, then the baselines."""
    comparisons: tuple[EvaluationComparison, ...]
    order_tests: tuple[EvaluationComparison, ...] = ()
    """Shuffle test: nDCG@10 of the system `against`, less that with histories in random order."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results of a model's evaluation."""

    model_version: str
    """Empty for an offline evaluation."""
    verdict: EvaluationVerdict
    summary: str
    """Reasons for the verdict, with the smallest detectable effect."""
    trials: tuple[EvaluationTrial, ...]
    """Results by split; the one that the verdict is based on comes first."""
    production_version: str
    """Model in production that was compared; empty if none served."""
    production_form: ProductionForm
    shopper_count: int
    """Number of shoppers that the verdict is based on."""
    evaluate_time: datetime | None
    findings: tuple[str, ...] = ()
    """Baselines that are better than the candidate, and whether order matters: sentences."""
