"""Answers to shoppers after 1, 3 and 5 events: without a model, beside popularity, item-kNN and a
trained model, alone and with their last products as one more branch. Weights are those of the scene
for-you, chosen on the validation split of films.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import numpy as np

from bench.datasets import movielens
from bench.harness.model import BenchResult, BenchTable, Goal, Interval, PageBlock
from examples.wines.local import own
from gateway.state.scenes import SceneFiles
from lab.cases import personal_films, personal_shops
from lab.cases.personal_films import ALL_EVENTS, BOTH, EVENTS, MODEL, OURS
from lab.cases.personal_shops import Asked, Phase
from lab.cases.quality import NDCG
from ranker.domain.arrays import Doubles
from ranker.learning.evaluation.bootstrap import intervals

POPULARITY, ITEM_KNN = "popularity", "item-kNN"
SHARE = 0.9
"""Least share of item-kNN's nDCG@10."""
FILMS = "films"

Say: TypeAlias = Callable[[str], None]
Columns: TypeAlias = Mapping[str, Doubles]
"""nDCG@10 by system, (shoppers,)."""


@dataclass(slots=True)
class PersonalFigures:
    """nDCG@10 of shoppers, by data and number of events."""

    found: dict[tuple[str, int], Columns] = field(default_factory=dict)


def run(say: Say) -> BenchResult:
    """Measure films in a minute and shops in some; without MovieLens shops alone."""
    figures = PersonalFigures()
    folder = movielens.folder()
    if folder is not None:
        say("films")
        weights = SceneFiles().get("for-you").parts_with_history
        for count, each in personal_films.run(movielens.load(folder), weights).items():
            figures.found[FILMS, count] = {name: one.by_shopper[NDCG] for name, one in each.items()}
    with own(partial(personal_shops.suite_in, say=say)) as suite:
        asyncio.run(add_shops(suite.addresses()["gateway"], figures, say))
    missing = () if folder else (f"NOT MEASURED: $SIGHTLINE_DATA/{movielens.FOLDER} is not there",)
    return result(figures, missing)


async def add_shops(gateway: str, figures: PersonalFigures, say: Say) -> None:
    """Add the figures of the shops; those of the halves of the wines together."""
    parts = defaultdict[tuple[str, int, Phase], list[Asked]](list)
    for given in personal_shops.shops():
        for one in await personal_shops.measured(gateway, given, say):
            parts[given.name.split()[0], one.count, one.phase].append(one)
    phases = list(Phase)
    for (name, count, phase), each in sorted(
        parts.items(), key=lambda one: (phases.index(one[0][2]), one[0][:2])
    ):
        ours = np.concatenate([one.ours for one in each])
        if phase is Phase.MODEL:
            figures.found[f"{name}: {Phase.EVENTS}", count] = {
                **figures.found[f"{name}: {Phase.EVENTS}", count],
                MODEL: np.concatenate([one.alone for one in each]),
                BOTH: ours,
            }
            continue
        figures.found[f"{name}: {phase}", count] = {
            OURS: ours,
            POPULARITY: np.concatenate([one.popularity for one in each]),
            ITEM_KNN: np.concatenate([one.item_knn for one in each]),
        }


def result(figures: PersonalFigures, warnings: Sequence[str] = ()) -> BenchResult:
    """Return the bench's tables, goals and page."""
    tables, goals = (_table(figures),), _goals(figures)
    return BenchResult(
        tables=tables,
        figures={
            f"{name}, {count}": {
                system: _numbers(_interval(values)) for system, values in columns.items()
            }
            for (name, count), columns in figures.found.items()
        },
        goals=goals,
        warnings=tuple(warnings),
        page={"personal": PageBlock(tables, goals)},
    )


def _table(figures: PersonalFigures) -> BenchTable:
    systems = (OURS, POPULARITY, ITEM_KNN, MODEL, BOTH)
    rows = []
    for (name, count), columns in figures.found.items():
        ahead = _interval(columns[OURS] - columns[POPULARITY]).shown(3, sign=True)
        means = (f"{columns[one].mean():.3f}" if one in columns else "" for one in systems)
        added = _interval(columns[BOTH] - columns[MODEL]) if BOTH in columns else None
        by_branch = added.shown(3, sign=True) if added else ""
        events = str(count) if count else "all, in training"
        rows.append((name, events, str(len(columns[OURS])), *means, ahead, by_branch))
    return BenchTable(
        "nDCG@10 after some events",
        (
            "data",
            "events",
            "shoppers",
            *systems,
            "ahead of popularity",
            "last products add to the model",
        ),
        tuple(rows),
        "95% intervals (BCa, over shoppers, paired).",
    )


def _goals(figures: PersonalFigures) -> tuple[Goal, ...]:
    found = figures.found
    films = ((FILMS, count) for count in EVENTS)
    keys = [key for key in dict.fromkeys([*films, *found]) if key[1] != ALL_EVENTS]
    ahead = [
        Goal(
            f"nDCG@10 ahead of popularity, {name}, events: {count}",
            None,
            "",
            _ahead(found.get((name, count))),
            at_least=0.0,
        )
        for name, count in keys
    ]
    shares = [
        Goal(
            f"share of item-kNN's nDCG@10, {name}, events: {count}",
            None,
            "",
            _share(found.get((name, count))),
            at_least=SHARE,
            by_figure=True,
        )
        for name, count in keys
        if not name.endswith(Phase.EMPTY)
    ]
    return (*ahead, *shares)


def _ahead(columns: Columns | None) -> Interval | None:
    return None if columns is None else _interval(columns[OURS] - columns[POPULARITY])


def _share(columns: Columns | None) -> Interval | None:
    if columns is None or not columns[ITEM_KNN].mean():
        return None
    share = float(columns[OURS].mean() / columns[ITEM_KNN].mean())
    return Interval(share, share, share)


def _interval(values: Doubles) -> Interval:
    found = intervals(values[:, None])
    return Interval(float(found.mean[0]), float(found.low[0]), float(found.high[0]))


def _numbers(interval: Interval) -> tuple[float, float, float]:
    return (interval.value, interval.low, interval.high)
