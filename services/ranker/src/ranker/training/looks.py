"""What a photo says of a product that nobody likes yet. NumPy only.

LightFM learns a vector e_i for each product's own id: what its likings say beyond the features that
it shares with others. A new product has none, and a ridge regression predicts it from the photo::

    e_i ≈ (photo_i − mean) · axes        over the products that are liked and have a photo

Photos go through their first principal axes, of which those in which they differ little are shrunk
most. Each product is predicted from all others (leave-one-out, in closed form) to choose the
penalty and to find out whether photos say anything: the error counts as it moves shoppers' scores,
and the interval is over products, as what comes new is a product. Those that are liked keep their
vectors bit for bit, and biases are left alone: how many will like a product its photo does not say.

As features inside LightFM, as they were until 0.13, axes of the style named the products of the
training like ids: see docs/research/quality.md.
"""

from dataclasses import dataclass

import numpy as np

from ranker.domain.arrays import Doubles, Floats
from ranker.evaluation.bootstrap import intervals
from ranker.training.matrices import CHUNK, principal

AXES = 256
"""Most principal axes of the photos."""
PENALTIES = tuple(10 ** (step / 4) for step in range(2, 13))
"""Tried, 3 to 1,000, where the photos' mean square is 1: the ratio of what a photo can't say to
what it says, whatever the number of products."""
LEAST_PRODUCTS = 50
"""Liked products with a photo; of fewer nothing is learned."""
MOST_PRODUCTS = 20_000
"""From which on products evenly taken are learned from: 200 MB."""


@dataclass(frozen=True, slots=True)
class Looks:
    """How a photo becomes what is added to the vector of a product that nobody likes."""

    mean: Floats
    """(photo dimension,)"""
    axes: Floats
    """(photo dimension, model dimension)"""

    def of(self, photos: Floats) -> Floats:
        """(n, model dimension) of (n, photo dimension)."""
        found: Floats = ((photos - self.mean) @ self.axes).astype(np.float32)
        return found


@dataclass(frozen=True, slots=True)
class Explained:
    """What photos say of products that they were not learned from."""

    products: int
    share: float
    """Of what shoppers' scores make of the products' own vectors, at most 1; below 0 = it misleads.
    Between `low` and `high` with 95% confidence, over products."""
    low: float
    high: float
    penalty: float

    @property
    def helps(self) -> bool:
        """Whether photos say something: else nothing is learned from them."""
        return self.low > 0


def learn_looks(
    photos: Floats, own: Floats, shoppers: Floats
) -> tuple[Looks | None, Explained | None]:
    """`photos` and `own`: (products, …) of liked products; `shoppers`: (n, dimension). None = too
    few products, photos that do not differ, or, of the first, photos that do not help."""
    some = slice(None, None, -(-len(photos) // MOST_PRODUCTS) or 1)
    photos, wanted = photos[some], own[some].astype(np.float64)
    if len(photos) < LEAST_PRODUCTS:
        return None, None
    mean = photos.mean(axis=0, dtype=np.float64)
    values, axes = principal(photos, mean)
    large = values > max(values[0], 0.0) * 1e-6
    values, axes = values[large][:AXES], axes[large][:AXES]
    if values.sum() < 1e-12:
        return None, None
    axes /= np.sqrt(values.sum())
    wanted -= wanted.mean(axis=0)
    ridge = _Ridge.of(_blockwise(photos, mean, axes), wanted)
    penalty, explained = _chosen(ridge, shoppers)
    if not explained.helps:
        return None, explained
    found = axes.T @ ridge.weights(penalty)
    return Looks(mean.astype(np.float32), found.astype(np.float32)), explained


def _blockwise(photos: Floats, mean: Doubles, axes: Doubles) -> Doubles:
    starts = range(0, len(photos), CHUNK)
    return np.concatenate([(photos[at : at + CHUNK] - mean) @ axes.T for at in starts])


@dataclass(frozen=True, slots=True)
class _Ridge:
    """Regressions of `wanted` on places along the axes, for any penalty."""

    left: Doubles
    sizes: Doubles
    right: Doubles
    wanted: Doubles

    @classmethod
    def of(cls, places: Doubles, wanted: Doubles) -> "_Ridge":
        return cls(*np.linalg.svd(places, full_matrices=False), wanted)

    def weights(self, penalty: float) -> Doubles:
        shrunk = self.sizes / (self.sizes**2 + penalty)
        found: Doubles = self.right.T @ (shrunk[:, None] * (self.left.T @ self.wanted))
        return found

    def missed(self, penalty: float) -> Doubles:
        """What each row misses that is predicted from all others."""
        kept = self.sizes**2 / (self.sizes**2 + penalty)
        fitted = (self.left * kept) @ (self.left.T @ self.wanted)
        found: Doubles = (self.wanted - fitted) / (1 - self.left**2 @ kept)[:, None]
        return found


def _chosen(ridge: _Ridge, shoppers: Floats) -> tuple[float, Explained]:
    """The largest penalty that is within one standard error of the best (Breiman et al. 1984)."""
    second = shoppers.astype(np.float64).T @ shoppers / len(shoppers)
    values, axes = np.linalg.eigh(second)
    moved = axes * np.sqrt(np.maximum(values, 0))  # a vector's error by how it moves scores
    whole = ((ridge.wanted @ moved) ** 2).sum(axis=1)
    gains = [whole - ((ridge.missed(one) @ moved) ** 2).sum(axis=1) for one in PENALTIES]
    best = max(gains, key=lambda gain: float(gain.mean()))
    place = max(place for place, gain in enumerate(gains) if _as_good(gain, best))
    found = intervals(gains[place][:, None] / max(float(whole.mean()), 1e-12))
    share, low, high = float(found.mean[0]), float(found.low[0]), float(found.high[0])
    return PENALTIES[place], Explained(len(whole), share, low, high, PENALTIES[place])


def _as_good(gain: Doubles, best: Doubles) -> bool:
    less = best - gain
    return bool(less.mean() <= less.std(ddof=1) / np.sqrt(len(less)))
