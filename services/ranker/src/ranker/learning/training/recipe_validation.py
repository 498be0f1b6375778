"""Quality of a recipe on events after its training.

The split is by time, within the events of the training. The evaluation that decides on a promotion
uses later events, once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ranker.domain.arrays import Doubles
from ranker.domain.errors import DataInsufficient
from ranker.domain.model import Model
from ranker.domain.recipe import Recipe
from ranker.domain.report import HELD_OUT
from ranker.learning.evaluation import metrics, systems
from ranker.learning.evaluation.baselines import popularity
from ranker.learning.evaluation.splits import Task, split_globally, tasks
from ranker.learning.training.blend import BlendCase, Cases, gathered
from ranker.learning.training.fitting import Progress, fitted
from ranker.learning.training.training_data import Given
from ranker.serving.ranking import parts

SHARE = HELD_OUT
"""Share of the newest events that are held out."""
MOST_SHOPPERS = 2_000
"""Maximum number of shoppers in the test; larger sets are sampled."""
TOP = 10
METRIC = f"ndcg@{TOP}"


@dataclass(frozen=True, slots=True)
class Validation:
    """Validation split, the same for all recipes."""

    given: Given
    """Inputs with the earlier events only."""
    task: Task
    """All shoppers in the middle of their later interests (`Tasks.ongoing`)."""

    def fitted(
        self,
        recipe: Recipe,
        progress: Progress | None = None,
        *,
        with_attributes: bool = True,
        beside: Model | None = None,
    ) -> Model:
        """Fit a model on the earlier events, with or without shoppers' attributes; `beside` as
        for `fitted`. DataInsufficient, TrainingDiverged."""
        given = self.given if with_attributes else replace(self.given, attributes={})
        return fitted(given, recipe, progress, beside=beside).model

    def cases(self, model: Model) -> Cases:
        """Return the same shoppers with the parts of their scores, to choose a blend by."""
        return gathered(self._cases(model))

    def _cases(self, model: Model) -> Iterator[BlendCase]:
        known, wanted = self.task.known, self.task.wanted
        served = self._served(model)
        for row, shopper in enumerate(served.people(known)):
            competes = self.task.candidates.copy()
            competes[known.of(row)] = False
            asked = np.zeros(len(competes), dtype=bool)
            asked[wanted.of(row)] = True
            raw = parts.raw_parts(model, shopper, served.items) if shopper.personal else {}
            scaled = {
                name: values[competes] / parts.scale(model, name) for name, values in raw.items()
            }
            yield BlendCase(scaled, asked[competes])

    def gains(self, model: Model) -> Doubles:
        """Return nDCG@10 (Järvelin, Kekäläinen 2002) of the model as served, (shoppers,).

        Products liked later are the relevant ones, among all that were not liked before.
        """
        return metrics.accuracy(systems.lists(self._served(model), self.task), TOP)[METRIC]

    def _served(self, model: Model) -> systems.Served:
        products = sorted(self.given.products, key=lambda product: product.product_id)
        otherwise = popularity(self.task.known, len(products))
        return systems.served("", model, products, otherwise)


def validation(given: Given, recipe: Recipe) -> Validation:
    """Hold out the last fifth of the data in time; DataInsufficient if no shopper can be tested."""
    made = split_globally(given.log, SHARE)
    ids = sorted(product.product_id for product in given.products)
    task = tasks(made, ids, recipe.signals).ongoing
    if not len(task.known):
        raise DataInsufficient(
            "no shopper liked one product before and another after the split in time"
        )
    return Validation(replace(given, log=made.before), task.evenly(MOST_SHOPPERS))
