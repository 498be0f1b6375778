"""Directions in which photos of different products differ more than photos of the same one.

Linear discriminant analysis (Fisher 1936; Rao 1948) with both scatters shrunk. That within products
is drawn towards that of the views of one photo, by how few products have several photos, and
towards a multiple of the identity (Friedman 1989; Ledoit and Wolf 2004), so that no catalog is
too small. To that between products a share of all photos' is added, so that there are more
directions than products less one: those that unlabelled products need. Where every
product has one photo this is within-class covariance normalisation by views (Hatch, Kajarekar and
Stolcke 2006).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from embedder.domain.fitted import Floats
from embedder.fitting.components import Doubles
from embedder.fitting.folds import Integers

_TINY: Final = 1e-30
BY_VIEWS: Final = 50.0
"""The scatter of views weighs as much as so many photos beyond the first of their products."""


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """How the scatters are shrunk; docs/research/embedder.md says how the defaults were chosen."""

    within: float = 0.2
    """Share of the identity in the scatter within products, 0 to 1."""
    between: float = 0.2
    """How much of all photos' scatter is added to that between products."""
    power: float = 0.5
    """A direction's weight is its share of differences between products, to this power."""


def directions(points: Floats, products: Integers, most: int, how: Shrinkage) -> Floats:
    """Return [p, d], d at most `most` and p, of photos [m, views, p] of these products [m].

    At least two products; `products` counts from 0 without gaps.
    """
    means = _means(points, products)
    within = _shrunk(_within(points, means[products], products), how.within)
    variances, axes = np.linalg.eigh(within)
    whitening = axes / np.sqrt(variances)
    centred = means - means.mean(axis=0)
    between = centred.T @ centred / len(means)
    between += how.between * _scatter(points - points.mean(axis=(0, 1)))
    ratios, turned = np.linalg.eigh(whitening.T @ between @ whitening)
    ratios, turned = np.maximum(ratios[::-1][:most], 0), turned[:, ::-1][:, :most]
    return np.asarray(whitening @ turned * (ratios / (ratios + 1)) ** how.power, np.float32)


def _means(points: Floats, products: Integers) -> Doubles:
    """Return the mean of each product [products, p]."""
    sums = np.zeros((products.max() + 1, points.shape[2]))
    np.add.at(sums, products, points.mean(axis=1))
    return np.asarray(sums / np.bincount(products)[:, None])


def _within(points: Floats, means: Doubles, products: Integers) -> Doubles:
    """Return the scatter of a product's photos about its mean, drawn towards that of views."""
    views = _scatter(points - points.mean(axis=1, keepdims=True))
    counts = np.bincount(products)
    # Photos that are alone with their product would say that photos hardly differ.
    several = counts[products] > 1
    free = int(several.sum() - (counts > 1).sum())
    if not free:
        return views
    photos = _scatter(points[several] - means[several, None].astype(np.float32))
    share = free / (free + BY_VIEWS)
    return share * photos + (1 - share) * views


def _scatter(points: Floats) -> Doubles:
    """Return the mean of the outer products of [m, views, p] with themselves."""
    flat = points.reshape(-1, points.shape[2])
    return np.asarray(flat.T @ flat / np.float32(len(flat)), np.float64)


def _shrunk(scatter: Doubles, share: float) -> Doubles:
    """Draw a scatter towards the multiple of the identity that has its trace."""
    count = len(scatter)
    middle = max(float(np.trace(scatter)) / count, _TINY)
    return (1 - share) * scatter + share * middle * np.eye(count)
