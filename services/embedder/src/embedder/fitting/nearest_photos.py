"""Exact nearest neighbours among photos: every query is compared with every photo."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from embedder.domain.fitted import Floats, unit
from embedder.fitting.folds import Integers

Booleans = npt.NDArray[np.bool_]
_CELLS = 2**25
"""Cosines held in memory at once: 128 MB."""


def averaged(points: Floats, projection: Floats) -> Floats:
    """Return [m, d], of unit length: the mean of the views' unit vectors, of [m, views, p]."""
    found = np.empty((len(points), projection.shape[1]), np.float32)
    for start in range(0, len(points), 4096):
        views = points[start : start + 4096] @ projection
        lengths = np.linalg.norm(views, axis=2, keepdims=True)
        views /= np.maximum(lengths, np.finfo(np.float32).tiny)
        found[start : start + len(views)] = unit(views.mean(axis=1))
    return found


def cosines(queries: Floats, photos: Floats) -> Iterator[tuple[slice, Floats]]:
    """Yield blocks of queries [q, d] with their cosines to all photos [n, d]."""
    size = max(1, _CELLS // max(1, len(photos)))
    for start in range(0, len(queries), size):
        block = slice(start, min(start + size, len(queries)))
        yield block, queries[block] @ photos.T


def hits(queries: Floats, asked: Integers, photos: Floats, shown: Integers, top: int) -> Booleans:
    """Return a mask of the queries that have their product among the `top` nearest photos."""
    found = np.zeros(len(queries), bool)
    top = min(top, len(photos))
    for block, near in cosines(queries, photos):
        first = np.argpartition(-near, top - 1, axis=1)[:, :top]
        found[block] = (shown[first] == asked[block, None]).any(axis=1)
    return found


def average_precisions(
    queries: Floats, asked: Integers, photos: Floats, shown: Integers
) -> npt.NDArray[np.float64]:
    """Return each query's average precision over all photos by descending cosine; 0 without any to
    find (Manning, Raghavan and Schütze 2008, 8.4)."""
    found = np.zeros(len(queries))
    for block, near in cosines(queries, photos):
        order = np.argsort(-near, axis=1, kind="stable")
        right = shown[order] == asked[block, None]
        so_far = right.cumsum(axis=1)
        precision = so_far / np.arange(1, len(photos) + 1)
        found[block] = (precision * right).sum(axis=1) / np.maximum(so_far[:, -1], 1)
    return found
