"""What goals of exposure cost: nDCG@10 on MovieLens-100k for each share of exposure that films of
the long tail get, beside FA*IR and DetGreedy.

EASE scores the films, as in the bench of diversity. The group are the films outside the most
popular fifth of those with ratings in the training part. A goal is kept over all lists together,
the two others in each list by itself:

- FA*IR: Zehlike et al. 2017, "FA*IR: A Fair Top-k Ranking Algorithm" (CIKM), with alpha .1;
- DetGreedy: Geyik et al. 2019, "Fairness-Aware Ranking in Search & Recommendation Systems" (KDD).
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from scipy.stats import binom

from bench.cases import diversity
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from gateway.state.exposure_goals import ExposureGoals
from ranker.domain.arrays import Doubles, Flags, Ints
from ranker.domain.log import log_of
from ranker.learning.evaluation import baselines, metrics
from ranker.learning.evaluation.bootstrap import intervals
from ranker.learning.evaluation.metrics import CUTOFFS, LISTED
from ranker.learning.evaluation.splits import Task, split_tails, tasks
from sightline_rules.controls import WINDOW, Control, ControlKind, apply_boosts

SHARE = 0.2
POPULAR = 0.2
"""Share of the films that are not of the long tail."""
TARGETS = (0.05, 0.1, 0.2, 0.3, 0.5)
ALPHA = 0.1
SEED = 1
PLAIN = "no goal"
NEAR = 0.02
NDCG = f"ndcg@{LISTED}"

Say: TypeAlias = Callable[[str], None]
Arrange: TypeAlias = Callable[[Ints, Doubles, Flags], Ints]
"""(rows, best first; their scores; whether they are of the group): the new order of the rows."""


@dataclass(frozen=True, slots=True)
class ExposureFigures:
    """Figures of one method at one target."""

    share: float
    """Share of the exposure of all first ten places that the group got."""
    ndcg: Doubles
    """nDCG@10 by shopper."""


@dataclass(frozen=True, slots=True)
class LongTail:
    """Lists to reorder."""

    task: Task
    lists: Sequence[tuple[Ints, Doubles]]
    """By shopper: the best films, and their scores."""
    tail: Flags
    """(films,) whether they are of the group"""


def run(say: Say) -> BenchResult:
    """Measure in half a minute, if the data is present."""
    folder = Path(os.environ.get("SIGHTLINE_DATA", "/nonexistent")) / "ml100k"
    if not (folder / "u.data.gz").is_file():
        missing = "MovieLens-100k is missing in $SIGHTLINE_DATA/ml100k"
        return BenchResult((), {}, _goals({}), (missing,))
    data = _load(folder)
    found = {(PLAIN, 0.0): _measured(data, lambda rows, _scores, _tail: rows)}
    for target in TARGETS:
        say(f"target {target:g}")
        found["a goal over answers", target] = _measured(data, _goal(target))
        found["FA*IR", target] = _measured(data, _fair(target))
        found["DetGreedy", target] = _measured(data, _greedy(target))
    return BenchResult(
        tables=(_table(found),),
        figures={
            f"{name} {target:g}": {"share": one.share, "ndcg": float(one.ndcg.mean())}
            for (name, target), one in found.items()
        },
        goals=_goals(found),
    )


def _load(folder: Path) -> LongTail:
    ids, _, _ = diversity.films(folder)
    made = tasks(split_tails(log_of(diversity.ratings(folder)), SHARE), ids)
    task, scorer = made.regulars, baselines.ease(made.training, len(ids))
    if scorer is None:
        raise RuntimeError("EASE takes no catalog of this size")
    scores = scorer.scores(task.known).astype(np.float64)
    lists = []
    for row in range(len(task.known)):
        scores[row, task.known.of(row)] = -np.inf
        best = np.argsort(-scores[row], kind="stable")[:WINDOW]
        lists.append((best, scores[row, best]))
    likers = np.bincount(made.training.items, minlength=len(ids))
    rated = np.sort(likers[likers > 0])
    return LongTail(task, lists, likers < rated[int(len(rated) * (1 - POPULAR))])


def _measured(data: LongTail, arrange: Arrange) -> ExposureFigures:
    """Reorder all lists twice, in the same random order, and measure the second time: what was owed
    at first is then given."""
    orders: dict[int, Ints] = {}
    for _ in range(2):
        for row in np.random.default_rng(SEED).permutation(len(data.lists)).tolist():
            rows, scores = data.lists[row]
            orders[row] = arrange(rows, scores, data.tail[rows])
    first = np.stack([orders[row] for row in range(len(data.lists))])[:, : max(CUTOFFS)]
    page = data.tail[first[:, :LISTED]]
    weights = 1 / np.log2(2 + np.arange(LISTED))
    lists = diversity.judged(first, data.task)
    share = float((page * weights).sum() / (weights.sum() * len(page)))
    return ExposureFigures(share, metrics.accuracy(lists, LISTED)[NDCG])


def _goal(target: float) -> Arrange:
    """Return the gateway's goal: boosts that follow from what is owed."""
    goals = ExposureGoals()

    def arrange(rows: Ints, scores: Doubles, tail: Flags) -> Ints:
        places = list(range(len(rows)))
        goal = Control(
            "tail",
            ControlKind.BOOST,
            np.flatnonzero(tail).tolist(),
            boost=goals.of("films", "tail").boost,
        )
        order = apply_boosts(places, scores.tolist(), [goal]).rows
        shown = [str(place) for place in order[:LISTED]]
        theirs = {str(place) for place in goal.rows}
        goals.note("films", "tail", shown, theirs, target)
        found: Ints = rows[np.array(order)]
        return found

    return arrange


