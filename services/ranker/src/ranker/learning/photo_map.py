"""Refinement of a fitted space: a matrix by which vectors of a shopper's photo come nearer to that
of the product that it shows.

As in a fit (embedder.fitting.discriminant): directions in which a photo differs from its product
count little, those in which products differ much. The scatter of the differences of photo and
clicked product takes the place of that within products. lab/research/photos.md has what it gains.
"""

from typing import Final

import numpy as np

from ranker.domain.arrays import Doubles, Floats, Ints
from ranker.domain.photo_clicks import PhotoClicks
from ranker.domain.refinement import ClickGain
from ranker.learning.evaluation.bootstrap import intervals

SHRINKAGE: Final = 0.2
"""Share of the identity in the scatter of differences."""
BETWEEN: Final = 0.2
"""Share of the scatter of photos that is added to that between products."""
POWER: Final = 0.5
"""Exponent of a direction's share of the differences between products."""
FOLDS: Final = 5
BLOCK: Final = 512
"""Queries that are compared with all products at once."""
_TINY: Final = 1e-30


def refined(photos: Floats, clicked: Floats, weights: Doubles, products: Floats) -> Floats:
    """Return the matrix (d, d) that refines a space, its columns by falling weight.

    `photos`, `clicked`: vectors (clicks, d) of photos and of the products that were clicked.
    `products`: vectors (products, d) of all products.
    """
    away = (photos - clicked).astype(np.float64)
    within = (away * (weights / weights.sum())[:, None]).T @ away / 2
    middle = max(float(np.trace(within)) / len(within), _TINY)
    within = (1 - SHRINKAGE) * within + SHRINKAGE * middle * np.eye(len(within))
    variances, axes = np.linalg.eigh(within)
    whitening = axes / np.sqrt(variances)
    between = _scatter(products) + BETWEEN * _scatter(np.concatenate([photos, products]))
    ratios, turned = np.linalg.eigh(whitening.T @ between @ whitening)
    ratios, turned = np.maximum(ratios[::-1], 0), turned[:, ::-1]
    found: Floats = (whitening @ turned * (ratios / (ratios + 1)) ** POWER).astype(np.float32)
    return found


def measured(clicks: PhotoClicks, rows: Ints, products: Floats, seed: int = 0) -> ClickGain:
    """Measure the refinement by cross-validation over shoppers. `rows`: row of each click's product
    in `products`, the vectors of all products.

    Clicks count by their weights here too: without them, what the space in use shows first is
    clicked most, and every other order seems worse (lab/research/photos.md).
    """
    drawn = np.random.default_rng(seed).permutation(clicks.shopper_count)
    fold = drawn[clicks.shoppers] % FOLDS
    hits = np.zeros((len(rows), 2))
    for held in range(FOLDS):
        out, rest = np.flatnonzero(fold == held), np.flatnonzero(fold != held)
        if not len(out) or not len(rest):
            continue
        train = (clicks.vectors[rest], products[rows[rest]], clicks.weights[rest])
        matrix = refined(*train, products)
        hits[out, 0] = _first(clicks.vectors[out] @ matrix, products @ matrix) == rows[out]
        hits[out, 1] = _first(clicks.vectors[out], products) == rows[out]
    means = _by_shopper(hits, clicks)
    found = intervals(np.column_stack([means, means[:, 0] - means[:, 1]]), seed=seed)
    # Sums of weights are rounded, and an interval of a weighted share may pass its ends.
    hit, low, high, baseline = np.clip(
        [found.mean[0], found.low[0], found.high[0], found.mean[1]], 0.0, 1.0
    ).tolist()
    return ClickGain(hit, low, high, baseline, float(found.low[2]), float(found.high[2]))


def _by_shopper(hits: Doubles, clicks: PhotoClicks) -> Doubles:
    """Return a row for each shopper, whose mean over shoppers is the weighted mean of all rows."""
    weights = clicks.weights
    sums = [np.bincount(clicks.shoppers, weights * column) for column in hits.T]
    found: Doubles = np.column_stack(sums) * clicks.shopper_count / weights.sum()
    return found


def _first(queries: Floats, products: Floats) -> Ints:
    """Return the row of the nearest product of each query, by cosine."""
    unit = products / np.maximum(np.linalg.norm(products, axis=1, keepdims=True), _TINY)
    found = [
        (queries[start : start + BLOCK] @ unit.T).argmax(axis=1)
        for start in range(0, len(queries), BLOCK)
    ]
    return np.concatenate(found)


def _scatter(points: Floats) -> Doubles:
    centred = (points - points.mean(axis=0)).astype(np.float64)
    found: Doubles = centred.T @ centred / len(centred)
    return found
