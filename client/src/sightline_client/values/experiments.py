"""Experiments and their results; docs/merchandise/experiments.md explains each figure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class ArmVerdict(StrEnum):
    """Verdict on an arm against the control."""

    UNSPECIFIED = "UNSPECIFIED"
    """The control itself, or a verdict that this client is too old to know."""
    TOO_FEW = "TOO_FEW"
    UNDECIDED = "UNDECIDED"
    BETTER = "BETTER"
    WORSE = "WORSE"
    GUARDRAIL_BROKEN = "GUARDRAIL_BROKEN"
    SAMPLE_RATIO_MISMATCH = "SAMPLE_RATIO_MISMATCH"


@dataclass(frozen=True, slots=True)
class ExperimentArm:
    """One arm of an experiment."""

    name: str
    share: float
    """Share of the experiment's units, 0 to 1."""
    scene: str
    """Scene that answers; "" for the requested one."""


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A metric that must not become worse."""

    metric: str
    margin: float
    """Tolerated deterioration compared with the control."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A split test of scenes; the first arm is the control."""

    name: str
    description: str
    layer: str
    layer_start: float
    layer_end: float
    """Bounds of its share of the layer's units, 0 to 1."""
    seed: str
    scenes: tuple[str, ...]
    arms: tuple[ExperimentArm, ...]
    start_time: datetime
    end_time: datetime | None
    metric: str
    """Primary metric."""
    currency: str
    outcome_window: timedelta
    """Duration after a unit's first exposure in which its actions count."""
    planned_units: int
    guardrails: tuple[Guardrail, ...]


@dataclass(frozen=True, slots=True)
class ExperimentList:
    """The experiments of a catalog, latest start first."""

    experiments: tuple[Experiment, ...]
    problem: str
    """Why the gateway's experiment files are invalid; "" if they are valid."""


@dataclass(frozen=True, slots=True)
class EffectInterval:
    """A difference to the control with its 95% confidence sequence."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class MetricReport:
    """A metric of one arm, by unit."""

    metric: str
    mean: float
    effect: EffectInterval | None
    """`None` for the control, or with too few units."""


@dataclass(frozen=True, slots=True)
class ArmReport:
    """Results of an arm."""

    name: str
    exposed_count: int
    """Number of units that saw an answer of the arm."""
    unit_count: int
    """Number of these units whose outcome window is over; all figures are based on them."""
    metrics: tuple[MetricReport, ...]
    verdict: ArmVerdict
    broken_guardrails: tuple[str, ...]
    unpriced_count: int = 0
    """Purchased pieces that count 0 in revenue: no price in the currency is known."""
    uncosted_count: int = 0
    """Purchased pieces that count 0 in margin: their price or cost is unknown."""


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """Results of an experiment; valid at any number of readings."""

    experiment: Experiment
    count_time: datetime
    arms: tuple[ArmReport, ...]
    """The control first."""
    mixed_unit_count: int
    """Number of units that were exposed to several arms; they count in their first one."""
    mismatch_evidence: float
    """Evidence for a sample ratio mismatch; from 1,000 the results are invalid."""
    sample_ratio_mismatch: bool


@dataclass(frozen=True, slots=True)
class ExperimentUnit:
    """Events of one unit."""

    unit: str
    """Hash that can't be matched with units of other experiments."""
    arm: str
    exposure_time: datetime
    click_count: int
    purchase_count: int
    revenue: float
    hide_count: int
