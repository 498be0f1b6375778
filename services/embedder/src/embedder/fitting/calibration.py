"""Calibration of the classification head: one temperature for all logits, and the logit of
"unknown".

Temperature scaling (Guo et al. 2017) on logits of photos outside the head's training. The logit of
"unknown" is fitted together with it, on photos of categories outside the training: the open-set
problem of Scheirer et al. 2013, solved by an additional class with a constant logit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp
from scipy.stats import bootstrap

from embedder.fitting.components import Doubles
from embedder.fitting.folds import Integers

UNKNOWN_SHARE: Final = 0.1
"""Assumed share of queries that show none of the categories."""
SURE: Final = 0.01
"""Share of photos of known categories that may be classified as unknown, if no category can be held
out."""
BINS: Final = 10
RESAMPLES: Final = 200
_TEMPERATURES: Final = np.geomspace(0.02, 50, 60)
_PLACES: Final = 61


@dataclass(frozen=True, slots=True)
class HeadCalibration:
    """Calibrated logits: logits / temperature, with `unknown` appended."""

    temperature: float
    unknown: float


def calibrated(known: Doubles, classes: Integers, unknown: Sequence[Doubles]) -> HeadCalibration:
    """Fit both by maximum likelihood on the logits [n, C] of photos of these classes, and on logits
    [m, C'] of photos outside the classes (empty: there are none, and SURE determines `unknown`)."""
    if not unknown:
        best = min(_TEMPERATURES, key=lambda each: _loss(known / each, classes))
        sums = logsumexp(known / best, axis=1)
        return HeadCalibration(float(best), float(np.quantile(sums, SURE)))
    losses = []
    for temperature in _TEMPERATURES:
        inside = logsumexp(known / temperature, axis=1)
        outside = np.concatenate([logsumexp(each / temperature, axis=1) for each in unknown])
        right = known[np.arange(len(known)), classes] / temperature
        ends = np.quantile(np.concatenate([inside, outside]), (0, 1))
        for place in np.linspace(ends[0] - 2, ends[1] + 2, _PLACES):
            lost = np.mean(np.logaddexp(inside, place) - right)
            missed = np.mean(np.logaddexp(outside, place) - place)
            loss = (1 - UNKNOWN_SHARE) * lost + UNKNOWN_SHARE * missed
            losses.append((loss, temperature, place))
    _, temperature, place = min(losses)
    return HeadCalibration(float(temperature), float(place))


def calibration_error(
    chances: Doubles, right: npt.NDArray[np.bool_], seed: int
) -> tuple[float, float, float]:
    """Return the expected calibration error (Naeini et al. 2015) with a 95% bootstrap interval: the
    mean difference between the predicted probability [n] and the share of correct predictions, in
    ten bins of equal size. The lower end is not below the error that a perfectly calibrated head
    has by chance.
    """
    low, high = bootstrap(
        (chances, right),
        _error,
        paired=True,
        vectorized=False,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return _error(chances, right), float(low), float(high)


def _error(chances: Doubles, right: npt.NDArray[np.bool_]) -> float:
    parts = np.array_split(np.argsort(chances, kind="stable"), min(BINS, len(chances)))
    gaps = [abs(float(chances[each].mean() - right[each].mean())) * len(each) for each in parts]
    return sum(gaps) / len(chances)


def _loss(logits: Doubles, classes: Integers) -> float:
    return float(np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(logits)), classes]))
