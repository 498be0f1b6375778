"""Intervals of means over shoppers, by resampling shoppers. NumPy only.

BCa (Efron 1987): the percentiles of the resampled means, corrected for bias and for skewness, of
which figures that are 0 for most shoppers have much. The same seed draws the same shoppers, so the
interval of a difference between two systems is that of the column of their differences: paired.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ranker.domain.arrays import Doubles

REPLICATES = 2000
CONFIDENCE = 0.95
POWER = 0.80
_NORMAL = NormalDist()
_BLOCK = 2**22
"""Numbers drawn at once: 32 MB."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Of each column its mean with an interval."""

    mean: Doubles
    low: Doubles
    high: Doubles


def intervals(columns: Doubles, *, seed: int = 0) -> Intervals:
    """Return BCa intervals of the means of `columns`, (shoppers, columns); not empty."""
    means = columns.mean(axis=0)
    draws = _resampled(columns, seed)
    centred = columns - means
    spread = (centred**2).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        acceleration = np.nan_to_num((centred**3).sum(axis=0) / (6 * spread**1.5))
    below = (draws < means).mean(axis=0) + (draws == means).mean(axis=0) / 2
    low, high = means.copy(), means.copy()
    for place in np.flatnonzero(spread > 0):
        ends = _places(below[place], acceleration[place])
        low[place], high[place] = np.quantile(draws[:, place], ends)
    return Intervals(means, low, high)


def smallest_effect(differences: Doubles) -> float:
    """Return the smallest true mean that these paired differences, (shoppers,), would detect
    with a power of 80%: (z_{1−α/2} + z_{.8}) · s / √n. Infinite for fewer than two shoppers."""
    if len(differences) < 2:
        return float("inf")
    z = _NORMAL.inv_cdf(0.5 + CONFIDENCE / 2) + _NORMAL.inv_cdf(POWER)
    return float(z * differences.std(ddof=1) / np.sqrt(len(differences)))


def _resampled(columns: Doubles, seed: int) -> Doubles:
    """Return bootstrap means, (REPLICATES, columns), of shoppers drawn with replacement."""
    generator = np.random.default_rng(seed)
    count = len(columns)
    block = max(1, min(REPLICATES, _BLOCK // count))
    made = []
    for start in range(0, REPLICATES, block):
        rows = min(block, REPLICATES - start)
        drawn = generator.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        made.append(times @ columns / count)
    return np.concatenate(made)


def _places(below: float, acceleration: float) -> tuple[float, float]:
    """Return the quantiles of the draws at the interval's ends."""
    edge = 1 / (2 * REPLICATES)  # all draws on one side would be an infinite correction
    bias = _NORMAL.inv_cdf(min(max(below, edge), 1 - edge))

    def place(probability: float) -> float:
        z = bias + _NORMAL.inv_cdf(probability)
        return _NORMAL.cdf(bias + z / (1 - acceleration * z))

    return place(0.5 - CONFIDENCE / 2), place(0.5 + CONFIDENCE / 2)
