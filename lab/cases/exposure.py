"""What goals of exposure cost: nDCG@10 on MovieLens-100k for each share of exposure that films of
the long tail get, beside FA*IR and DetGreedy.

EASE scores the films, as in the bench of diversity. The group are the films outside the most
popular fifth of those with ratings in the training part. A goal is kept over all lists together,
the two others in each list by itself:

- FA*IR: Zehlike et al. 2017, "FA*IR: A Fair Top-k Ranking Algorithm" (CIKM), with alpha .1 for all
  prefixes of a list together: the level of each test is corrected as in section 4 of the paper;
- DetGreedy: Geyik et al. 2019, "Fairness-Aware Ranking in Search & Recommendation Systems" (KDD).

Both are also compared to a goal of the share that they reach.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from scipy.stats import binom

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from gateway.state.exposure_goals import ExposureGoals
from lab.cases import diversity
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
PLAIN, GOAL = "no goal", "a goal over answers"
NEAR = 0.02
NDCG = f"ndcg@{LISTED}"
CALLER = "bench"

Say: TypeAlias = Callable[[str], None]
Arrange: TypeAlias = Callable[[Ints, Doubles, Flags], Ints]
"""(rows, best first; their scores; whether they are of the group): the new order of the rows."""
Method: TypeAlias = Callable[[], Arrange]
"""Makes a method that has seen no list."""
Found: TypeAlias = Mapping[tuple[str, float], "ExposureFigures"]
"""By method and target."""


@dataclass(frozen=True, slots=True)
class ExposureFigures:
    """Figures of one method at one target."""

    shares: Doubles
    """Share of the exposure of the first ten places that the group got, by shopper."""
    ndcg: Doubles
    """nDCG@10 by shopper."""

    @property
    def share(self) -> float:
        """Share of the exposure of all first ten places."""
        return float(self.shares.mean())


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
    plain = measured(data, lambda: lambda rows, _scores, _tail: rows)
    found, equal = {(PLAIN, 0.0): plain}, {}
    for target in TARGETS:
        say(f"target {target:g}")
        found[GOAL, target] = measured(data, _goal(target))
        for name, method in (("FA*IR", _fair(target)), ("DetGreedy", _greedy(target))):
            one = found[name, target] = measured(data, method)
            if one.share > plain.share:
                equal[name, target] = measured(data, _goal(one.share))
    return BenchResult(
        tables=(_table(found, equal),),
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


def measured(data: LongTail, method: Method) -> ExposureFigures:
    """Reorder each half of the lists, drawn at random, by a method that has reordered the other
    half: what was owed at first is given by then, and no list is measured that it has seen."""
    halves = np.array_split(np.random.default_rng(SEED).permutation(len(data.lists)), 2)
    orders: dict[int, Ints] = {}
    for earlier, later in (halves, halves[::-1]):
        arrange = method()
        # Backwards: after the same last lists in the same order, the sums of both runs would be the
        # same, and the shares would be exact by construction.
        for row in (*earlier[::-1].tolist(), *later.tolist()):
            rows, scores = data.lists[row]
            order = arrange(rows, scores, data.tail[rows])
            if row in later:
                orders[row] = order
    first = np.stack([orders[row] for row in range(len(data.lists))])[:, : max(CUTOFFS)]
    page = data.tail[first[:, :LISTED]]
    weights = 1 / np.log2(2 + np.arange(LISTED))
    lists = diversity.judged(first, data.task)
    shares = (page * weights).sum(axis=1) / weights.sum()
    return ExposureFigures(shares, metrics.accuracy(lists, LISTED)[NDCG])


def _goal(target: float) -> Method:
    """Return the gateway's goal: boosts that follow from what is owed."""
    return lambda: _controlled(ExposureGoals(), target)


