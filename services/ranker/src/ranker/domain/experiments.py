"""Statistics of experiments. Pure.

Figures are computed by unit: each unit has one value of each metric, so that values are
independent, which the clicks of one unit are not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np

from ranker.domain.sequential import ALPHA, EVIDENCE, half_width, mismatch_evidence

CLICK_RATE, CLICKS, CONVERSION_RATE, REVENUE, HIDE_RATE = _COUNTED = (
    "click_rate",
    "clicks",
    "conversion_rate",
    "revenue",
    "hide_rate",
)
IMPRESSION_REVENUE, MARGIN, IMPRESSION_MARGIN = _MONEY = (
    "revenue_per_impression",
    "margin",
    "margin_per_impression",
)
METRICS = (*_COUNTED, *_MONEY)
BASED_ON = {CLICKS: CLICK_RATE, REVENUE: CONVERSION_RATE, **dict.fromkeys(_MONEY, CONVERSION_RATE)}
"""For metrics that are not rates: the rate of units with a value above 0."""
LOWER_IS_BETTER = frozenset({HIDE_RATE})

LEAST_UNITS, LEAST_POSITIVE = 100, 30
"""Minimum number of units of each arm, and of units with a value above 0 in both arms, for the
normal approximation; lab/research/experiments.md has the resulting error rates."""


class ArmVerdict(StrEnum):
    """Result of an arm against the control."""

    TOO_FEW = "TOO_FEW"
    UNDECIDED = "UNDECIDED"
    BETTER = "BETTER"
    WORSE = "WORSE"
    GUARDRAIL_BROKEN = "GUARDRAIL_BROKEN"
    SAMPLE_RATIO_MISMATCH = "SAMPLE_RATIO_MISMATCH"


@dataclass(frozen=True, slots=True)
class Design:
    """Parameters by which an experiment is judged."""

    shares: Sequence[float]
    """Shares of the arms, the control first."""
    metric: str
    planned_units: int
    guardrails: Mapping[str, float]
    """Tolerated deterioration by metric."""


class MetricSample(Protocol):
    """Values of a metric over units."""

    @property
    def count(self) -> int:
        """Number of units."""

    @property
    def total(self) -> float:
        """Sum of the units' values."""

    @property
    def mean(self) -> float:
        """Value of the metric; 0 without units."""

    @property
    def variance(self) -> float:
        """Variance of one unit: that of the mean × the number of units."""


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """Counts of an arm's units."""

    name: str
    exposed: int
    """Number of units that saw an answer of the arm."""
    samples: Mapping[str, MetricSample]
    """By metric, over the units whose outcome window is over."""
    unpriced: int = 0
    """Purchased pieces without a price in the experiment's currency."""
    uncosted: int = 0
    """Purchased pieces whose margin is unknown."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference to the control."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class ArmFindings:
    """Figures and verdict of an arm."""

    counts: ArmCounts
    effects: Mapping[str, Effect]
    """By metric; without metrics with too few units."""
    verdict: ArmVerdict | None
    """`None` for the control."""
    broken: tuple[str, ...] = ()
    """Guardrails that are broken."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Results of an experiment."""

    arms: tuple[ArmFindings, ...]
    evidence: float
    """Evidence for a sample ratio mismatch."""

    @property
    def mismatch(self) -> bool:
        """True if the sample ratios do not match the shares."""
        return self.evidence >= EVIDENCE


def findings(design: Design, arms: Sequence[ArmCounts]) -> Findings:
    """Return what follows from the arms' figures; the control is the first."""
    evidence = mismatch_evidence([arm.exposed for arm in arms], design.shares)
    found = [ArmFindings(arms[0], {}, None)]
    for arm in arms[1:]:
        effects = {}
        for metric in arm.samples:
            effect = effect_of(arms[0], arm, metric, design.planned_units, ALPHA / (len(arms) - 1))
            if effect is not None:
                effects[metric] = effect
        broken = tuple(
            metric
            for metric, margin in design.guardrails.items()
            if metric in effects and _better(metric, effects[metric]).upper < -margin
        )
        verdict = ArmVerdict.GUARDRAIL_BROKEN if broken else _verdict(design.metric, effects)
        if evidence >= EVIDENCE:
            verdict = ArmVerdict.SAMPLE_RATIO_MISMATCH
        found.append(ArmFindings(arm, effects, verdict, broken))
    return Findings(tuple(found), evidence)


def effect_of(
    control: ArmCounts, arm: ArmCounts, metric: str, planned: int, alpha: float = ALPHA
) -> Effect | None:
    """Return the difference with its confidence sequence; None if too little is known."""
    pair = (control, arm)
    positive = sum(one.samples[BASED_ON.get(metric, metric)].total for one in pair)
    samples = [one.samples[metric] for one in pair]
    if min(one.count for one in samples) < LEAST_UNITS or positive < LEAST_POSITIVE:
        return None
    variance = np.array(sum(one.variance / one.count for one in samples))
    units = np.array(float(sum(one.count for one in samples)))
    half = float(half_width(variance, units, planned, alpha))
    value = samples[1].mean - samples[0].mean
    return Effect(value, value - half, value + half)


def _better(metric: str, effect: Effect) -> Effect:
    """Return the effect with improvements above 0."""
    if metric in LOWER_IS_BETTER:
        return Effect(-effect.value, -effect.upper, -effect.lower)
    return effect


def _verdict(metric: str, effects: Mapping[str, Effect]) -> ArmVerdict:
    if metric not in effects:
        return ArmVerdict.TOO_FEW
    effect = _better(metric, effects[metric])
    if effect.lower > 0:
        return ArmVerdict.BETTER
    return ArmVerdict.WORSE if effect.upper < 0 else ArmVerdict.UNDECIDED
