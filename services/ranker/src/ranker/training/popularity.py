"""How popular products are, and which way it goes. NumPy only."""

from collections.abc import Sequence

import numpy as np

from ranker.domain.arrays import Doubles, Floats
from ranker.domain.events import DAY_MICROS
from ranker.domain.signals import Interests
from ranker.training.neighbours import places

TREND_HALF_LIFE_DAYS = 14.0
"""After how many days a liking counts half as a recent one."""
TREND_SHRINKAGE = 10.0
"""Recent likings that each product is given on top of its own, so that few move nothing."""


def popularity(found: Interests, item_ids: Sequence[str]) -> Floats:
    """(items,) share of the most popular product's interest, 0 to 1; all 0 where there is none."""
    total = _sum_by_item(found, item_ids, found.weight)
    return (total / (total.max(initial=0.0) or 1.0)).astype(np.float32)


def trend(found: Interests, item_ids: Sequence[str]) -> Floats:
    """(items,) base-2 logarithm of the interest of the last weeks over what it would be if every
    product had kept its share of all time: 1 = twice as much, 0 = steady.

    An interest is recent by a half-life of 14 days before the newest one. Both sides get ten
    likings of the usual weight on top, so that a product with few likings counts as steady.
    """
    if not len(found):
        return np.zeros(len(item_ids), np.float32)
    age = (found.time.max() - found.time) / (TREND_HALF_LIFE_DAYS * DAY_MICROS)
    recent = _sum_by_item(found, item_ids, found.weight * np.exp2(-age))
    always = _sum_by_item(found, item_ids, found.weight)
    expected = always * recent.sum() / (always.sum() or 1.0)
    more = TREND_SHRINKAGE * found.weight.mean()
    ratio: Floats = np.log2((recent + more) / (expected + more)).astype(np.float32)
    return ratio


def _sum_by_item(found: Interests, item_ids: Sequence[str], values: Doubles) -> Doubles:
    row = places(found.items, item_ids)[found.item]
    known = row >= 0
    total: Doubles = np.bincount(row[known], values[known], minlength=len(item_ids)).astype(float)
    return total
