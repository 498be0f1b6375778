"""Confidence intervals of means over queries, by SciPy's percentile bootstrap of clusters.

Clusters (products, pictures) are resampled (Davison and Hinkley 1997, 3.8). All columns share the
same draws, so the interval of a difference is paired.
"""

from typing import Final

import numpy as np
from scipy.stats import bootstrap

from embedder.fitting.components import Doubles
from embedder.fitting.folds import Integers

REPLICATES: Final = 2000
DRAWS: Final = 500
"""Resamples for the interval of a quantile."""
_ENDS: Final = (0.025, 0.975)
_CELLS: Final = 2**22


def intervals(columns: Doubles, clusters: Integers, seed: int) -> Doubles:
    """Return [2, k], the ends of the 95% intervals of the means of `columns` [n, k].

    `clusters` [n]: queries with equal numbers are drawn together.
    """
    return ends(resampled(columns, clusters, seed))


def quantile(
    values: Doubles, clusters: Integers, share: float, seed: int
) -> tuple[float, float, float]:
    """Return the value that this share of `values` [n] do not exceed, and the ends of its 95%
    interval. `clusters` as in `intervals`."""
    order = np.argsort(values, kind="stable")
    _, place = np.unique(clusters, return_inverse=True)
    names = int(place.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(names, np.full(names, 1 / names), DRAWS)
    counts = drawn[:, place[order]].cumsum(axis=1)
    found = values[order][(counts >= share * counts[:, -1:]).argmax(axis=1)]
    low, high = ends(found[:, None])[:, 0]
    value = np.quantile(values, share, method="inverted_cdf")
    return float(value), float(low), float(high)


def ends(drawn: Doubles) -> Doubles:
    """Return [2, k], the ends of the 95% intervals of draws [draws, k]."""
    return np.asarray(np.quantile(drawn, _ENDS, axis=0))


def resampled(columns: Doubles, clusters: Integers, seed: int) -> Doubles:
    """Return [REPLICATES, k], the means of `columns` [n, k] in each resample of clusters."""
    names, place = np.unique(clusters, return_inverse=True)
    if len(names) == 1:
        return np.broadcast_to(columns.mean(axis=0), (REPLICATES, columns.shape[1]))
    sums = np.zeros((columns.shape[1], len(names)))
    np.add.at(sums.T, place, columns)
    found = bootstrap(
        (sums, np.bincount(place)[None]),
        lambda sums, sizes, axis: sums.sum(axis) / sizes.sum(axis),
        axis=1,
        paired=True,
        n_resamples=REPLICATES,
        batch=max(1, _CELLS // sums.size),
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return np.asarray(found.bootstrap_distribution.T)
