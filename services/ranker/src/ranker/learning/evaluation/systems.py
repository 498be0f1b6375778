"""Systems to compare: a model as served, and the lists of any scorer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ranker.domain.arrays import Doubles, Ints, stacked
from ranker.domain.features import Product
from ranker.domain.model import Model
from ranker.learning.evaluation import metrics
from ranker.learning.evaluation.baselines import Popularity, Scorer
from ranker.learning.evaluation.histories import Histories
from ranker.learning.evaluation.metrics import Lists
from ranker.learning.evaluation.splits import Task
from ranker.serving.ranking import fold_in, parts
from ranker.serving.ranking.fold_in import FoldIn
from ranker.serving.ranking.parts import Items
from ranker.serving.ranking.rank import RankCandidates, represent

_BLOCK = 2**23
"""Scores held at once: 64 MB."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model by the formula of serving; popularity for shoppers without data."""

    name: str
    model: Model
    items: Items
    otherwise: Popularity
    item_ids: tuple[str, ...]
    weights: Mapping[str, float] | None = None
    """Those of a scene; None: 1 for each part."""

    def scores(self, shoppers: Histories) -> Doubles:
        """Return scores, (shoppers, items)."""
        made = self.otherwise.scores(shoppers).copy()
        for row, shopper in enumerate(self.people(shoppers)):
            if shopper.personal:
                raw = parts.raw_parts(self.model, shopper, self.items)
                factors = parts.factors(self.model, self.weights, shopper)
                made[row] = sum(parts.weighed(raw, factors).values())
        return made

    def people(self, shoppers: Histories) -> Iterator[FoldIn]:
        """Yield the shoppers' representations in the model at the time of their requests."""
        idle = shoppers.idle
        for row, actor in enumerate(shoppers.actors):
            newest = slice(shoppers.starts[row], shoppers.starts[row + 1])
            items, bought = shoppers.items[newest][::-1], shoppers.bought[newest][::-1]
            yield fold_in.of(
                self.model,
                actor,
                self._ids(items),
                self._ids(items[bought]),
                idle_micros=int(idle[row]),
            )

    def _ids(self, rows: Ints) -> list[str]:
        return [self.item_ids[row] for row in rows]


def served(name: str, model: Model, products: Sequence[Product], otherwise: Popularity) -> Served:
    """Return the model as it is served over these products; unknown ones are represented by their
    features, as they are in a request."""
    ids = tuple(product.product_id for product in products)
    nothing = np.zeros(len(ids))
    items = represent(RankCandidates(ids, products, {}, nothing), model)
    return Served(name, model, items, otherwise, ids)


def lists(scorer: Scorer, task: Task) -> Lists:
    """Return the scorer's first products for the task's shoppers, at least one."""
    block = max(1, _BLOCK // max(len(task.candidates), 1))
    blocks = []
    for start in range(0, len(task.known), block):
        rows = np.arange(start, min(start + block, len(task.known)))
        known, wanted = task.known.take(rows), task.wanted.take(rows)
        blocks.append(metrics.order(scorer.scores(known), known, wanted, task.candidates))
    return stacked(*blocks)
