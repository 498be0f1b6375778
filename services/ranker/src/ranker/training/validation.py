"""How good a recipe is, on events that came after those it was fitted on.

The split is by time and lies inside what a training may see: what a promotion is judged by comes
after all of it, and is looked at once, by evaluation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ranker.evaluation import systems
from ranker.evaluation.baselines import popularity
from ranker.evaluation.metrics import Lists
from ranker.evaluation.splits import Task, split_globally, tasks
from ranker.model import DataInsufficient, Doubles, Model
from ranker.recipe import Recipe
from ranker.training.fitting import Fitted, Progress, fitted
from ranker.training.subject import Given

SHARE = 0.2
"""Of the events, the last, that are asked for."""
MOST_SHOPPERS = 2_000
"""Shoppers who are asked: of more, some are drawn."""
TOP = 10
METRIC = f"ndcg@{TOP}"


@dataclass(frozen=True, slots=True)
class Validation:
    """What a recipe is fitted on and asked for, the same for all recipes."""

    given: Given
    """With the events before."""
    task: Task
    """Of shoppers with a history, who like something after that they did not like before."""

    def fitted(self, recipe: Recipe, progress: Progress | None = None) -> Fitted:
        """The model of the events before; DataInsufficient, TrainingDiverged."""
        return fitted(self.given, recipe, progress)

    def gains(self, model: Model) -> Doubles:
        """(shoppers,) nDCG@10 (Järvelin, Kekäläinen 2002) of the products that are liked after,
        among all that are not liked before, as the model is served."""
        products = sorted(self.given.products, key=lambda product: product.product_id)
        otherwise = popularity(self.task.known, len(products))
        return _ndcg(systems.lists(systems.served("", model, products, otherwise), self.task))


def validation(given: Given, recipe: Recipe) -> Validation:
    """The last fifth of what is given, in time, held out; DataInsufficient when nobody could be
    asked."""
    made = split_globally(given.log, SHARE)
    ids = sorted(product.product_id for product in given.products)
    task = tasks(made, ids, recipe.signals).regulars
    if not len(task.known):
        raise DataInsufficient("nobody liked something both before and after the split in time")
    step = -(-len(task.known) // MOST_SHOPPERS)
    return Validation(replace(given, log=made.before), _some(task, range(0, len(task.known), step)))


def _some(task: Task, rows: Sequence[int]) -> Task:
    return replace(task, known=task.known.take(rows), wanted=task.wanted.take(rows))


def _ndcg(lists: Lists) -> Doubles:
    discounts = 1 / np.log2(np.arange(2, TOP + 2))
    best = np.cumsum(discounts)[np.minimum(lists.wanted, TOP) - 1]
    found: Doubles = lists.hits[:, :TOP] @ discounts / best
    return found
