"""Experiments and how they fare; docs/merchandise/experiments.md explains each figure."""

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
    """One way to answer."""

    name: str
    share: float
    """Of the experiment's units, 0 to 1."""
    scene: str
    """"" = the one that was asked for."""


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A metric that must not become worse."""

    metric: str
    margin: float
    """How much worse than in the control it may be."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A split test of scenes; the first arm is the control."""

    name: str
    description: str
    layer: str
    layer_start: float
    layer_end: float
    """Ends of its part of the layer's units, 0 to 1."""
    seed: str
    scenes: tuple[str, ...]
    arms: tuple[ExperimentArm, ...]
    start_time: datetime
    end_time: datetime | None
    metric: str
    """What decides."""
    currency: str
    outcome_window: timedelta
    """What a unit does so long after its first exposure counts."""
    planned_units: int
    guardrails: tuple[Guardrail, ...]


@dataclass(frozen=True, slots=True)
class ExperimentList:
    """The experiments of a catalog, those that began last first."""

    experiments: tuple[Experiment, ...]
    problem: str
    """Why the gateway's files are not in force; "" = they are."""


@dataclass(frozen=True, slots=True)
class EffectInterval:
    """A difference to the control with its 95% confidence sequence."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class MetricReport:
    """A metric of an arm, by unit."""

    metric: str
    mean: float
    effect: EffectInterval | None
    """None = the control, or too little is known."""


@dataclass(frozen=True, slots=True)
class ArmReport:
    """Results of an arm."""

    name: str
    exposed_count: int
    """Units that saw an answer of it."""
    unit_count: int
    """Of these, whose outcome window is over: the units of all figures."""
    metrics: tuple[MetricReport, ...]
    verdict: ArmVerdict
    broken_guardrails: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """Results of an experiment; valid however often they are read."""

    experiment: Experiment
    count_time: datetime
    arms: tuple[ArmReport, ...]
    """The control first."""
    mixed_unit_count: int
    """Units that were exposed to several arms: in none."""
    mismatch_evidence: float
    """From 1,000 on the sample ratio is wrong."""
    sample_ratio_mismatch: bool


@dataclass(frozen=True, slots=True)
class ExperimentUnit:
    """Events of one unit."""

    unit: str
    """A hash that is of no use in another experiment."""
    arm: str
    exposure_time: datetime
    click_count: int
    purchase_count: int
    revenue: float
    hide_count: int