def _fair(target: float) -> Arrange:
    """Return FA*IR: each prefix of k products has at least as many of the group as a binomial test
    with p = target and alpha demands."""
    least = [int(binom.ppf(ALPHA, k + 1, target)) for k in range(LISTED)]
    return _with_least(least, [LISTED] * LISTED)


def _greedy(target: float) -> Arrange:
    """Return DetGreedy: each prefix of k has floor(p k) to ceil(p k) of the group."""
    least = [math.floor(target * (k + 1)) for k in range(LISTED)]
    return _with_least(least, [math.ceil(target * (k + 1)) for k in range(LISTED)])


def _with_least(least: Sequence[int], most: Sequence[int]) -> Arrange:
    def arrange(rows: Ints, scores: Doubles, tail: Flags) -> Ints:  # noqa: ARG001 - sorted already
        inside: list[int] = np.flatnonzero(tail).tolist()
        outside: list[int] = np.flatnonzero(~tail).tolist()
        order: list[int] = []
        taken = 0
        for place in range(min(LISTED, len(rows))):
            must = taken < least[place]
            may = taken < most[place]
            chosen = inside if inside and (must or not outside) else outside
            if not must and may and inside and outside and inside[0] < outside[0]:
                chosen = inside
            taken += chosen is inside
            order.append(chosen.pop(0))
        found: Ints = rows[np.array([*order, *sorted([*inside, *outside])])]
        return found

    return arrange


def _table(found: Mapping[tuple[str, float], ExposureFigures]) -> BenchTable:
    plain = found[PLAIN, 0.0].ndcg
    rows = []
    for (name, target), one in found.items():
        lost = intervals((one.ndcg - plain)[:, None])
        change = f"{lost.mean[0]:+.4f} ({lost.low[0]:+.4f} to {lost.high[0]:+.4f})"
        rows.append(
            (
                name,
                f"{target:.2f}" if target else "",
                f"{one.share:.3f}",
                f"{one.ndcg.mean():.4f}",
                change if target else "",
            )
        )
    return BenchTable(
        title="Exposure of the long tail",
        headers=("method", "target", "share", f"nDCG@{LISTED}", "change"),
        rows=tuple(rows),
        caption=(
            "MovieLens-100k; films outside the most popular fifth. *Share*: of the exposure of all"
            f" first {LISTED} places. *Change*: to no goal, with its 95% interval, paired by"
            " shopper."
        ),
        section=None,
    )


def _goals(found: Mapping[tuple[str, float], ExposureFigures]) -> tuple[Goal, ...]:
    def near(target: float) -> Interval | None:
        one = found.get(("a goal over answers", target))
        return None if one is None else Interval(*[abs(one.share - target)] * 3)

    return tuple(
        Goal(f"share of exposure within {NEAR:g} of a goal of {target:g}", NEAR, "", near(target))
        for target in TARGETS
    )
