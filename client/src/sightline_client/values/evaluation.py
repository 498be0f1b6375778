"""Results of a model's evaluation, as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.values.methods import EvaluatedSystemMethods, EvaluationSliceMethods


class EvaluationVerdict(StrEnum):
    """Result of the evaluation."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    PASSED = "PASSED"
    """Better than popularity and than the answers without a model, and no worse than the model in
    production by more than the margin (95% confidence)."""
    FAILED = "FAILED"
    """Worse than one of the first two, or worse than the model in production by more than the
    margin (95% confidence)."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Too little evidence for PASSED or FAILED. The current serving model, or the answers without
    one, should stay in use."""


class SplitProtocol(StrEnum):
    """How events were split."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    GLOBAL = "GLOBAL"
    """At one time for all shoppers: training uses no later event of any shopper. Verdicts are based
    on it."""
    PER_USER_TAIL = "PER_USER_TAIL"
    """The last share of each shopper's events, by (time, product): training uses later events of
    other shoppers. For comparison only."""


class SystemKind(StrEnum):
    """Kind of system."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    CANDIDATE = "CANDIDATE"
    """The model that is evaluated."""
    PRODUCTION = "PRODUCTION"
    """The model in production."""
    BASELINE = "BASELINE"
    """A classic recommender with the same training events and the same histories."""


class ProductionForm(StrEnum):
    """How the model in production was compared."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    ARTIFACT = "ARTIFACT"
    """The serving artefact itself: all its training events are older than the split."""
    REFITTED = "REFITTED"
    """Its recipe, trained again on the candidate's training events, because the artefact was
    trained on held-out events."""


@dataclass(frozen=True, slots=True)
class EvaluationFigure:
    """A quality figure."""

    name: str
    """Name of the metric, @k over the first k places: "precision@k", "recall@k", "ndcg@k", "map@k",
    "mrr@k", "hit@k": 0 to 1, higher is better, for k 5, 10 and 20. "auc": 0 to 1; 0.5 is chance.
    "novelty@10": in bits, not negative: higher if fewer shoppers like the listed products.
    "diversity@10": 0 to 1: mean dissimilarity of the listed products. "popularity@10": 0 to 1:
    share of shoppers who like the listed products. "popularity_lift@10": -1 and up: popularity
    bias, how much more popular the listed products are than those that the same shoppers like; 0 if
    equal. "coverage@10": 0 to 1: share of the catalog that is listed for at least one shopper.
    "gini@10": 0 to 1: how unequally places are distributed over products."""
    value: float
    """Mean over shoppers. For coverage, gini and popularity_lift: computed over all lists
    together."""
    low: float | None
    """Lower bound of the 95% interval by resampling of shoppers (BCa bootstrap). None for figures
    computed over all lists together."""
    high: float | None
    """Upper bound of the interval. None for the same figures."""
    sample_count: int
    """Number of shoppers."""


@dataclass(frozen=True, slots=True)
class BrandExposure:
    """Share of the first places of one brand."""

    brand: str
    """The brand. Empty for products without a brand and all other brands together."""
    place_share: float
    """Share of the first ten places, 0 to 1."""
    product_share: float
    """Share of the catalog's products, 0 to 1."""
    interest_share: float
    """Share of the shoppers' held-out interests, 0 to 1."""


@dataclass(frozen=True, slots=True)
class EvaluationSlice(EvaluationSliceMethods):
    """Figures for one slice of the test."""

    name: str
    """"regulars": shoppers with a history; verdicts are based on them. "new_shoppers": shoppers
    without a history, ranked by their first three held-out interests and tested on the rest.
    "new_items": regulars, tested on products that no shopper liked before the split, ranked among
    those alone."""
    figures: tuple[EvaluationFigure, ...]
    """The figures. Empty if the slice has no shoppers."""


@dataclass(frozen=True, slots=True)
class EvaluationComparison:
    """Comparison of the candidate with another system, on the same shoppers."""

    against: str
    """Name of the other system."""
    metric: str
    """Name of the metric, as in EvaluationFigure."""
    difference: float
    """Candidate minus other system, -1 to 1."""
    low: float
    """Lower bound of the 95% interval, paired by shopper."""
    high: float
    """Upper bound of the interval."""
    smallest_effect: float | None
    """Smallest true difference that the data would detect with a power of 80%, above 0. None with
    fewer than two shoppers."""
    margin: float
    """Tolerated deficit to the other system, not negative. 0 if the candidate must be better."""
    verdict: EvaluationVerdict
    """Result of the comparison."""
    decides: bool
    """True if the verdict on the model is based on this comparison."""


@dataclass(frozen=True, slots=True)
class EvaluatedSystem(EvaluatedSystemMethods):
    """A recommender that was measured."""

    name: str
    """"candidate", "production", "popularity", "no model" (products that others liked beside the
    shopper's last ones, then popular ones), "popularity of 7 days", "item-kNN", "EASE", "V-SKNN" or
    "sequential rules"."""
    kind: SystemKind
    """Kind of system."""
    slices: tuple[EvaluationSlice, ...]
    """Figures by slice of shoppers or products."""
    exposures: tuple[BrandExposure, ...]
    """Share of the first places by brand: the brands with most places, then all others as one."""
    settings: str = ""
    """Parameters chosen on a validation part of the training events, such as "λ 350, last 10
    products". Empty if none were chosen."""


@dataclass(frozen=True, slots=True)
class EvaluationTrial:
    """Results on one split of the events."""

    protocol: SplitProtocol
    """How events were split."""
    share: float
    """Share of the events that were held out, above 0 and below 1."""
    split_time: datetime | None
    """Time of the split (UTC): time of the first held-out event. None for PER_USER_TAIL."""
    event_count_before: int
    """Number of training events."""
    event_count_after: int
    """Number of held-out events."""
    product_count: int
    """Number of products that are ranked."""
    systems: tuple[EvaluatedSystem, ...]
    """Systems that were measured: "candidate" first, then "production" if a model served, then the
    baselines."""
    comparisons: tuple[EvaluationComparison, ...]
    """Comparisons of the candidate with each other system, on the same shoppers."""
    order_tests: tuple[EvaluationComparison, ...] = ()
    """Shuffle test: nDCG@10 of the system ``against``, less its figure if each history is in random
    order. "candidate" is asked with shuffled histories, "sequential rules" is trained on them, too.
    Order matters if an interval is above 0. Empty without a candidate, and for evaluations before
    0.22."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An offline evaluation of a model. The model's recipe is trained on the earlier part of the
    events and compared with baselines by how well each predicts the held-out interests of the same
    shoppers."""

    model_version: str
    """Model whose recipe was evaluated. Empty for an offline evaluation without a model."""
    verdict: EvaluationVerdict
    """Result of the evaluation."""
    summary: str
    """Reasons for the verdict, in English sentences, with the smallest detectable effect."""
    trials: tuple[EvaluationTrial, ...]
    """Results by split. The one that the verdict is based on comes first."""
    production_version: str
    """Model in production that was compared. Empty if none served."""
    production_form: ProductionForm
    """How the model in production was compared."""
    shopper_count: int
    """Number of shoppers that the verdict is based on, 0 and up. Below 100 intervals are wider: a
    model has to show more."""
    evaluate_time: datetime | None
    """When the evaluation ran (UTC)."""
    findings: tuple[str, ...] = ()
    """What else the split of the verdict shows, in English sentences: each baseline that is better
    than the candidate with the whole interval, with the setting by which a scene uses it, and
    whether the order of histories matters. Empty for evaluations before 0.22."""
