"""Confidence intervals of means over queries, by the percentile bootstrap of clusters.

Clusters (products, pictures) are resampled (Davison and Hinkley 1997, 3.8). All columns share the
same draws, so the interval of a difference is paired. Not scipy.stats.bootstrap: it resamples
single observations, and clusters of unequal size need a ratio of sums for each draw.
"""

from typing import Final

import numpy as np

from embedder.fitting.components import Doubles
from embedder.fitting.folds import Integers

REPLICATES: Final = 2000
_ENDS: Final = (0.025, 0.975)
_CELLS: Final = 2**22


def intervals(columns: Doubles, clusters: Integers, seed: int) -> Doubles:
    """Return [2, k], the ends of the 95% intervals of the means of `columns` [n, k].

    `clusters` [n]: queries of one number are drawn together.
    """
    return ends(resampled(columns, clusters, seed))


def ends(drawn: Doubles) -> Doubles:
    """Return [2, k], the ends of the 95% intervals of draws [draws, k]."""
    return np.asarray(np.quantile(drawn, _ENDS, axis=0))


def resampled(columns: Doubles, clusters: Integers, seed: int) -> Doubles:
    """Return [REPLICATES, k], the means of `columns` [n, k] in each resample of clusters."""
    names, place = np.unique(clusters, return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, place, columns)
    sizes = np.bincount(place).astype(float)
    draw = np.random.default_rng(seed)
    block = max(1, _CELLS // len(names))
    means = []
    for start in range(0, REPLICATES, block):
        shape = (min(block, REPLICATES - start), len(names))
        drawn = draw.integers(0, len(names), shape) + len(names) * np.arange(shape[0])[:, None]
        times = np.bincount(drawn.ravel(), minlength=shape[0] * len(names)).reshape(shape)
        means.append(times @ sums / (times @ sizes)[:, None])
    return np.concatenate(means)
