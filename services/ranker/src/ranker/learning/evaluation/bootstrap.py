"""Confidence intervals of means over shoppers, by SciPy's BCa bootstrap (Efron 1987).

BCa corrects the percentiles of the resampled means for bias and skewness: figures that are 0 for
most shoppers are skewed. Equal seeds draw the same shoppers. The interval of a difference between
two systems is computed from the column of their differences by shopper, so it is paired.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ranker.domain.arrays import Doubles

REPLICATES = 2000
CONFIDENCE = 0.95
POWER = 0.80
ROUNDING = 1e-12
"""Columns whose values differ by less have no interval."""
_NORMAL = NormalDist()
_BLOCK = 2**22
"""Numbers drawn at once: 32 MB."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Means of columns, with intervals."""

    mean: Doubles
    low: Doubles
    high: Doubles


def intervals(columns: Doubles, *, seed: int = 0) -> Intervals:
    """Return BCa intervals of the means of `columns`, (shoppers, columns); not empty."""
    from scipy.stats import bootstrap  # .5 s and 60 MB, which the worker needs for few jobs

    mean = columns.mean(axis=0)
    low, high = mean.copy(), mean.copy()
    varied = np.ptp(columns, axis=0) > ROUNDING  # SciPy has no interval for equal values
    if varied.any():
        drawn = columns.T[varied]
        low[varied], high[varied] = bootstrap(
            (drawn,),
            np.mean,
            axis=1,
            confidence_level=CONFIDENCE,
            n_resamples=REPLICATES,
            batch=max(1, _BLOCK // drawn.size),
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return Intervals(mean, low, high)


def smallest_effect(differences: Doubles) -> float:
    """Return the smallest true mean that these paired differences, (shoppers,), would detect
    with a power of 80%: (z_{1−α/2} + z_{.8}) · s / √n. Infinite for fewer than two shoppers."""
    if len(differences) < 2:
        return float("inf")
    z = _NORMAL.inv_cdf(0.5 + CONFIDENCE / 2) + _NORMAL.inv_cdf(POWER)
    return float(z * differences.std(ddof=1) / np.sqrt(len(differences)))
