"""Percentiles with intervals that assume no distribution."""

import math
from collections.abc import Sequence

from bench.model import Interval

_Z = 1.96


def percentile(values: Sequence[float], share: float) -> Interval:
    """The ``share`` quantile (0 to 1, nearest rank) and its 95% interval.

    The interval is that of order statistics (binomial, by the normal approximation: Conover,
    Practical Nonparametric Statistics, 3.2). It takes the values as independent; requests of one
    run are not quite. With few values its upper end is simply the largest. ValueError for none.
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


def _place(rank: float, count: int) -> int:
    return min(max(math.ceil(rank) - 1, 0), count - 1)
