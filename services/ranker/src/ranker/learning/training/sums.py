"""Parts of a model that are computed from sums over all shoppers. Without a shopper's events they
are what a training without that shopper computes.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ranker.domain.arrays import Doubles, Floats, Neighbours
from ranker.domain.events import DAY_MICROS
from ranker.domain.log import EventColumns
from ranker.domain.recipe import Recipe
from ranker.domain.signals import Interests
from ranker.learning.training.baskets import bought_together
from ranker.learning.training.items import item_item
from ranker.learning.training.neighbours import places
from sightline_core.parts import BY_NEIGHBOURS, BY_NUMBER

TREND_HALF_LIFE_DAYS = 14.0
"""Half-life of affinities in the recent period, in days."""
TREND_SHRINKAGE = 10.0
"""Prior number of recent affinities of each product, so that few affinities cause no trend."""


def popularity(found: Interests, item_ids: Sequence[str]) -> Floats:
    """Return interest relative to the most popular product, (items,), 0 to 1; 0 without any."""
    total = _sum_by_item(found, item_ids, found.weight)
    return (total / (total.max(initial=0.0) or 1.0)).astype(np.float32)


def trend(found: Interests, item_ids: Sequence[str]) -> Floats:
    """Return the trend of each product, (items,): 1: interest doubled, 0: steady.

    It is the base-2 logarithm of the interest of the last weeks over the interest expected from
    the product's share of all time.

    An interest is recent by a half-life of 14 days before the newest one. Both sides get ten
    affinities of the usual weight on top, so that a product with few affinities counts as steady.
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


Learner = Callable[[Interests, EventColumns, Sequence[str], Recipe], Neighbours | Floats | None]
"""Function from interests, events, the model's products and the recipe to what a part is scored by;
None: the recipe disables the part."""
LEARNERS: Mapping[str, Learner] = MappingProxyType(
    {
        "item_item": lambda found, _log, ids, recipe: item_item(found, ids, recipe),
        "bought_together": lambda _found, log, ids, recipe: bought_together(log, ids, recipe),
        "trend": lambda found, _log, ids, _recipe: trend(found, ids),
    }
)
"""Learner of each part of BY_NEIGHBOURS and BY_NUMBER."""
SUMS = ("neighbours", "numbers", "popularity")
"""Fields of a model that `sums` computes."""


def sums(
    found: Interests, log: EventColumns, item_ids: Sequence[str], recipe: Recipe
) -> dict[str, Any]:
    """Return the `SUMS` of products. `found`: the interests of these events."""
    learned = {name: learn(found, log, item_ids, recipe) for name, learn in LEARNERS.items()}
    return {
        "neighbours": {one: learned[one] for one in BY_NEIGHBOURS if learned[one] is not None},
        "numbers": {one: learned[one] for one in BY_NUMBER if learned[one] is not None},
        "popularity": popularity(found, item_ids),
    }
