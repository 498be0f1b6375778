"""Strength of a shopper's affinity for features of products. NumPy only.

With S the weight of all of the shopper's interests, S_f that of products with feature f, and q_f
the share of all shoppers' interest in such products::

    strength_f = max(0, (S_f / S − q_f) / (1 − q_f)) · S_f / (S_f + 2)   0 to 1

The first factor is the share beyond the usual one, relative to its maximum (as in Cohen's kappa,
1960): 0 is the usual interest, 1 is exclusive interest. The second factor discounts little
evidence: after two certain affinities it is one half.
"""

from dataclasses import dataclass

import numpy as np

from ranker.domain.arrays import Doubles, Ints
from ranker.domain.model import ProductFeatures

HALF_BELIEVED = 2.0
"""Number of certain affinities at which the discount is one half."""


@dataclass(frozen=True, slots=True)
class Affinities:
    """Features of the products that a shopper likes."""

    shares: Doubles
    """(names,) of their interest, 0 to 1"""
    strengths: Doubles
    """(names,) 0 to 1"""


def affinities(described: ProductFeatures, rows: Ints, weights: Doubles) -> Affinities:
    """Return the affinities of a shopper with these liked rows and weights (above 0)."""
    total = weights.sum()
    if not total:
        nothing = np.zeros(len(described.names))
        return Affinities(nothing, nothing)
    places, counts = _spread(described, rows)
    each = np.repeat(weights, counts)
    summed = np.bincount(described.features[places], each, len(described.names)).astype(np.float64)
    return of_sums(summed, total, described.shares.astype(np.float64))


def of_sums(summed: Doubles, total: Doubles | float, usual: Doubles) -> Affinities:
    """Return affinities from the weights by feature, (…, names), and the total weights, (…, 1)."""
    shares = summed / total
    beyond = np.maximum(shares - usual, 0.0) / np.maximum(1.0 - usual, 1e-9)
    return Affinities(shares, np.clip(beyond, 0.0, 1.0) * (summed / (summed + HALF_BELIEVED)))


def with_feature(described: ProductFeatures, rows: Ints, feature: int) -> Ints:
    """Return the ascending indexes into `rows` of the products that have the feature."""
    places, counts = _spread(described, rows)
    found: Ints = np.repeat(np.arange(len(rows)), counts)[described.features[places] == feature]
    return found


def _spread(described: ProductFeatures, rows: Ints) -> tuple[Ints, Ints]:
    """Return the indexes of these products' features, product by product, and the number of
    features of each."""
    firsts, counts = described.starts[rows], described.starts[rows + 1] - described.starts[rows]
    ends = np.cumsum(counts)
    return np.arange(counts.sum()) + np.repeat(firsts - (ends - counts), counts), counts
