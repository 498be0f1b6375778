"""Experiments and their results; docs/merchandise/experiments.md explains each figure.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class ArmVerdict(StrEnum):
    """Result of the arm against the control."""

    UNSPECIFIED = "UNSPECIFIED"
    """Not set, or a value that this client is too old to know."""
    TOO_FEW = "TOO_FEW"
    """Too few units for an interval."""
    UNDECIDED = "UNDECIDED"
    """The interval of the primary metric contains 0."""
    BETTER = "BETTER"
    """Better by the primary metric."""
    WORSE = "WORSE"
    """Worse by the primary metric."""
    GUARDRAIL_BROKEN = "GUARDRAIL_BROKEN"
    """A guardrail is worse by more than its margin."""
    SAMPLE_RATIO_MISMATCH = "SAMPLE_RATIO_MISMATCH"
    """Sample ratio mismatch: the results are invalid."""


@dataclass(frozen=True, slots=True)
class ExperimentArm:
    """One arm of an experiment."""

    name: str
    """Name, 1 to 20 characters of a-z, 0-9, _ and -."""
    share: float
    """Share of the experiment's units, above 0; at most 1 for all arms together. Requests of the
    remaining units are answered without the experiment."""
    scene: str
    """Scene that answers. If empty, the requested scene."""


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A metric that must not become worse."""

    metric: str
    """A metric, as in Experiment.metric."""
    margin: float
    """Tolerated deterioration compared with the control, in the metric's unit, not negative."""


@dataclass(frozen=True, slots=True)
class EffectInterval:
    """A difference with its 95% confidence sequence, which holds for all readings together. The
    error probability is divided among the arms."""

    value: float
    """The difference."""
    lower: float
    """Lower bound."""
    upper: float
    """Upper bound."""


@dataclass(frozen=True, slots=True)
class ExperimentUnit:
    """A unit that was exposed to one arm and whose outcome window is over."""

    unit: str
    """Hash of the unit's pseudonym and the experiment, 32 hexadecimal digits. It can't be matched
    with units of other experiments."""
    arm: str
    """Name of the arm."""
    exposure_time: datetime
    """When the unit was first exposed (UTC)."""
    click_count: int
    """Number of clicks in answers of the experiment."""
    purchase_count: int
    """Number of products bought."""
    revenue: float
    """Revenue in the experiment's currency, by the prices of purchases alone, not negative."""
    hide_count: int
    """Number of products hidden."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A split test of scenes. Its unit is the shopper: the user if known, otherwise the visitor."""

    name: str
    """Name, 1 to 40 characters of a-z, 0-9, _ and -."""
    description: str
    """Human-readable description, up to 1,000 characters. Empty if none."""
    layer: str
    """Layer, 1 to 40 characters of a-z, 0-9, _ and -. Experiments of one layer exclude each other;
    those of different layers are independent."""
    layer_start: float
    """Start of the experiment's share of the layer's units, 0 to 1."""
    layer_end: float
    """End of the experiment's share of the layer's units, above ``layer_start``, up to 1."""
    seed: str
    """Additional input of the assignment to arms, up to 64 characters. If empty, the name alone is
    used."""
    scenes: tuple[str, ...]
    """Scenes whose requests take part, 1 to 16."""
    arms: tuple[ExperimentArm, ...]
    """Arms, 2 to 8. The first is the control."""
    start_time: datetime
    """When the experiment starts (UTC)."""
    end_time: datetime | None
    """When the experiment ends (UTC). If unset, it ends when it is removed."""
    metric: str
    """Primary metric: "click_rate", "clicks", "conversion_rate", "revenue", "hide_rate",
    "revenue_per_impression", "margin" or "margin_per_impression"."""
    currency: str
    """Currency of revenue and margin, ISO 4217, e.g. "EUR". If empty, neither is counted."""
    outcome_window: timedelta
    """Duration after a unit's first exposure in which its actions count, 1 hour to 90 days. The
    unit is counted when the duration is over."""
    planned_units: int
    """Number of units, of the control and one arm together, at which the confidence intervals are
    to be tightest, 100 to 1,000,000,000."""
    guardrails: tuple[Guardrail, ...]
    """Metrics that must not become worse."""


@dataclass(frozen=True, slots=True)
class MetricReport:
    """A metric of one arm. "click_rate", "conversion_rate", "hide_rate": share of units that
    clicked a product in an answer of the experiment, bought a product, or hid a product. "clicks",
    "revenue", "margin": mean per unit. Revenue is by the price of each purchase, else the product's
    current price; margin is the revenue less the products' current costs. Both are left out without
    a currency, margin also without any cost, and for callers without the role "operate".
    "revenue_per_impression", "margin_per_impression": the sum over the units ÷ the number of
    impressions of the arm's answers within their outcome windows. The interval is by the units'
    sums, because purchases and impressions of one unit depend on each other."""

    metric: str
    """Name of the metric."""
    mean: float
    """Mean over the arm's units. Revenue and margin are in the experiment's currency; margin may be
    negative."""
    effect: EffectInterval | None
    """Difference to the control, in the metric's unit. None for the control, or if there are too
    few units."""


@dataclass(frozen=True, slots=True)
class ExperimentList:
    """The experiments of a catalog."""

    experiments: tuple[Experiment, ...]
    """Experiments, latest start first, up to 1,000."""
    problem: str
    """Why the gateway's experiment files are invalid; the last valid ones are then in force. Empty
    if they are valid, or if the ranker answers, which has no such files."""


@dataclass(frozen=True, slots=True)
class ArmReport:
    """Results of one arm."""

    name: str
    """Name of the arm."""
    exposed_count: int
    """Number of units that saw an answer of this arm: an IMPRESSION with the answer's attribution
    token was stored."""
    unit_count: int
    """Number of these units whose outcome window is over. All figures are based on them."""
    metrics: tuple[MetricReport, ...]
    """Results by metric."""
    verdict: ArmVerdict
    """Result of the arm against the control."""
    broken_guardrails: tuple[str, ...]
    """Guardrails that are worse by more than their margin."""
    unpriced_count: int = 0
    """Number of purchased pieces that count 0 in revenue: neither the event nor the product has a
    price in the experiment's currency. 0 without a currency."""
    uncosted_count: int = 0
    """Number of purchased pieces that count 0 in margin: their price, or the cost of their product,
    is unknown or in another currency. 0 without a currency."""


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """Results of an experiment. The report may be read at any time and repeatedly: the confidence
    intervals hold for all readings together."""

    experiment: Experiment
    count_time: datetime
    """When the units were counted (UTC)."""
    arms: tuple[ArmReport, ...]
    """Results by arm, the control first."""
    mixed_unit_count: int
    """Number of units that were exposed to several arms, such as two visitors who became one user.
    They count in the arm that they saw first."""
    mismatch_evidence: float
    """Evidence for a sample ratio mismatch, not negative: likelihood ratio of the numbers of
    exposed units under other shares to those under the planned shares (Lindon, Malek 2022). Without
    a mismatch it reaches 1,000 in at most one of 1,000 experiments."""
    sample_ratio_mismatch: bool
    """True if it has reached 1,000: units were lost or counted in the wrong arm, and the results
    are invalid."""
