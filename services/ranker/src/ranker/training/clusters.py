"""k-means, for groups of shoppers and of products. NumPy only; the same seed, the same groups."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ranker.model import Doubles, Floats, Ints

SAMPLE = 5_000
"""Points that centroids are learned from; of more, so many are drawn."""
JUDGED = 1_000
"""Points that a silhouette is computed from: their distances are a square."""
STARTS = 2
MOST_ROUNDS = 25
CHUNK = 65_536


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
    distances = np.sqrt(np.maximum(_squares(judged, judged), 0))
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
    found = np.empty(len(points), np.int64)
    for start in range(0, len(points), CHUNK):
        part = slice(start, start + CHUNK)
        found[part] = _squares(points[part], centroids).argmin(axis=1)
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
    """The centroids of the best of several starts."""
    found = [_lloyd(points, _spread_out(points, count, rng)) for _ in range(STARTS)]
    return min(found, key=lambda centroids: float(_squares(points, centroids).min(axis=1).sum()))


def _spread_out(points: Floats, count: int, rng: np.random.Generator) -> Floats:
    """First centroids: each drawn by its squared distance to those before it (k-means++, Arthur and
    Vassilvitskii 2007)."""
    chosen = [int(rng.integers(len(points)))]
    squares = np.full(len(points), np.inf)
    for _ in range(count - 1):
        last = points[chosen[-1]][None]
        squares = np.minimum(squares, np.maximum(_squares(points, last)[:, 0], 0))
        squares[chosen] = 0
        chosen.append(int(rng.choice(len(points), p=squares / squares.sum())))
    return points[chosen]


def _lloyd(points: Floats, centroids: Floats) -> Floats:
    """Move the centroids to the middle of what is nearest to each, until nothing changes."""
    members = np.full(len(points), -1, np.int64)
    for _ in range(MOST_ROUNDS):
        moved = nearest(points, centroids)
        if (moved == members).all():
            break
        members = moved
        belongs = np.bincount(members, minlength=len(centroids))
        sums = np.zeros(centroids.shape, np.float64)
        np.add.at(sums, members, points)
        # A centroid that lost all its points stays where it is.
        full = belongs > 0
        centroids = centroids.copy()
        centroids[full] = sums[full] / belongs[full, None]
    return centroids


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


def _squares(points: Floats, others: Floats) -> Doubles:
    """(points, others) squared Euclidean distances."""
    one, two = points.astype(np.float64), others.astype(np.float64)
    found: Doubles = (one**2).sum(axis=1)[:, None] - 2 * one @ two.T + (two**2).sum(axis=1)
    return found
