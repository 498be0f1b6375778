"""Baselines with parameters that are chosen on a validation part of the training events.

The newest fifth of each shopper's training interests is predicted from the others. The held-out
events of the evaluation are not used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from ranker.learning.evaluation import baselines, metrics, systems
from ranker.learning.evaluation.baselines import Scorer
from ranker.learning.evaluation.histories import Histories
from ranker.learning.evaluation.splits import Task

SHARE = 0.2
LAST = (None, 10)
"""Numbers of a shopper's newest products to score by; None: all."""
SHRINKAGES = (0.0, 5.0, 20.0, 100.0)
PENALTIES = (350.0, 50.0, 1000.0)
"""λ of EASE; the usual one first, which equal figures keep."""
LEAST_SHOPPERS, MOST_SHOPPERS = 30, 1_000
"""Minimum and maximum number of validation shoppers; with fewer, the usual parameters are used."""
MOST_TUNED_ITEMS = 3_000
"""Maximum number of products for a choice of EASE's parameters: some seconds."""


@dataclass(frozen=True, slots=True)
class TunedBaseline:
    """A baseline, fitted on all training interests."""

    scorer: Scorer
    settings: str = ""
    """Chosen parameters, such as "λ 350, last 10"; empty if nothing was chosen."""


def fit_all(training: Histories, item_count: int) -> tuple[TunedBaseline, ...]:
    """Return all baselines; item-kNN and EASE with chosen parameters."""
    task = _validation(training, item_count)
    made = (
        TunedBaseline(baselines.popularity(training, item_count)),
        TunedBaseline(baselines.untrained(training, item_count)),
        TunedBaseline(baselines.recent_popularity(training, item_count)),
        _knn(training, item_count, task),
        _ease(training, item_count, task),
        TunedBaseline(baselines.session_neighbours(training, item_count)),
        TunedBaseline(baselines.sequential_rules(training, item_count)),
    )
    return tuple(one for one in made if one is not None)


def _validation(training: Histories, item_count: int) -> Task | None:
    """Return the validation task; None with too few shoppers."""
    newer = training.newest_share(SHARE)
    older = training.without(newer)
    known = older.where_actor({*newer.actors})
    if len(known) < LEAST_SHOPPERS:
        return None
    wanted = newer.where_actor({*known.actors})
    return Task(known, wanted, np.ones(item_count, dtype=bool)).evenly(MOST_SHOPPERS)


def _knn(training: Histories, item_count: int, task: Task | None) -> TunedBaseline:
    if task is None:
        return TunedBaseline(baselines.item_knn(training, item_count))
    older = training.without(training.newest_share(SHARE))
    tried = [(shrunk, last) for last, shrunk in product(LAST, SHRINKAGES)]
    scorers = [baselines.item_knn(older, item_count, shrunk, last) for shrunk, last in tried]
    shrinkage, last = tried[_best(scorers, task)]
    scorer = baselines.item_knn(training, item_count, shrinkage, last)
    return TunedBaseline(scorer, f"shrinkage {shrinkage:g}, {_words(last)}")


def _ease(training: Histories, item_count: int, task: Task | None) -> TunedBaseline | None:
    if task is None or item_count > MOST_TUNED_ITEMS:
        usual = baselines.ease(training, item_count)
        return None if usual is None else TunedBaseline(usual)
    older = training.without(training.newest_share(SHARE))
    fits = [(one, baselines.ease(older, item_count, one)) for one in PENALTIES]
    tried = [(one, last, fit) for last in LAST for one, fit in fits if fit is not None]
    place = _best([replace(fit, last=last) for _, last, fit in tried], task)
    penalty, last, _ = tried[place]
    scorer = baselines.ease(training, item_count, penalty)
    if scorer is None:
        return None
    return TunedBaseline(replace(scorer, last=last), f"λ {penalty:g}, {_words(last)}")


def _best(scorers: Sequence[Scorer], task: Task) -> int:
    """Return the place of the scorer with the highest nDCG@10, the first of equal ones."""
    gains = [
        float(metrics.accuracy(systems.lists(one, task), metrics.LISTED)[metrics.DECISIVE].mean())
        for one in scorers
    ]
    return int(np.argmax(gains))


def _words(last: int | None) -> str:
    return "all products" if last is None else f"last {last} products"
