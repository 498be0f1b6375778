"""Prediction of the vector of a product without affinities from its photo. NumPy only.

LightFM learns a vector e_i for each product's own id: the part of its affinities that shared
features do not explain. A new product has none, and a kernel ridge regression predicts it from the
photo::

    e_i ≈ Σ_l effect_l · exp(−|photo_i − photo_l|² / width) − offset
                                        over the products that are liked and have a photo

The landmarks l are those products themselves, or a thousand of them (Williams, Seeger 2001). Each
product is predicted from all others (leave-one-out, in closed form) to choose width and penalty and
to test whether photos predict anything: errors are measured in shoppers' scores, and the interval
is over products, since new products are the use case. Liked products keep their vectors bit for
bit. Biases are unchanged: a photo does not predict popularity.

Until 0.13 style axes were features of LightFM, where they identified training products like ids:
see lab/research/quality.md.
"""

from dataclasses import dataclass, replace

import numpy as np

from ranker.domain.arrays import Doubles, Floats
from ranker.domain.model import Looks
from ranker.learning.evaluation.bootstrap import intervals

WIDTHS = (4.0, 1.0, 0.5, 0.25, 0.125)
"""Widths to try, relative to the median squared distance of two photos: from nearly linear to
matching only photos of the same series."""
PENALTIES = tuple(10 ** (step / 4) for step in range(-4, 9))
"""Penalties to try, 0.1 to 100: ratio of noise to signal, independent of the number of products."""
LEAST_PRODUCTS = 50
"""Minimum number of liked products with a photo."""
WIDER = 2**0.5
"""Factor on intervals over products: gains of products that predict each other are not independent.
With it, none of 100 random data sets passes."""
MOST_PRODUCTS, LANDMARKS = 5_000, 1_000
"""Maximum number of products to learn from and of landmarks in the model, evenly sampled: ten
seconds, and 5 MB with 1,280 components."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Quality of the prediction from photos, on held-out products."""

    products: int
    share: float
    """Explained share of the products' own vectors, measured in shoppers' scores, at most 1; below
    0: worse than no prediction. Between `low` and `high` with 95% confidence, over products."""
    low: float
    high: float
    penalty: float
    width: float

    @property
    def helps(self) -> bool:
        """True if photos predict something; otherwise they are not used."""
        return self.low > 0


def predict_photo_vectors(
    photos: Floats, own: Floats, shoppers: Floats
) -> tuple[Looks | None, Explained | None]:
    """Fit the prediction of liked products' `own` vectors, (products, …), from their `photos`.

    `shoppers`: (n, dimension). Return None twice with too few products or equal photos; None and
    the quality if photos predict nothing.
    """
    some = slice(None, None, -(-len(photos) // MOST_PRODUCTS) or 1)
    photos, wanted = photos[some], own[some].astype(np.float64)
    if len(photos) < LEAST_PRODUCTS:
        return None, None
    landmarks = photos[:: -(-len(photos) // LANDMARKS)]
    usual = float(np.median(_distances(landmarks)))
    if usual < 1e-12:
        return None, None
    wanted -= wanted.mean(axis=0)
    trials = [_tried(photos, landmarks, width * usual, wanted, shoppers) for width in WIDTHS]
    looks, explained = max(trials, key=lambda trial: trial[1].share)
    return (looks if explained.helps else None), explained


def _distances(photos: Floats) -> Doubles:
    """Return squared distances of all pairs of photos, (pairs,)."""
    squares = (photos.astype(np.float64) ** 2).sum(axis=1)
    found: Doubles = squares[:, None] + squares - 2 * (photos @ photos.T)
    return found[np.triu_indices(len(photos), 1)]


def _tried(
    photos: Floats, landmarks: Floats, width: float, wanted: Doubles, shoppers: Floats
) -> tuple[Looks, Explained]:
    """Return the fit with this width."""
    nothing = np.zeros((len(landmarks), wanted.shape[1]), np.float32)
    looks = Looks(landmarks, nothing, nothing[0], width)
    values, axes = np.linalg.eigh(looks.near(landmarks).astype(np.float64))
    large = values > values[-1] * 1e-6  # of single precision
    root = axes[:, large] / np.sqrt(values[large])
    places = looks.near(photos) @ root
    mean = places.mean(axis=0)
    ridge = Ridge.of(places - mean, wanted)
    explained = chosen(ridge, shoppers, width)
    weights = ridge.weights(explained.penalty)
    effects, offset = root @ weights, mean @ weights
    return (
        replace(looks, effects=effects.astype(np.float32), offset=offset.astype(np.float32)),
        explained,
    )


@dataclass(frozen=True, slots=True)
class Ridge:
    """Ridge regressions of `wanted` on centred kernel features, for any penalty."""

    left: Doubles
    sizes: Doubles
    right: Doubles
    wanted: Doubles

    @classmethod
    def of(cls, places: Doubles, wanted: Doubles) -> "Ridge":
        return cls(*np.linalg.svd(places, full_matrices=False), wanted)

    def weights(self, penalty: float) -> Doubles:
        shrunk = self.sizes / (self.sizes**2 + penalty)
        found: Doubles = self.right.T @ (shrunk[:, None] * (self.left.T @ self.wanted))
        return found

    def missed(self, penalty: float) -> Doubles:
        """Return each row's leave-one-out error. Means leave the row out too: otherwise useless
        photos would seem informative."""
        kept = self.sizes**2 / (self.sizes**2 + penalty)
        fitted = (self.left * kept) @ (self.left.T @ self.wanted)
        own_share = 1 / len(fitted) + self.left**2 @ kept
        found: Doubles = (self.wanted - fitted) / (1 - own_share)[:, None]
        return found


def chosen(ridge: Ridge, shoppers: Floats, width: float) -> Explained:
    """Return the largest penalty within one standard error of the best (Breiman et al. 1984)."""
    second = shoppers.astype(np.float64).T @ shoppers / len(shoppers)
    values, axes = np.linalg.eigh(second)
    moved = axes * np.sqrt(np.maximum(values, 0))  # errors measured in scores
    whole = ((ridge.missed(np.inf) @ moved) ** 2).sum(axis=1)
    gains = [whole - ((ridge.missed(one) @ moved) ** 2).sum(axis=1) for one in PENALTIES]
    best = max(gains, key=lambda gain: float(gain.mean()))
    place = max(place for place, gain in enumerate(gains) if _as_good(gain, best))
    found = intervals(gains[place][:, None] / max(float(whole.mean()), 1e-12))
    share, low, high = float(found.mean[0]), float(found.low[0]), float(found.high[0])
    low, high = share - WIDER * (share - low), share + WIDER * (high - share)
    return Explained(len(whole), share, low, high, PENALTIES[place], width)


def _as_good(gain: Doubles, best: Doubles) -> bool:
    less = best - gain
    return bool(less.mean() <= less.std(ddof=1) / np.sqrt(len(less)))
