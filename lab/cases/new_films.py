"""Gain by the part `content` for new products: films of MovieLens-100k that no training saw, with
the vectors of half of the posters and without.

Each fifth of the films in turn is new, as in `quality.new_films`. The same models are asked with
`content` and without it; differences are paired by shopper and fold. Ties are ordered at random.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from bench.datasets import movielens
from bench.harness.model import BenchResult, Goal
from lab.cases import new_films_report as report
from lab.cases.quality import AUC, NDCG, new_films
from ranker.domain.model import Model

Say: TypeAlias = Callable[[str], None]
WITH, WITHOUT = "half of the films with posters", "no posters"
LEAST = {(WITH, AUC): 0.745, (WITH, NDCG): 0.295, (WITHOUT, AUC): 0.735, (WITHOUT, NDCG): 0.285}


def run(say: Say) -> BenchResult:
    """Measure without posters, and with them where they are there. Without the data nothing is
    measured."""
    path = movielens.folder()
    if path is None:
        missing = f"NOT MEASURED: $SIGHTLINE_DATA/{movielens.FOLDER} is not there"
        return BenchResult((), {}, _goals({}), warnings=(missing,))
    data, posters = movielens.load(path), movielens.posters(path)
    found = {}
    for name, vectors in ((WITHOUT, None), (WITH, posters)):
        if name == WITH and vectors is None:
            continue
        say(f"{name}: each fifth of the films in turn")
        off, on = new_films(data, vectors, changes=(without_content, unchanged))
        found[name] = (off[1], on[1])
    return BenchResult(
        (report.table("New films by their features", found, "content"),),
        report.figures(found),
        _goals(found),
    )


def unchanged(model: Model) -> Model:
    return model


def without_content(model: Model) -> Model:
    """Return the model without the part."""
    return replace(model, content=None, actor_contents=None)


def _goals(found: report.Found) -> tuple[Goal, ...]:
    goals = []
    for (posters, metric), least in LEAST.items():
        pair = found.get(posters)
        gain = report.gain(pair, metric) if pair else None
        goals.append(Goal(f"{metric}, what content adds, {posters}", None, "", gain, at_least=0.0))
        level = pair[1].interval(metric) if pair else None
        name = f"{metric}, new films, {posters}"
        goals.append(Goal(name, None, "", level, at_least=least, by_figure=True))
    return tuple(goals)
