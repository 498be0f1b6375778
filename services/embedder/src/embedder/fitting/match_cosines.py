"""Cosines of good matches: how near shoppers' photos come to the catalog's photos of products that
are sold.

Photos of some categories are more alike than others. So each category has cosines of its own: the
mean of its photos, less a multiple of their deviation that is the same for all categories. It is
chosen so that a share of all photos is below, each by the category that the head sees in it: split
conformal prediction with normalised scores (Lei et al. 2018). lab/research/no-good-match.md has
what it detects.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from embedder.domain.fitted import MATCH_SHARES, Floats
from embedder.fitting.components import Doubles
from embedder.fitting.folds import Integers
from embedder.fitting.nearest_photos import Booleans

FEWEST: Final = 100
"""Minimum number of shoppers' photos: with fewer, a share of 5% is uncertain by more than two
percentage points either way."""
ALL: Final = 4.0
"""Weight of all photos in the mean and deviation of a category, as a number of its photos."""


@dataclass(frozen=True, slots=True)
class HeldPhotos:
    """Shoppers' photos of products that are sold, by maps and heads that were not fitted on
    them."""

    near: Doubles
    """[n, views]: cosine to the nearest photo in the catalog, by the number of averaged views."""
    seen: Integers
    """[n, views]: category by the head."""
    shown: Integers
    """[n]: true category; -1: none of the head's."""
    folds: Integers
    """[n]: the fold that was held out."""


def match_cosines(photos: HeldPhotos, categories: int) -> Floats | None:
    """Return [views, categories, shares], rising: the cosines that MATCH_SHARES of the photos stay
    below. None if there are too few photos.
    """
    if len(photos.folds) < FEWEST:
        return None
    return np.stack(
        [
            _of_views(near, seen, photos.shown, photos.folds, categories)
            for near, seen in zip(photos.near.T, photos.seen.T, strict=True)
        ]
    )


def _of_views(
    near: Doubles, seen: Integers, shown: Integers, folds: Integers, categories: int
) -> Floats:
    apart = np.empty(len(near))
    for fold in np.unique(folds):
        held = folds == fold
        means, deviations = _moments(near[~held], shown[~held], categories)
        apart[held] = (near[held] - means[seen[held]]) / deviations[seen[held]]
    means, deviations = _moments(near, shown, categories)
    found = means[:, None] + deviations[:, None] * np.quantile(apart, MATCH_SHARES)
    return np.asarray(np.clip(found, -1, 1), np.float32)


def _moments(near: Doubles, shown: Integers, categories: int) -> tuple[Doubles, Doubles]:
    """Return mean and deviation of each category, shrunk towards those of all photos."""
    known: Booleans = shown >= 0
    near, shown = near[known], shown[known]
    counts = np.bincount(shown, minlength=categories)
    own = np.bincount(shown, near, categories) / np.maximum(counts, 1)
    squares = np.bincount(shown, (near - own[shown]) ** 2, categories)
    total = max(len(near), 1)
    means = (counts * own + ALL * near.sum() / total) / (counts + ALL)
    variances = (squares + ALL * squares.sum() / total) / (counts + ALL)
    return means, np.sqrt(np.maximum(variances, np.finfo(np.float32).tiny))
