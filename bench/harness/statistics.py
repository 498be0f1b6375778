"""Percentiles and ratios with intervals that assume no distribution."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

from bench.harness.model import Interval

_Z = 1.96
_BLOCK = 2**22
"""Numbers per draw."""


def percentile(values: Sequence[float], share: float) -> Interval:
    """Return the ``share`` quantile (0 to 1, nearest rank) and its 95% interval. Raise ValueError
    for no values.

    The interval is that of order statistics (binomial, by the normal approximation: Conover,
    Practical Nonparametric Statistics, 3.2). It assumes independent values, which requests of one
    run are only approximately. With few values its upper end is the largest value.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    count = len(ordered)
    spread = _Z * math.sqrt(count * share * (1 - share))
    return Interval(
        value=ordered[_place(count * share, count)],
        low=ordered[_place(count * share - spread, count)],
        high=ordered[_place(count * share + spread + 1, count)],
    )


def ratio(
    parts: Sequence[tuple[float, float]], *, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Return the sum of the firsts over the sum of the seconds, with its 95% interval.

    With few parts the interval is too narrow rather than too wide. Raise ValueError for none.
    """
    return _resampled(tuple(zip(*parts, strict=True)), np.sum, resamples, seed)


def mean(values: npt.ArrayLike, *, resamples: int = 2_000, seed: int = 0) -> Interval:
    """Return the mean of the values with its 95% interval.

    The interval stays within the range of the values: that of all ones is 1 to 1. Raise ValueError
    for no values.
    """
    given = np.asarray(values, float)
    return _resampled((given, np.ones_like(given)), np.sum, resamples, seed)


def median_ratio(
    firsts: Sequence[float], seconds: Sequence[float], *, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Return the median of the firsts over that of the seconds, with its 95% interval.

    Values at the same position were measured in the same round, and are drawn together. Raise
    ValueError without values.
    """
    return _resampled((firsts, seconds), np.median, resamples, seed)


def _resampled(
    pairs: Sequence[npt.ArrayLike], total: Callable[..., Any], resamples: int, seed: int
) -> Interval:
    """Return total(firsts) / total(seconds) with its 95% interval by the percentile bootstrap of
    pairs (Efron and Tibshirani, An Introduction to the Bootstrap, 13.3)."""
    firsts, seconds = (np.asarray(each, float) for each in pairs) if pairs else ((), ())
    if not len(firsts):
        raise ValueError("no values")
    value = float(total(firsts) / total(seconds))
    if len(firsts) == 1:
        return Interval(value, value, value)
    low, high = bootstrap(
        (firsts, seconds),
        lambda firsts, seconds, axis: total(firsts, axis=axis) / total(seconds, axis=axis),
        paired=True,
        n_resamples=resamples,
        batch=max(1, _BLOCK // len(firsts)),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(value, float(low), float(high))


def _place(rank: float, count: int) -> int:
    return min(max(math.ceil(rank) - 1, 0), count - 1)
