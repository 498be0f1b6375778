"""Gain by photos for new products: films of MovieLens-100k that no training saw, with the vectors
of their posters and without, by the product's own training with the default recipe.

Each fifth of the films with a poster in turn is new (`quality.new_films`); `new_films` has all
films, half of them with posters. Differences are paired by shopper and fold. Without posters many
films have equal scores, and MovieLens numbers films roughly by popularity: ties are ordered at
random, and by number for comparison.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from bench.datasets import movielens
from bench.harness.model import BenchResult, Goal
from lab.cases import new_films_report as report
from lab.cases.quality import AUC, NDCG, new_films

Say: TypeAlias = Callable[[str], None]
LEAST = {AUC: 0.74, NDCG: 0.29}
WITH_POSTER = "films with a poster"


def run(say: Say) -> BenchResult:
    """Measure in two minutes. Without the data nothing is measured."""
    path = movielens.folder()
    posters = None if path is None else movielens.posters(path)
    if path is None or posters is None:
        missing = f"$SIGHTLINE_DATA/{movielens.FOLDER}/{movielens.POSTERS} is not there"
        return BenchResult((), {}, _goals({}), warnings=(f"NOT MEASURED: {missing}",))
    data = movielens.load(path)
    shown = np.isin([one.product_id for one in data.products], posters.product_ids)
    say("without posters, then with them")
    (without,), (shown_too,) = (new_films(data, each, shown) for each in (None, posters))
    found = {
        f"{WITH_POSTER}, ties by number": (without[0], shown_too[0]),
        WITH_POSTER: (without[1], shown_too[1]),
    }
    return BenchResult(
        (report.table("New films and their posters", found, "posters"),),
        report.figures(found),
        _goals(found),
    )


def _goals(found: report.Found) -> tuple[Goal, ...]:
    pair, goals = found.get(WITH_POSTER), []
    for metric in report.METRICS:
        gain = report.gain(pair, metric) if pair else None
        goals.append(Goal(f"{metric}, what posters add", None, "", gain, at_least=0.0))
        level = pair[1].interval(metric) if pair else None
        least = LEAST[metric]
        name = f"{metric}, new films with posters"
        goals.append(Goal(name, None, "", level, at_least=least, by_figure=True))
    return tuple(goals)
