"""Shoppers with few events, and those who return, on folds by time of MovieLens-100k.

A model learns from all events before a moment and is asked for the next fifth, at five moments of
the training part of `lab quality`'s global split, whose test part is not used. Unlike shoppers
drawn from all times, newcomers of a fold come after the training, as in a shop.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from bench.datasets import movielens
from bench.datasets.movielens import RECIPE, SIGNALS, MovieLens
from bench.harness.model import BenchResult, BenchTable, Goal, Interval, PageBlock, chosen_here
from lab.cases.quality import NDCG, NEWCOMER_EVENTS, SHARE, measured, served
from ranker.domain.arrays import Doubles
from ranker.learning.evaluation.bootstrap import intervals
from ranker.learning.evaluation.histories import histories_of
from ranker.learning.evaluation.splits import (
    EventSplit,
    SplitQuestions,
    Task,
    split_globally,
    tasks,
)
from ranker.learning.training.fitting import fitted
from ranker.learning.training.training_data import Given

BEGINS = (0.4, 0.5, 0.6, 0.7, 0.8)
"""Shares of the training part after which the held-out fifths begin."""
CHOSEN = {**RECIPE.blend.weights, "taste": 0.615, "session": 1.475, "item_item": 1.199}
BLENDS = {"default": RECIPE.blend.weights, "chosen": {**CHOSEN, "trend": 0.461}}
"""The recipe's blend, and the one that `lab quality` chooses for the global split."""
REGULARS, ONGOING = "regulars, weeks later", "everybody, half-way"
ELSEWHERE = {
    (REGULARS, "default"): "when four folds chose for the fifth +0.003 (-0.005 to +0.012)",
    (REGULARS, "chosen"): "when four folds chose for the fifth +0.018 (+0.003 to +0.032)",
    ("newcomers after 3 events", "chosen"): "on the test part +0.020 (+0.009 to +0.033)",
}
"""Gains where the shoppers took no part in the choice of `FEW` and `Recipe.returning`, as measured
once in 2026-11; the others have none."""

Say: TypeAlias = Callable[[str], None]
Found: TypeAlias = dict[tuple[str, str], list[tuple[Doubles, Doubles]]]
"""By task and blend, for each fold: nDCG@10 by the blend alone, and as served, (shoppers,)."""


def run(say: Say) -> BenchResult:
    """Measure both kinds of shoppers, in some minutes; without the data nothing is measured."""
    path = movielens.folder()
    found: Found = defaultdict(list)
    if path is None:
        missing = f"NOT MEASURED: $SIGHTLINE_DATA/{movielens.FOLDER} is not there"
        return BenchResult(tables=(), figures={}, goals=(), warnings=(missing,))
    data = movielens.load(path)
    for made in folds(data):
        say(f"training on {len(made.before):,} events")
        _measure(data, made, found)
    table, goals = _table(found), _goals(found)
    return BenchResult(
        tables=(table,),
        figures={f"{task}, {blend}": _figures(each) for (task, blend), each in found.items()},
        goals=goals,
        page={"time_folds": PageBlock((table,), goals)},
    )


def folds(data: MovieLens) -> Iterator[EventSplit]:
    """Yield the splits in time of the training part."""
    whole = split_globally(data.log, SHARE).before
    for begin in BEGINS:
        until = whole.part(slice(0, round(len(whole) * (begin + SHARE))))
        yield split_globally(until, SHARE / (begin + SHARE))


def _measure(data: MovieLens, made: EventSplit, found: Found) -> None:
    ids = [product.product_id for product in data.products]
    asked = tasks(made, ids, SIGNALS)
    model = fitted(Given(made.before, data.products), RECIPE).model
    for blend, weights in BLENDS.items():
        usual = replace(model, blend=weights)
        alone = replace(usual, newcomers={}, returning={})
        systems = [served(data, one, asked.training) for one in (alone, usual)]
        for name, task in {
            **dict(_newcomers(made, ids, asked)),
            REGULARS: asked.regulars,
            ONGOING: asked.ongoing,
        }.items():
            before, after = (
                measured(data, one, task, asked.training).by_shopper[NDCG] for one in systems
            )
            found[name, blend].append((before, after))


def _newcomers(
    made: EventSplit, ids: list[str], asked: SplitQuestions
) -> Iterator[tuple[str, Task]]:
    """Yield shoppers of the later part alone, given their first events; the rest is wanted."""
    rows = {item: row for row, item in enumerate(ids)}
    after = histories_of(made.after, rows, SIGNALS)
    unseen = after.where_actor({*after.actors}.difference(asked.training.actors))
    for count in NEWCOMER_EVENTS:
        first = unseen.oldest(count)
        wanted = unseen.without(first)
        known = first.where_actor({*wanted.actors})
        task = Task(known, wanted.where_actor({*known.actors}), asked.regulars.candidates)
        yield f"newcomers after {count} events", task


def _table(found: Found) -> BenchTable:
    rows = tuple(
        (
            task,
            blend,
            f"{len(_gains(each)):,}",
            f"{np.concatenate([before for before, _ in each]).mean():.3f}",
            f"{np.concatenate([after for _, after in each]).mean():.3f}",
            _interval(_gains(each)).shown(3, sign=True),
        )
        for (task, blend), each in found.items()
    )
    headers = ("shoppers", "blend", "count", "the blend alone", "as served", "gain")
    caption = f"nDCG@10, {len(BEGINS)} folds, with 95% intervals (BCa, over shoppers, paired)."
    return BenchTable("Newcomers and shoppers who return, on folds by time", headers, rows, caption)


def _goals(found: Found) -> tuple[Goal, ...]:
    return tuple(
        Goal(
            f"gain of {task}, {blend} blend",
            None,
            "",
            _interval(_gains(each)),
            at_least=0.0,
            note=note(task, blend),
        )
        for (task, blend), each in found.items()
        if task != ONGOING
    )


def note(task: str, blend: str) -> str:
    """Return what a reader of this gain must know."""
    return chosen_here(ELSEWHERE.get((task, blend)))


def _gains(each: list[tuple[Doubles, Doubles]]) -> Doubles:
    return np.concatenate([after - before for before, after in each])


def _interval(values: Doubles) -> Interval:
    made = intervals(values[:, None])
    return Interval(float(made.mean[0]), float(made.low[0]), float(made.high[0]))


def _figures(each: list[tuple[Doubles, Doubles]]) -> dict[str, object]:
    gain = _interval(_gains(each))
    return {
        "shoppers": len(_gains(each)),
        "by fold": [(float(before.mean()), float(after.mean())) for before, after in each],
        "gain": (gain.value, gain.low, gain.high),
    }
