"""What experiments are counted by, and what is concluded. Pure.

Figures are by unit: of each unit one value of each metric, so that they are independent of one
another where those of one unit's clicks are not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ranker.domain.online import Moments
from ranker.domain.sequential import ALPHA, EVIDENCE, half_width, mismatch_evidence

CLICK_RATE, CLICKS, CONVERSION_RATE, REVENUE, HIDE_RATE = METRICS = (
    "click_rate",
    "clicks",
    "conversion_rate",
    "revenue",
    "hide_rate",
)
BASED_ON = {CLICKS: CLICK_RATE, REVENUE: CONVERSION_RATE}
"""The rate of units with a value above 0 of metrics that are no rates."""
LOWER_IS_BETTER = frozenset({HIDE_RATE})

LEAST_UNITS, LEAST_POSITIVE = 100, 30
"""Units of each arm, and of the two those with a value above 0, from which on a normal distribution
is near enough; docs/research/experiments.md has the error rates that it leads to."""


class ArmVerdict(StrEnum):
    """What is known of an arm against the control."""

    TOO_FEW = "TOO_FEW"
    UNDECIDED = "UNDECIDED"
    BETTER = "BETTER"
    WORSE = "WORSE"
    GUARDRAIL_BROKEN = "GUARDRAIL_BROKEN"
    SAMPLE_RATIO_MISMATCH = "SAMPLE_RATIO_MISMATCH"


@dataclass(frozen=True, slots=True)
class Design:
    """What an experiment's figures are to be judged by."""

    shares: Sequence[float]
    """Of the arms, the control first."""
    metric: str
    planned_units: int
    guardrails: Mapping[str, float]
    """By metric how much worse it may be."""


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """What an arm's units did."""

    name: str
    exposed: int
    """Units that saw an answer of it."""
    samples: Mapping[str, Moments]
    """By metric, of the units whose time is over."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference to the control."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class ArmFindings:
    """An arm's figures, and what is known of it."""

    counts: ArmCounts
    effects: Mapping[str, Effect]
    """By metric; without those of which too little is known."""
    verdict: ArmVerdict | None
    """None = the control."""
    broken: tuple[str, ...] = ()
    """Guardrails."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of an experiment."""

    arms: tuple[ArmFindings, ...]
    evidence: float
    """That the sample ratio is wrong."""

    @property
    def mismatch(self) -> bool:
        """Whether it is."""
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
