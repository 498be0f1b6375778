"""Directions that separate photos of different products better than photos of the same product.

Linear discriminant analysis (Fisher 1936; Rao 1948) with both scatter matrices shrunk. Photos of
one occasion resemble each other, so an occasion of n photos weighs √n in the scatter within
products: thirty photos of one shelf say less about how photos of another day differ than thirty
photos of thirty days, and the catalog's own photo is not lost among them. A product's mean is that
of its occasions. The scatter within products is shrunk towards that of the views of one photo (the
more, the fewer products have several photos), and towards a multiple of the identity (Friedman
1989; Ledoit and Wolf 2004), so that it can be inverted for small catalogs. A share of the scatter
of all photos is added to the scatter between products, which gives more directions than the number
of products less one, as products outside the training need. If every product has a single photo,
this is within-class covariance normalisation by views (Hatch, Kajarekar and Stolcke 2006).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from embedder.domain.fitted import Floats
from embedder.fitting.components import Doubles
from embedder.fitting.folds import Integers

_TINY: Final = 1e-30
BY_VIEWS: Final = 400.0
"""Weight of the scatter of views, as a number of photos of different occasions beyond the first of
each product."""


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """Shrinkage of the scatter matrices; lab/research/photos.md has how the defaults were
    chosen."""

    within: float = 0.05
    """Share of the identity in the scatter within products, 0 to 1."""
    between: float = 0.2
    """Share of the scatter of all photos that is added to the scatter between products."""
    power: float = 0.5
    """Exponent: the weight of a direction is its share of the differences between products to this
    power."""


def directions(
    points: Floats, products: Integers, occasions: Integers, most: int, how: Shrinkage
) -> Floats:
    """Return directions [p, d], d ≤ min(`most`, p), from photos [m, views, p] of these products [m]
    and occasions [m], each of one product. There are at least two products; both are numbered from
    0 without gaps.
    """
    means = _means(points, products, occasions)
    within = _shrunk(_within(points, means, products, occasions), how.within)
    variances, axes = np.linalg.eigh(within)
    whitening = axes / np.sqrt(variances)
    centred = means - means.mean(axis=0)
    between = centred.T @ centred / len(means)
    between += how.between * _scatter(points - points.mean(axis=(0, 1)))
    ratios, turned = np.linalg.eigh(whitening.T @ between @ whitening)
    ratios, turned = np.maximum(ratios[::-1][:most], 0), turned[:, ::-1][:, :most]
    return np.asarray(whitening @ turned * (ratios / (ratios + 1)) ** how.power, np.float32)


def _means(points: Floats, products: Integers, occasions: Integers) -> Doubles:
    """Return the mean of the occasions of each product [products, p]."""
    weights = 1 / np.bincount(occasions)[occasions]
    sums = np.zeros((products.max() + 1, points.shape[2]))
    np.add.at(sums, products, points.mean(axis=1) * weights[:, None])
    return np.asarray(sums / np.bincount(products, weights)[:, None])


def _within(points: Floats, means: Doubles, products: Integers, occasions: Integers) -> Doubles:
    """Return the scatter of photos about the mean of their product, shrunk towards that of
    views."""
    views = _scatter(points - points.mean(axis=1, keepdims=True))
    counts = np.bincount(products)
    # Single photos of a product have no deviation, and would make the scatter too small.
    several = counts[products] > 1
    weights = 1 / np.sqrt(np.bincount(occasions)[occasions[several]])
    free = float(weights.sum() - (counts > 1).sum())
    if free <= 0:
        return views
    deviations = points[several] - means[products[several], None].astype(np.float32)
    deviations *= np.sqrt(weights / weights.mean()).astype(np.float32)[:, None, None]
    share = free / (free + BY_VIEWS)
    return np.asarray(share * _scatter(deviations) + (1 - share) * views)


def _scatter(points: Floats) -> Doubles:
    """Return the mean of the outer products of [m, views, p] with themselves."""
    flat = points.reshape(-1, points.shape[2])
    return np.asarray(flat.T @ flat / np.float32(len(flat)), np.float64)


def _shrunk(scatter: Doubles, share: float) -> Doubles:
    """Shrink a scatter towards the multiple of the identity with the same trace."""
    count = len(scatter)
    middle = max(float(np.trace(scatter)) / count, _TINY)
    return (1 - share) * scatter + share * middle * np.eye(count)
