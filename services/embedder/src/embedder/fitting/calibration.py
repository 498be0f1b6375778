"""How sure to be: one temperature for all logits, and the logit of "none of these".

Temperature scaling (Guo et al. 2017) on logits of photos that the head has not seen; together with
it the logit of the unknown, which photos of categories that the head has never heard of teach: the
open-set problem of Scheirer et al. 2013, solved by one more class whose logit is a constant.
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
"""Of photos that show none of the categories, among those that will be asked about."""
SURE: Final = 0.01
"""Of photos of known categories that may be called unknown where no category can be held out."""
BINS: Final = 10
RESAMPLES: Final = 200
_TEMPERATURES: Final = np.geomspace(0.02, 50, 60)
_PLACES: Final = 61


@dataclass(frozen=True, slots=True)
class HeadCalibration:
    """Logits / temperature, and then `unknown` as one more."""

    temperature: float
    unknown: float


def calibrated(known: Doubles, classes: Integers, unknown: Sequence[Doubles]) -> HeadCalibration:
    """Fit both by the likelihood of logits [n, C] of photos of these classes, and of logits of
    photos of none of the classes, each [m, C'] (none = there are no such, and SURE decides)."""
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
    """Return the expected calibration error (Naeini et al. 2015) with a 95% interval: how far the
    chance [n] of what is named is from how often that is right, in ten bins of as many each.

    The interval is the bootstrap's, which is no lower than chance makes a perfect head's error.
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
