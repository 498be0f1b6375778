"""Speed of scoring and of generating candidates: LightFM's own predict and the ranker, on equal
vectors.

LightFM gets the products' features, as a hybrid model requires. Several rounds of LightFM alternate
with as many of ours, so that each has its arrays in the processor's cache, as in a server of its
own. All use one thread.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from lightfm import LightFM
from threadpoolctl import threadpool_limits

from bench.datasets import shelves
from bench.harness.model import BenchTable, Interval
from bench.harness.statistics import median_ratio, percentile
from ranker.domain.arrays import Floats, Ints
from ranker.domain.events import History
from ranker.domain.features import Product, feature_names
from ranker.domain.model import Model
from ranker.serving.ranking import fold_in, generate, parts, rank
from ranker.serving.ranking.fold_in import FoldIn
from servicekit.processes.memory import keep_memory

CANDIDATES = 500
TOP_K = 100
SHOPPERS, INTERESTS, EPOCHS = 2_000, 200_000, 1
ROUNDS, A_ROUND = 20, 20
NEARLY = 1e-4
"""Tolerance of scores in single precision, as a fraction of the largest score."""

SCORE, GENERATE = f"score {CANDIDATES} by taste", f"nominate {TOP_K} of {shelves.SIZE:,} by taste"
RANK, GENERATE_ALL = f"rank {CANDIDATES} by all parts", f"nominate {TOP_K} by all parts"

Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FittedModels:
    """LightFM's model and ours of the same vectors."""

    lightfm: Any
    features: Any
    """(products, features), CSR"""
    model: Model


@dataclass(frozen=True, slots=True)
class RankingTask:
    """A shopper and the candidates to score."""

    user: int
    by_taste: FoldIn
    by_all: FoldIn
    rows: Ints
    """(CANDIDATES,)"""
    candidates: rank.RankCandidates


@dataclass(slots=True)
class Race:
    """One kind of work, done by both."""

    name: str
    of_all: bool
    """True if LightFM scores every product, False if only the candidates."""
    ours: Callable[[FittedModels, RankingTask], Ints | Sequence[str] | None]
    """Our work. Returns the best products or their positions, best first, if LightFM computes the
    same scores.
    """
    lightfm_seconds: list[float] = field(default_factory=list)
    our_seconds: list[float] = field(default_factory=list)
    same: list[bool] = field(default_factory=list)
    """True if both had the same best products."""

    @property
    def gain(self) -> Interval:
        """LightFM's time ÷ ours."""
        return median_ratio(self.lightfm_seconds, self.our_seconds)


def run(products: Sequence[Product], say: Say) -> list[Race]:
    """Run all rounds of all races."""
    keep_memory()  # as the server does
    say(f"fitting LightFM to {shelves.SIZE:,} products")
    fitted, draw = _fit(products), np.random.default_rng(shelves.SEED + 6)
    races = [
        Race(SCORE, False, _score),
        Race(GENERATE, True, _generate),
        Race(RANK, False, _rank),
        Race(GENERATE_ALL, True, _generate_all),
    ]
    say(f"scoring beside LightFM.predict, {ROUNDS * A_ROUND} times each")
    with threadpool_limits(limits=1, user_api="blas"):
        for number in range(ROUNDS + 1):
            tasks = [_task(fitted, products, draw) for _ in range(A_ROUND)]
            for race in races:
                _round(race, fitted, tasks, counts=number > 0)
    return races


def _fit(products: Sequence[Product]) -> FittedModels:
    """Fit LightFM for a few epochs. Its size matters here, not its accuracy."""
    draw = np.random.default_rng(shelves.SEED)
    named = [feature_names(product, ("country",)) for product in products]
    columns = {name: n for n, name in enumerate(sorted({one for names in named for one in names}))}
    places = [columns[name] for names in named for name in names]
    starts = np.cumsum([0, *map(len, named)])
    features = sp.csr_matrix((np.ones(len(places), np.float32), places, starts))
    people = draw.integers(SHOPPERS, size=INTERESTS)
    # Some products are far more popular than others.
    liked = (shelves.SIZE * draw.power(0.5, INTERESTS)).astype(np.int64)
    interests = sp.coo_matrix(
        (np.ones(INTERESTS, np.float32), (people, liked)), (SHOPPERS, shelves.SIZE)
    )
    lightfm = LightFM(no_components=shelves.DIMENSION, loss="warp", random_state=shelves.SEED)
    lightfm.fit(interests, item_features=features, epochs=EPOCHS, num_threads=1)
    lightfm.user_biases[:] = 0  # ours omits them, as they do not change the order
    biases, vectors = lightfm.get_item_representations(features)
    made = shelves.model(vectors, biases, lightfm.user_embeddings[0])
    return FittedModels(lightfm, features, parts.by_columns(made))  # as the server loads it


