"""Clicks on searches by photo, weighed so that no shopper dominates what is learned from them.

A place that is looked at with a chance of 1 / place has its clicks weighed by the place (inverse
propensity weighting; Joachims, Swaminathan, Schnabel 2017, WSDM). The bounds are for hostile
callers: of LEAST_CLICKS clicks or more, one shopper has at most a tenth of the weight, because each
click weighs 1 or more, and a shopper has at most MOST_OF_SHOPPER clicks and as much weight.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ranker.domain.arrays import Doubles, Floats, Ints

LAST_PLACE = 20
"""Last place whose clicks are used."""
MOST_WEIGHT = 10
"""Maximum weight of a click, and of all clicks of a shopper."""
MOST_OF_SHOPPER = 10
"""Clicks of a shopper that are used: the newest."""
LEAST_CLICKS = 100
"""Minimum number of clicks to learn from."""


@dataclass(frozen=True, slots=True)
class PhotoClick:
    """A click on a product that a search by photo found."""

    actor: str
    """Pseudonym of the shopper."""
    product_id: str
    place: int
    """Place of the product in the answer, from 1."""
    time_micros: int
    vector: bytes
    """Vector of the photo, float32, little-endian."""


@dataclass(frozen=True, slots=True)
class PhotoClicks:
    """Clicks as columns."""

    vectors: Floats
    """(clicks, dimension): vectors of the photos."""
    product_ids: Sequence[str]
    weights: Doubles
    """(clicks,) above 0."""
    shoppers: Ints
    """(clicks,) number of the shopper, from 0 without gaps."""

    @property
    def shopper_count(self) -> int:
        """Number of shoppers."""
        return int(self.shoppers.max(initial=-1)) + 1

    def some(self, rows: Ints) -> "PhotoClicks":
        """Return the clicks of these rows."""
        ids = [self.product_ids[row] for row in rows]
        return PhotoClicks(self.vectors[rows], ids, self.weights[rows], self.shoppers[rows])


def weighed(clicks: Iterable[PhotoClick]) -> PhotoClicks:
    """Return the clicks that are used, with their weights.

    Of a shopper's clicks on one product the newest is used, and of all of theirs the newest
    MOST_OF_SHOPPER. Clicks after LAST_PLACE and photos of another dimension than the first are left
    out.
    """
    newest: dict[str, dict[str, PhotoClick]] = {}
    size = 0
    for one in sorted(clicks, key=lambda click: -click.time_micros):
        size = size or len(one.vector)
        if 1 <= one.place <= LAST_PLACE and len(one.vector) == size:
            theirs = newest.setdefault(one.actor, {})
            if len(theirs) < MOST_OF_SHOPPER:
                theirs.setdefault(one.product_id, one)
    used = [one for theirs in newest.values() for one in theirs.values()]
    numbers = np.array([n for n, theirs in enumerate(newest.values()) for _ in theirs], np.int64)
    weights = np.array([min(one.place, MOST_WEIGHT) for one in used], float)
    total = np.bincount(numbers, weights) if used else weights
    vectors = np.frombuffer(b"".join(one.vector for one in used), "<f4")
    return PhotoClicks(
        vectors.reshape(len(used), size // 4),
        [one.product_id for one in used],
        weights * np.minimum(1.0, MOST_WEIGHT / total[numbers]) if used else weights,
        numbers,
    )
