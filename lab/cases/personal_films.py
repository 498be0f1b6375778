"""Shoppers of MovieLens-100k without a model, by the product's own counts and weights.

Films have neither photos nor categories here, so views together and popularity are all that
for-you has. A rating stands for a click: days, visits and their limits are those of serving.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from bench.datasets.movielens import RECIPE, SIGNALS, MovieLens
from lab.cases.quality import SEEDS, SHARE, SystemFigures, joined, measured, served
from ranker.domain import counting
from ranker.domain.arrays import Doubles
from ranker.domain.counting import ALL, VIEWED
from ranker.domain.events import EventType, Interaction
from ranker.domain.log import EventColumns
from ranker.domain.recommenders import Counted, CountScope, Near
from ranker.domain.report import Protocol
from ranker.domain.signals import Signals
from ranker.learning.evaluation import baselines
from ranker.learning.evaluation.baselines import Scorer
from ranker.learning.evaluation.histories import Histories, histories_of
from ranker.learning.evaluation.splits import Task, split, tasks
from ranker.learning.evaluation.systems import Served
from ranker.learning.training.fitting import fitted
from ranker.learning.training.training_data import Given
from ranker.serving.ranking import recommenders
from ranker.serving.ranking.parts import SESSION, TASTE
from ranker.serving.ranking.recommenders import MOST_LAST
from sightline_core.branch import Branch

EVENTS = (1, 3, 5)
ALL_EVENTS = 0
"""In place of a number of events: shoppers who were in training, with all their events."""
OURS, MODEL, BOTH = "without a model", "trained model", "the model and last products"
ALL_COUNT = Signals(robot_views_a_minute=10**9)
"""Ratings come in bulk: nobody is taken for a robot."""


@dataclass(frozen=True, slots=True)
class Untrained:
    """The parts of for-you without a model, as far as films have them."""

    near: Mapping[str, Sequence[Near]]
    """By film: what was viewed with it."""
    popularity: Doubles
    """(films,) √share"""
    ids: Sequence[str]
    weights: Mapping[str, float]
    name: str = OURS

    def scores(self, shoppers: Histories) -> Doubles:
        """Return scores, (shoppers, films)."""
        shown = np.empty((len(shoppers), len(self.ids)))
        rows = {film: row for row, film in enumerate(self.ids)}
        for place in range(len(shoppers)):
            last = [self.ids[row] for row in shoppers.of(place)[::-1][:MOST_LAST].tolist()]
            shown[place] = self.weights["popularity"] * self.popularity
            for film, score in self._viewed_with(last):
                shown[place, rows[film]] += self.weights["co_view"] * score
        return shown

    def _viewed_with(self, last: Sequence[str]) -> Sequence[tuple[str, float]]:
        names = [Branch.CO_VIEW]
        near = [one for film in (*last, ALL) for one in self.near.get(film, ())]
        wanted = recommenders.Wanted(names, CountScope(), len(self.ids), last)
        (found,) = recommenders.lists(wanted, Counted(near), {names[0]: last}, (), 0)
        return list(zip(found.product_ids, found.scores, strict=True))


@dataclass(frozen=True, slots=True)
class Beside:
    """A model's scores with co-views as one more part, by the weights of the scene."""

    model: Served
    views: Untrained
    name: str = BOTH

    def scores(self, shoppers: Histories) -> Doubles:
        """Return scores, (shoppers, films)."""
        weights = {**self.views.weights, TASTE: self.views.weights[SESSION]}
        model = replace(self.model, weights=weights)
        views = replace(self.views, weights={**weights, "popularity": 0.0})
        both: Doubles = model.scores(shoppers) + views.scores(shoppers)
        return both


def untrained(
    log: EventColumns, training: Histories, ids: Sequence[str], weights: Mapping[str, float]
) -> Untrained:
    """Count views together in a log as the ranker's worker does."""
    clicks = [
        Interaction(log.actors[actor], log.items[item], EventType.CLICK, None, int(time), str(row))
        for row, (actor, item, time) in enumerate(
            zip(log.actor.tolist(), log.item.tolist(), log.time.tolist(), strict=True)
        )
    ]
    changes = counting.CountChanges()
    for (_, day), found in counting.days(clicks, ALL_COUNT).items():
        changes.add(day, counting.content(found, ()), 1)
    pairs = changes.pairs
    own = {one: count for (kind, one, other), count in pairs.items() if one == other}
    near = defaultdict[str, list[Near]](list)
    for (kind, one, other), count in pairs.items():
        if kind == VIEWED:
            near[one].append(Near(kind, one, other, count, own.get(other, 0)))
    counts = baselines.popularity(training, len(ids)).counts
    return Untrained(near, np.sqrt(counts / max(counts.max(), 1)), ids, weights)


def run(
    data: MovieLens, weights: Mapping[str, float], seeds: Sequence[int] = SEEDS
) -> dict[int, dict[str, SystemFigures]]:
    """Return the figures by number of events and system: a fifth of the shoppers is left out of
    training and of the counts, and asked for by their newest events; the others once, by all."""
    made = split(data.log, Protocol.PER_USER_TAIL, SHARE)
    ids = [product.product_id for product in data.products]
    asked, actors = tasks(made, ids, SIGNALS).regulars, np.array(made.before.actors)
    rows = {film: row for row, film in enumerate(ids)}
    found: dict[int, list[dict[str, SystemFigures]]] = {
        count: [] for count in (*EVENTS, ALL_EVENTS)
    }
    for seed in seeds:
        out = np.random.default_rng(seed).permutation(len(actors))[: len(actors) // 5]
        inside = made.before.part(~np.isin(made.before.actor, out))
        training = histories_of(inside, rows, SIGNALS)
        systems = _systems(data, inside, training, weights)
        unseen = set(actors[out].tolist())
        for count, each in found.items():
            if not count and each:
                continue  # the same shoppers again would narrow the intervals
            whose = unseen if count else {*actors.tolist()} - unseen
            task = _of(asked, whose)
            given = task.known.newest(count) if count else task.known
            each.append({one.name: measured(data, one, task, training, given) for one in systems})
    return {
        count: {name: joined([one[name] for one in each]) for name in each[0]}
        for count, each in found.items()
    }


def _systems(
    data: MovieLens, inside: EventColumns, training: Histories, weights: Mapping[str, float]
) -> Sequence[Scorer]:
    """Fit what is compared on these events."""
    ids = [product.product_id for product in data.products]
    ours = untrained(inside, training, ids, weights)
    model = served(data, fitted(Given(inside, data.products), RECIPE).model, training)
    return (
        ours,
        baselines.popularity(training, len(ids)),
        baselines.item_knn(training, len(ids)),
        replace(model, name=MODEL),
        Beside(model, ours),
    )


def _of(task: Task, actors: Set[str]) -> Task:
    """Return the task for these shoppers alone."""
    known, wanted = task.known.where_actor(actors), task.wanted.where_actor(actors)
    return Task(known, wanted, task.candidates)
