"""Gain and cost of diversity, calibration, de-biasing and caps: re-ranked lists on MovieLens-100k.

EASE scores every film for every shopper on the training part of each one's last fifth; the best 100
are reordered as the ranker does, and measured by the evaluation's figures. The reordering uses only
the first genre and the popularity of a film, and for calibration the first genres of the shopper's
films in training, each counted once; the figure of diversity uses all its genres and its
decade.
"""

import gzip
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from ranker.domain.arrays import Doubles, Floats, Ints
from ranker.domain.events import EventType, Interaction
from ranker.domain.log import log_of
from ranker.learning.evaluation import baselines, metrics
from ranker.learning.evaluation.bootstrap import Intervals, intervals
from ranker.learning.evaluation.metrics import CUTOFFS, LISTED, Lists
from ranker.learning.evaluation.splits import Task, split_tails, tasks
from ranker.serving.ranking.calibrated import divergence
from ranker.serving.ranking.diversity import RankedColumns, RankPolicy, arrange

WINDOW = 100
SHARE = 0.2
GENRES, DECADES, FIRST_DECADE = 19, 9, 192
LEAST_GAIN, MOST_COST = 0.0, 0.01
CAPTION = (
    "In brackets the 95% interval of the difference to the raw score alone, paired by shopper."
    " popularity: mean share of shoppers who like a listed film; coverage: share of the films in at"
    " least one list; divergence: of the list's first genres from those of the shopper's films in"
    " training, KL(p ‖ q̃); ms a list: to put 100 films into order."
)
POLICIES = {
    "raw score alone": RankPolicy(),
    "diversity .1": RankPolicy(diversity=0.1),
    "diversity .2": RankPolicy(diversity=0.2),
    "diversity .4": RankPolicy(diversity=0.4),
    "calibrated .1": RankPolicy(calibrated=0.1),
    "calibrated .2": RankPolicy(calibrated=0.2),
    "calibrated .5": RankPolicy(calibrated=0.5),
    "calibrated .9": RankPolicy(calibrated=0.9),
    "diversity .2, calibrated .2": RankPolicy(diversity=0.2, calibrated=0.2),
    "popularity .1": RankPolicy(popularity=0.1),
    "popularity .3": RankPolicy(popularity=0.3),
    "3 of a category": RankPolicy(category_caps=((1, 3),)),
    "diversity .2, popularity .1": RankPolicy(diversity=0.2, popularity=0.1),
}
DIVERGENCE = f"divergence@{LISTED}"
FIGURES = (
    *(f"ndcg@{LISTED}", f"diversity@{LISTED}", f"novelty@{LISTED}", f"popularity@{LISTED}"),
    DIVERGENCE,
)

Say: TypeAlias = Callable[[str], None]


def run(say: Say) -> BenchResult:
    """Measure in ten seconds, if the data is present."""
    folder = Path(os.environ.get("SIGHTLINE_DATA", "/nonexistent")) / "ml100k"
    if not (folder / "u.data.gz").is_file():
        return BenchResult(
            (), {}, _goals(None, None), ("MovieLens-100k is missing in $SIGHTLINE_DATA/ml100k",)
        )
    say(f"films re-ranked by {len(POLICIES)} policies")
    return _measured(*_lists(folder))


def _lists(
    folder: Path,
) -> tuple[dict[str, dict[str, Doubles]], dict[str, float], dict[str, float]]:
    """Return by policy the figures of each shopper, the catalog's coverage and the milliseconds a
    list.
    """
    ids, genres, features = films(folder)
    made = tasks(split_tails(log_of(ratings(folder)), SHARE), ids)
    task, scorer = made.regulars, baselines.ease(made.training, len(ids))
    if scorer is None:
        raise RuntimeError("EASE takes no catalog of this size")
    scores = scorer.scores(task.known)
    likers = np.bincount(made.training.items, minlength=len(ids))
    shelves = [
        _shelf(scores[row], task.known.of(row), ids, genres, likers / likers.max())
        for row in range(len(task.known))
    ]
    figures, coverage, cost = {}, {}, {}
    for name, policy in POLICIES.items():
        began = time.perf_counter()
        orders = [rows[arrange(shelf, policy, b"").order] for rows, shelf in shelves]
        cost[name] = (time.perf_counter() - began) / len(shelves) * 1e3
        lists = judged(np.stack(orders)[:, : max(CUTOFFS)], task)
        figures[name] = metrics.by_shopper(lists, made.training, features)
        figures[name][DIVERGENCE] = np.array(
            [
                divergence([genres[film] for film in order[:LISTED]], shelf.own_shares)
                for order, (_, shelf) in zip(orders, shelves, strict=True)
            ]
        )
        coverage[name] = metrics.of_all_lists(lists, task.candidates)[f"coverage@{LISTED}"]
    return figures, coverage, cost


