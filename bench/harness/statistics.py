"""Percentiles and ratios with intervals that assume no distribution."""

import math
import random
from collections.abc import Sequence
from statistics import median

import numpy as np
import numpy.typing as npt

from bench.harness.model import Interval

_Z = 1.96


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
    """Sum of the firsts over sum of the seconds, and its 95% interval by the percentile bootstrap
    over the parts (Efron and Tibshirani, An Introduction to the Bootstrap, 13.3).

    With few parts the interval is too narrow rather than too wide. ValueError for none.
    """
    if not parts:
        raise ValueError("no parts")
    draw = random.Random(seed)
    drawn = sorted(_ratio(draw.choices(parts, k=len(parts))) for _ in range(resamples))
    return Interval(
        value=_ratio(parts),
        low=drawn[_place(resamples * 0.025, resamples)],
        high=drawn[_place(resamples * 0.975, resamples)],
    )


def mean(values: npt.ArrayLike, *, resamples: int = 2_000, seed: int = 0) -> Interval:
    """Return the mean and its 95% interval by the percentile bootstrap over the values.

    The interval stays within the range of the values: that of all ones is 1 to 1. Raise ValueError
    for no values.
    """
    given = np.asarray(values, float)
    if not given.size:
        raise ValueError("no values")
    draw = np.random.default_rng(seed)
    drawn = [float(draw.choice(given, given.size).mean()) for _ in range(resamples)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(given.mean()), float(low), float(high))


def median_ratio(
    firsts: Sequence[float], seconds: Sequence[float], *, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Return the median of the firsts over that of the seconds, with its 95% interval.

    The interval is a percentile bootstrap over pairs, which were measured by turns. Raise
    ValueError without values.
    """
    pairs = list(zip(firsts, seconds, strict=True))
    if not pairs:
        raise ValueError("no values")

    def of(chosen: Sequence[tuple[float, float]]) -> float:
        return median(first for first, _ in chosen) / median(second for _, second in chosen)

    draw = random.Random(seed)
    drawn = sorted(of(draw.choices(pairs, k=len(pairs))) for _ in range(resamples))
    return Interval(
        value=of(pairs),
        low=drawn[_place(resamples * 0.025, resamples)],
        high=drawn[_place(resamples * 0.975, resamples)],
    )


def _ratio(parts: Sequence[tuple[float, float]]) -> float:
    return sum(first for first, _ in parts) / sum(second for _, second in parts)


def _place(rank: float, count: int) -> int:
    return min(max(math.ceil(rank) - 1, 0), count - 1)
