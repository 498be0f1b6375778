"""Products that are bought together (SciPy, extra `train`).

A basket holds the products of one order or, without an order id, those that one shopper bought or
put into the cart on one day (UTC). Products put into the cart and bought count as bought only. The
weight of i given j is the increase in probability of i in baskets with j (the added value of the
rule j → i; Sahar, Mansour 1999)::

    T[j, i] = n_ji / n_j − n_i / n      above 0, at most 1

where n counts baskets of at least two products. A pair needs `together_support` baskets, which
excludes random pairs; only positive weights are kept.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ranker.domain.arrays import Ints, Neighbours
from ranker.domain.events import DAY_MICROS, EventType
from ranker.domain.log import UNKNOWN, EventColumns
from ranker.domain.recipe import Recipe
from ranker.learning.training.neighbours import blocks, gathered, places, sparse_rows
from ranker.serving.ranking.fold_in import BASKET

MOST_IN_BASKET = 100
"""Maximum number of products of one basket that are used: pairs grow with its square."""
_PAIRS = 20_000_000
"""Maximum pairs of products in memory at once: 240 MB."""


def bought_together(log: EventColumns, item_ids: Sequence[str], recipe: Recipe) -> Neighbours:
    """Return in row j the largest `recipe.neighbours` weights of other products given product j.
    `item_ids` are the model's; products that are rarely bought with others have empty rows."""
    import scipy.sparse as sp

    basket, item = _contents(log, places(log.items, item_ids))
    ones = np.ones(len(item))
    shape = (basket.max(initial=-1) + 1, len(item_ids))
    held = sp.csr_matrix((ones, (basket, item)), shape)
    counts = np.asarray(held.sum(axis=0)).ravel()
    by_item = held.tocsc()
    sizes = np.asarray(by_item.T @ held.sum(axis=1)).ravel().astype(np.int64)

    def rows() -> Iterator[Any]:
        for block in blocks(sizes, _PAIRS):
            pairs = (by_item[:, block].T @ held).tocoo()
            source = pairs.row + block.start
            value = pairs.data / counts[source] - counts[pairs.col] / shape[0]
            good = (source != pairs.col) & (pairs.data >= recipe.together_support) & (value > 0)
            found = sp.csr_matrix((value[good], (pairs.row[good], pairs.col[good])), pairs.shape)
            yield from sparse_rows(found, np.arange(shape[1]), recipe.neighbours)

    return gathered(rows(), np.arange(len(item_ids)), len(item_ids))


def _contents(log: EventColumns, row: Ints) -> tuple[Ints, Ints]:
    """Return baskets, numbered from 0, and their products: unique pairs of baskets with two or
    more products. `row`: of each of the log's items, -1: not in the model."""
    log = log.part(log.is_type(*BASKET) & (row[log.item] >= 0))
    bought = log.is_type(EventType.PURCHASE)
    pair = log.actor * max(len(log.items), 1) + log.item
    log = log.part(bought | ~np.isin(pair, pair[bought]))
    days = np.stack([log.actor, log.time // DAY_MICROS], axis=1)
    named = log.order != UNKNOWN
    day = np.unique(days, axis=0, return_inverse=True)[1].reshape(-1)
    basket = np.where(named, day.max(initial=-1) + 1 + log.order, day)
    both = np.unique(np.stack([basket, row[log.item]], axis=1), axis=0)
    starts = np.flatnonzero(np.diff(both[:, 0], prepend=-1))
    sizes = np.diff(starts, append=len(both))
    place = np.arange(len(both)) - np.repeat(starts, sizes)
    kept = (np.repeat(sizes, sizes) >= 2) & (place < MOST_IN_BASKET)
    numbers = np.unique(both[kept, 0], return_inverse=True)[1].reshape(-1)
    return numbers, both[kept, 1]