def _shelf(
    scores: Floats | Doubles, known: Ints, ids: list[str], genres: list[str], shares: Doubles
) -> tuple[Ints, RankedColumns]:
    """Return a shopper's best films beside those `known`, and the columns that the order reads."""
    open_to = scores.astype(np.float64)
    open_to[known] = -np.inf
    best = np.argsort(-open_to, kind="stable")[:WINDOW]
    return best, RankedColumns(
        ids=[ids[film] for film in best],
        raw_scores=open_to[best],
        brands=[""] * WINDOW,
        categories=[genres[film] for film in best],
        styles=None,
        shares=shares[best],
        new=np.zeros(WINDOW, dtype=bool),
        own_shares=_own_shares([genres[film] for film in known]),
    )


def _own_shares(genres: list[str]) -> dict[str, float]:
    """Return the shares of the genres of these films, sorted by name."""
    counts = Counter(filter(None, genres))
    return {name: counts[name] / counts.total() for name in sorted(counts)}


def judged(first: Ints, task: Task) -> Lists:
    """Return these lists with their hits."""
    hits = np.stack([np.isin(first[row], task.wanted.of(row)) for row in range(len(first))])
    return Lists(first, hits, task.wanted.lengths, np.zeros(len(first)))


def _measured(
    figures: dict[str, dict[str, Doubles]], coverage: dict[str, float], cost: dict[str, float]
) -> BenchResult:
    base = _columns(figures["raw score alone"])
    rows, differences = [], {}
    for name, found in figures.items():
        columns = _columns(found)
        apart = intervals(columns - base)
        differences[name] = {
            figure: {"mean": float(columns[:, k].mean()), **asdict(_interval(apart, k))}
            for k, figure in enumerate(FIGURES)
        }
        cells = [
            f"{columns[:, k].mean():.3f} ({apart.low[k]:+.3f} to {apart.high[k]:+.3f})"
            for k in range(len(FIGURES))
        ]
        rows.append((name, *cells, f"{coverage[name]:.3f}", f"{cost[name]:.2f}"))
    mild = intervals(_columns(figures["diversity .2"]) - base)
    headers = ("policy", *FIGURES, f"coverage@{LISTED}", "ms a list")
    return BenchResult(
        tables=(BenchTable("MovieLens-100k, re-ranked", headers, tuple(rows), CAPTION),),
        figures={
            "differences": differences,
            "coverage": coverage,
            "milliseconds": cost,
            "settings": {"window": WINDOW, "share": SHARE},
        },
        goals=_goals(_interval(mild, 1), _interval(mild, 0)),
    )


def _columns(figures: dict[str, Doubles]) -> Doubles:
    return np.stack([figures[name] for name in FIGURES], axis=1)


def _interval(found: Intervals, column: int) -> Interval:
    return Interval(*(float(part[column]) for part in (found.mean, found.low, found.high)))


def _goals(gained: Interval | None, paid: Interval | None) -> tuple[Goal, ...]:
    return (
        Goal(f"diversity .2 adds to diversity@{LISTED}", None, "", gained, LEAST_GAIN),
        Goal(f"diversity .2 changes ndcg@{LISTED}", None, "", paid, -MOST_COST),
    )


def ratings(folder: Path) -> Iterator[Interaction]:
    """Yield the ratings as events."""
    with gzip.open(folder / "u.data.gz", "rt") as lines:
        for line in lines:
            user, film, stars, seconds = line.split()
            yield Interaction(
                actor=user,
                product_id=film,
                type=EventType.RATING,
                value=float(stars),
                time_micros=int(seconds) * 1_000_000,
                event_id=f"{user}-{film}",
            )


def films(folder: Path) -> tuple[list[str], list[str], sp.csr_matrix]:
    """Return ids, each film's first genre ("" = none), and its genres and decade as a row of length
    1.
    """
    ids, first, rows = [], [], []
    for line in (folder / "u.item").read_text("latin-1").splitlines():
        cells = line.split("|")
        genres = np.array(cells[-GENRES:], dtype=np.float64)
        decades = np.zeros(DECADES)
        if year := cells[2][-4:]:
            decades[int(year) // 10 - FIRST_DECADE] = 1
        ids.append(cells[0])
        first.append(f"genre {genres.argmax()}" if genres.any() else "")
        rows.append(np.concatenate([genres, decades]))
    table = np.stack(rows)
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    return ids, first, sp.csr_matrix(table / np.maximum(lengths, 1e-12))