def _task(
    fitted: FittedModels, products: Sequence[Product], draw: np.random.Generator
) -> RankingTask:
    user, rows = int(draw.integers(SHOPPERS)), draw.choice(shelves.SIZE, CANDIDATES, replace=False)
    shown = [products[row] for row in rows]
    recent = [products[row].product_id for row in draw.choice(shelves.SIZE, 20, replace=False)]
    return RankingTask(
        user=user,
        by_taste=FoldIn(fitted.lightfm.user_embeddings[user]),
        by_all=fold_in.of(fitted.model, shelves.SHOPPER, recent, recent[:5]),
        rows=rows,
        candidates=rank.RankCandidates(
            ids=tuple(one.product_id for one in shown),
            products=shown,
            similarities={"visual": draw.uniform(0.2, 1, CANDIDATES)},
            fused=np.zeros(CANDIDATES),
        ),
    )


def _round(race: Race, fitted: FittedModels, tasks: Sequence[RankingTask], *, counts: bool) -> None:
    """Score all tasks by LightFM, then all by the ranker."""
    everything, predicted, lightfm_seconds, our_seconds = np.arange(shelves.SIZE), [], [], []
    for task in tasks:
        rows = (everything if race.of_all else task.rows).astype(np.int32)
        began = time.perf_counter()
        scores = fitted.lightfm.predict(task.user, rows, item_features=fitted.features)
        _best(scores)
        lightfm_seconds.append(time.perf_counter() - began)
        predicted.append(scores)
    for task, expected in zip(tasks, predicted, strict=True):
        began = time.perf_counter()
        best = race.ours(fitted, task)
        our_seconds.append(time.perf_counter() - began)
        if best is not None:
            known = fitted.model.item_rows
            places = [known[one] if isinstance(one, str) else int(one) for one in best]
            race.same.append(_same(expected, np.array(places)))
    if counts:
        race.lightfm_seconds += lightfm_seconds
        race.our_seconds += our_seconds


def _score(fitted: FittedModels, task: RankingTask) -> Ints:
    scores = parts.blended(fitted.model, task.by_taste, {parts.TASTE: 1.0}, task.rows)
    return generate.best(scores, TOP_K)


def _generate(fitted: FittedModels, task: RankingTask) -> Sequence[str]:
    return generate.by_behaviour(task.by_taste, fitted.model, TOP_K, frozenset()).product_ids


def _rank(fitted: FittedModels, task: RankingTask) -> None:
    model = fitted.model
    rank.rank(task.candidates, shelves.WEIGHTS, task.by_all, model, None, history=History())


def _generate_all(fitted: FittedModels, task: RankingTask) -> None:
    generate.by_behaviour(task.by_all, fitted.model, TOP_K, frozenset())


def _best(scores: Floats) -> Ints:
    """Return the places of the best TOP_K, best first, as a user of LightFM would choose them in
    NumPy.
    """
    first = np.argpartition(-scores, TOP_K)[:TOP_K]
    best: Ints = first[np.argsort(-scores[first])]
    return best


def _same(expected: Floats, best: Ints) -> bool:
    """Return whether these are LightFM's best, in order, up to scores that are equal in single
    precision.
    """
    ideal = np.sort(expected)[::-1][: len(best)]
    return bool(np.abs(expected[best] - ideal).max() <= NEARLY * np.abs(expected).max())


def table(races: Sequence[Race]) -> BenchTable:
    """Return the table for people."""
    return BenchTable(
        title="Scores: LightFM.predict and the ranker",
        headers=("work", "LightFM.predict p50 µs", "ranker p50 µs", "times faster", "same best"),
        rows=tuple(
            (
                race.name,
                micros(race.lightfm_seconds),
                micros(race.our_seconds),
                f"{race.gain.value:.1f} ({race.gain.low:.1f}-{race.gain.high:.1f})",
                f"{np.mean(race.same):.1%}" if race.same else "–",
            )
            for race in races
        ),
        caption=(
            f"{ROUNDS} alternating rounds of {A_ROUND}, one thread, {shelves.SIZE:,} products with "
            f"nine features, {shelves.DIMENSION} dimensions; 95% intervals. Both choose the best "
            f"{TOP_K}, after LightFM's predict by NumPy's argpartition. All parts: taste, session, "
            f"item_item (of {shelves.NEIGHBOURS} neighbours a product) and bought_together, which "
            "LightFM lacks; ranking also looks products up by id and orders all of them."
        ),
        section=None,
    )


def figures(races: Sequence[Race]) -> list[dict[str, object]]:
    """Return all figures, for programs."""
    return [
        {
            "work": race.name,
            "lightfm_seconds": sorted(race.lightfm_seconds),
            "ranker_seconds": sorted(race.our_seconds),
            "times_faster": race.gain.value,
            "same_best": float(np.mean(race.same)) if race.same else None,
        }
        for race in races
    ]


def warnings(races: Sequence[Race]) -> tuple[str, ...]:
    """Return the cases in which the results should have agreed and did not."""
    return tuple(
        f"{race.name}: in {1 - np.mean(race.same):.1%} the best products are not those of LightFM"
        for race in races
        if not all(race.same)
    )


def micros(seconds: Sequence[float], share: float = 0.5) -> str:
    """Format a percentile with its interval in µs."""
    found = percentile(seconds, share)
    return f"{found.value * 1e6:,.0f} ({found.low * 1e6:,.0f}-{found.high * 1e6:,.0f})"