def _controlled(goals: ExposureGoals, target: float) -> Arrange:
    def arrange(rows: Ints, scores: Doubles, tail: Flags) -> Ints:
        places = list(range(len(rows)))
        goal = Control(
            "tail",
            ControlKind.BOOST,
            np.flatnonzero(tail).tolist(),
            boost=goals.boost("films", "tail", CALLER),
        )
        order = apply_boosts(places, scores.tolist(), [goal]).rows
        shown = [str(place) for place in order[:LISTED]]
        theirs = {str(place) for place in goal.rows}
        goals.note("films", "tail", shown, theirs, target, caller=CALLER)
        found: Ints = rows[np.array(order)]
        return found

    return arrange


def _fair(target: float) -> Method:
    """Return FA*IR: each prefix of k products has at least as many of the group as a binomial test
    with p = target demands."""
    least = fair_minimum(target)
    return lambda: _with_least(least, [LISTED] * LISTED)


def fair_minimum(target: float, alpha: float = ALPHA) -> Sequence[int]:
    """Return FA*IR's minimum for each prefix of a list of ten, by the highest level of the single
    tests at which they reject together at most `alpha` of the lists whose places are drawn with
    p = target."""
    below = [binom.cdf(np.arange(k + 1), k, target) for k in range(1, LISTED + 1)]
    levels = {alpha, *(level for one in below for level in one.tolist() if level < alpha)}
    for level in sorted(levels, reverse=True):
        least = [int((one < level).sum()) for one in below]
        if rejected(least, target) <= alpha:
            return least
    return [0] * LISTED


def rejected(least: Sequence[int], target: float) -> float:
    """Return the share of lists, whose places are drawn with p = target, that have too few of the
    group in one of their prefixes."""
    passing = np.ones(1)  # by number of the group's products so far
    for count in least:
        passing = np.convolve(passing, [1 - target, target])
        passing[:count] = 0
    return 1 - float(passing.sum())


def _greedy(target: float) -> Method:
    """Return DetGreedy: each prefix of k has floor(p k) to ceil(p k) of the group."""
    least = [math.floor(target * (k + 1)) for k in range(LISTED)]
    return lambda: _with_least(least, [math.ceil(target * (k + 1)) for k in range(LISTED)])


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


def _table(found: Found, equal: Found) -> BenchTable:
    plain = found[PLAIN, 0.0]
    rows = []
    for (name, target), one in found.items():
        beside = equal.get((name, target))
        rows.append(
            (
                name,
                f"{target:.2f}" if target else "",
                f"{one.share:.3f}",
                f"{one.ndcg.mean():.4f}",
                _change(one, plain) if target else "",
                _change(one, beside) if beside else "",
            )
        )
    return BenchTable(
        title="Exposure of the long tail",
        headers=("method", "target", "share", f"nDCG@{LISTED}", "change", "to a goal of its share"),
        rows=tuple(rows),
        caption=(
            "MovieLens-100k; films outside the most popular fifth. *Share*: of the exposure of all"
            f" first {LISTED} places. *Change*: of nDCG to no goal, with its 95% interval, paired"
            " by shopper; *to a goal of its share*: of nDCG to a goal over answers whose target is"
            " the share that the method reached. Each half of the lists was measured after the"
            " other half, so that no list was measured that a goal had seen."
        ),
        section=None,
    )


def _change(one: ExposureFigures, other: ExposureFigures) -> str:
    lost = intervals((one.ndcg - other.ndcg)[:, None])
    return f"{lost.mean[0]:+.4f} ({lost.low[0]:+.4f} to {lost.high[0]:+.4f})"


def _goals(found: Found) -> tuple[Goal, ...]:
    def distance(target: float) -> Interval | None:
        if (one := found.get((GOAL, target))) is None:
            return None
        apart = intervals((one.shares - target)[:, None])
        return Interval(float(apart.mean[0]), float(apart.low[0]), float(apart.high[0]))

    return tuple(
        Goal(f"share of exposure less a goal of {target:g}", NEAR, "", distance(target), -NEAR)
        for target in TARGETS
    )
