"""Gain by the part `content` for new products: films of MovieLens-100k that no training saw, with
the vectors of half of the posters and without.

Each fifth of the films in turn is new, as in `quality.new_films`. The same models are asked with
`content` and without it; differences are paired by shopper and fold. Ties are ordered at random.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from bench.cases.quality import AUC, NDCG, SystemFigures, new_films
from bench.datasets import movielens
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from ranker.domain.model import Model
from ranker.learning.evaluation.bootstrap import intervals

Say: TypeAlias = Callable[[str], None]
METRICS = (AUC, NDCG)
WITH, WITHOUT = "half of the films with posters", "no posters"
LEAST = {(WITH, AUC): 0.745, (WITH, NDCG): 0.295, (WITHOUT, AUC): 0.735, (WITHOUT, NDCG): 0.285}
Found: TypeAlias = Mapping[str, tuple[SystemFigures, SystemFigures]]
"""Figures by set of posters: without the part, and with it."""


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
    return BenchResult((_table(found),), _figures(found), _goals(found))


def unchanged(model: Model) -> Model:
    return model


def without_content(model: Model) -> Model:
    """Return the model without the part."""
    return replace(model, content=None, actor_contents=None)


def _gain(pair: tuple[SystemFigures, SystemFigures], metric: str) -> Interval:
    off, on = (one.by_shopper[metric] for one in pair)
    made = intervals((on - off)[:, None])
    return Interval(float(made.mean[0]), float(made.low[0]), float(made.high[0]))


def _goals(found: Found) -> tuple[Goal, ...]:
    goals = []
    for (posters, metric), least in LEAST.items():
        pair = found.get(posters)
        gain = _gain(pair, metric) if pair else None
        goals.append(Goal(f"{metric}, what content adds, {posters}", None, "", gain, at_least=0.0))
        level = pair[1].interval(metric) if pair else None
        name = f"{metric}, new films, {posters}"
        goals.append(Goal(name, None, "", level, at_least=least, by_figure=True))
    return tuple(goals)


def _table(found: Found) -> BenchTable:
    rows = tuple(
        (
            posters,
            metric,
            *(_words(one.interval(metric)) for one in pair),
            _words(_gain(pair, metric)),
        )
        for posters, pair in found.items()
        for metric in METRICS
    )
    headers = ("new films", "figure", "without content", "with content", "difference")
    caption = "With 95% intervals, over shoppers."
    return BenchTable("New films by their features", headers, rows, caption)


def _figures(found: Found) -> dict[str, object]:
    return {
        posters: {
            metric: {
                "without": _numbers(pair[0].interval(metric)),
                "with": _numbers(pair[1].interval(metric)),
                "gain": _numbers(_gain(pair, metric)),
            }
            for metric in METRICS
        }
        for posters, pair in found.items()
    }


def _numbers(one: Interval) -> tuple[float, float, float]:
    return (one.value, one.low, one.high)


def _words(one: Interval) -> str:
    return f"{one.value:.4f} ({one.low:.4f} to {one.high:.4f})"
