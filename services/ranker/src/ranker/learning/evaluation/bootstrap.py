"""Confidence intervals of means over shoppers, by SciPy's BCa bootstrap (Efron 1987).

BCa corrects the percentiles of the resampled means for bias and skewness: figures that are 0 for
most shoppers are skewed. Equal seeds draw the same shoppers. The interval of a difference between
two systems is computed from the column of their differences by shopper, so it is paired.

Of few shoppers it is too narrow: with 10 to 60, up to .58 of intervals of a mean of 0 were above 0
(`make lab BENCH=small_shops`). `of_few` adds one shopper to the sample, for whom each bound assumes
the worst possible difference, and weighs all by Dirichlet(1, …, 1), as the Bayesian bootstrap does
(Rubin 1981). That is the bound of Gaffke (2005) and of Learned-Miller and Thomas (2019,
arXiv 1905.06208) for the mean of a bounded variable: no distribution is known that it covers less
often than it says, at any number of shoppers.
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


def of_few(differences: Doubles, *, seed: int = 0) -> tuple[float, float]:
    """Return the bounds of an interval of the mean of `differences`, (shoppers,), each from -1 to 1
    (below, if a margin was subtracted); not empty."""
    drawn = np.random.default_rng(seed).standard_exponential((REPLICATES, len(differences) + 1))
    weights = drawn / drawn.sum(axis=1, keepdims=True)
    known, more = weights[:, 1:] @ differences, weights[:, 0]
    tail = (1 - CONFIDENCE) / 2
    low = np.quantile(known + more * min(-1.0, float(differences.min())), tail)
    return float(low), float(np.quantile(known + more, 1 - tail))


def smallest_effect(differences: Doubles) -> float:
    """Return the smallest true mean that these paired differences, (shoppers,), would detect
    with a power of 80%: (z_{1−α/2} + z_{.8}) · s / √n. Infinite for fewer than two shoppers."""
    if len(differences) < 2:
        return float("inf")
    z = _NORMAL.inv_cdf(0.5 + CONFIDENCE / 2) + _NORMAL.inv_cdf(POWER)
    return float(z * differences.std(ddof=1) / np.sqrt(len(differences)))
