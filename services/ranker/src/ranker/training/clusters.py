"""k-means, for groups of shoppers and of products; the same seed, the same groups."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import kmeans2, vq
from scipy.spatial.distance import cdist

from ranker.domain.arrays import Doubles, Floats, Ints

SAMPLE = 5_000
"""Points that centroids are learned from; of more, so many are drawn."""
JUDGED = 1_000
"""Points that a silhouette is computed from: their distances are a square."""
STARTS = 2
MOST_ROUNDS = 25


@dataclass(frozen=True, slots=True)
class Clusters:
    """Groups of points, the largest first."""

    centroids: Floats
    """(groups, dimension)"""
    members: Ints
    """(points,) the group of each"""
    silhouette: float
    """Mean over points of how much nearer they are to their own group than to the next one, −1 to 1
    (Rousseeuw 1987)"""


def clusters(points: Floats, counts: Iterable[int], seed: int) -> Clusters | None:
    """The best of so many groups by silhouette; of equally good ones the first.

    None when there are no two different points, or no count from 2 to their number.
    """
    rng = np.random.default_rng(seed)
    sample = _drawn(points, SAMPLE, rng)
    judged = _drawn(sample, JUDGED, rng)
    distances = cdist(judged, judged)
    different = len(np.unique(judged, axis=0))
    best: Clusters | None = None
    for count in counts:
        if not 2 <= count <= different:
            continue
        centroids = _fitted(sample, count, rng)
        found = silhouette(distances, nearest(judged, centroids))
        if best is None or found > best.silhouette + 1e-9:
            best = Clusters(centroids, np.zeros(0, np.int64), found)
    return None if best is None else _by_size(points, best)


def nearest(points: Floats, centroids: Floats) -> Ints:
    """(points,) the nearest centroid of each."""
    found: Ints = vq(points, centroids)[0].astype(np.int64)
    return found


def silhouette(distances: Doubles, members: Ints) -> float:
    """The mean silhouette of points with these (points, points) distances; a point that is alone in
    its group counts 0, and so does everything where there is one group."""
    groups, members = np.unique(members, return_inverse=True)
    if len(groups) < 2:
        return 0.0
    belongs = np.eye(len(groups))[members]
    sizes = belongs.sum(axis=0)
    sums = distances @ belongs
    rows = np.arange(len(members))
    own_size = sizes[members]
    own = sums[rows, members] / np.maximum(own_size - 1, 1)
    others = sums / sizes
    others[rows, members] = np.inf
    next_one = others.min(axis=1)
    largest = np.maximum(own, next_one)
    values = np.where(
        (own_size > 1) & (largest > 0), (next_one - own) / np.maximum(largest, 1e-12), 0
    )
    return float(values.mean())


def _fitted(points: Floats, count: int, rng: np.random.Generator) -> Floats:
    """The centroids of the best of several starts (k-means++, Arthur and Vassilvitskii 2007)."""
    with warnings.catch_warnings():
        # A centroid that lost all its points stays where it is.
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        found = [
            kmeans2(points, count, iter=MOST_ROUNDS, minit="++", seed=rng)[0] for _ in range(STARTS)
        ]
    return min(found, key=lambda centroids: float((vq(points, centroids)[1] ** 2).sum()))


def _by_size(points: Floats, found: Clusters) -> Clusters:
    """The groups of all points, the largest first, without empty ones."""
    members = nearest(points, found.centroids)
    sizes = np.bincount(members, minlength=len(found.centroids))
    order = np.argsort(-sizes, kind="stable")[: int((sizes > 0).sum())]
    places = np.empty(len(sizes), np.int64)
    places[order] = np.arange(len(order))
    return Clusters(found.centroids[order], places[members], found.silhouette)


def _drawn(points: Floats, most: int, rng: np.random.Generator) -> Floats:
    if len(points) <= most:
        return points
    return points[np.sort(rng.choice(len(points), most, replace=False))]
