"""Comparison of a fitted reference with the version that serves, on the same photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from vision.domain.inspection import (
    CONFIDENCE,
    DEFAULT_RATE,
    PatchMemory,
    PhotoScores,
    thresholds,
    wins,
)

RESAMPLES: Final = 1_000


class ReferenceVerdict(StrEnum):
    """Verdict on a fitted version."""

    BETTER = "BETTER"
    INCONCLUSIVE = "INCONCLUSIVE"
    WORSE = "WORSE"


@dataclass(frozen=True, slots=True)
class ReferenceFigures:
    """Figures of a version, at the default false-alarm rate."""

    separation: float
    """Area under the ROC curve of drawn defects, 0 to 1."""
    false_alarms: float | None = None
    """Share of the good photos above the threshold; None: no threshold."""
    threshold: float | None = None
    """In units of the mean of good photos; None: too few photos."""
    threshold_low: float | None = None
    threshold_high: float | None = None


@dataclass(frozen=True, slots=True)
class ReferenceEvaluation:
    """Comparison of a fitted version with the one that served."""

    verdict: ReferenceVerdict
    compared_version: str
    """Version that served."""
    photos: int
    """Good photos, which the version that served was not fitted on."""
    defects: int
    fitted: ReferenceFigures
    compared: ReferenceFigures
    gain_low: float
    gain_high: float
    """95% interval of the gain in separation."""


@dataclass(frozen=True, slots=True)
class ComparedVersion:
    """A version, and its scores of the photos of a comparison."""

    memory: PatchMemory
    scores: PhotoScores


def evaluate(
    fitted: ComparedVersion, compared: ComparedVersion, version: str, drawn_on: Sequence[int]
) -> ReferenceEvaluation:
    """Compare a fitted version with `version`. `drawn_on`: for each drawn defect, the good photo
    that it is drawn on.

    The interval of the gain is by resampling good photos, each with its defects.
    """
    on = np.asarray(drawn_on, np.int64)
    of_fitted, of_compared = (
        wins(each.scores.good, each.scores.drawn) for each in (fitted, compared)
    )
    count = of_fitted.shape[1]
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    of_defects = drawn[:, on]
    total = np.maximum(of_defects.sum(axis=1) * count, 1)
    gains = ((of_defects @ (of_fitted - of_compared)) * drawn).sum(axis=1) / total
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(each) for each in np.quantile(gains, (tail, 1 - tail)))
    verdict = ReferenceVerdict.INCONCLUSIVE
    if low > 0:
        verdict = ReferenceVerdict.BETTER
    elif high < 0:
        verdict = ReferenceVerdict.WORSE
    return ReferenceEvaluation(
        verdict=verdict,
        compared_version=version,
        photos=count,
        defects=len(on),
        fitted=_figures(fitted, float(of_fitted.mean())),
        compared=_figures(compared, float(of_compared.mean())),
        gain_low=low,
        gain_high=high,
    )


def _figures(version: ComparedVersion, separation: float) -> ReferenceFigures:
    memory = version.memory
    found = thresholds(memory.scores, DEFAULT_RATE)
    threshold, low, high = (None if each is None else each / memory.unit for each in found)
    alarms = None if found[0] is None else float((version.scores.good > found[0]).mean())
    return ReferenceFigures(separation, alarms, threshold, low, high)
