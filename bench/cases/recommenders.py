"""hit@10 of the recommenders by counts, with the ranker's own record and code.

MovieLens-100k: each rating is a view; the first four fifths of the ratings are counted, and each
film but the first of a later visit is predicted from the last ten before it. X-Wines: the ratings
of one person are one order, the last wine of which is predicted from the others; people are divided
into five parts, and each part is predicted by the counts of the four others. They are compared with
the most popular products and item-kNN (``ranker.learning.evaluation.baselines``), which learn from
the same events and get the same queries. Lists exclude what a person rated before. Each person
rates a product once in these data, so reorder and recently_viewed have nothing to find.
"""

import asyncio
import csv
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from bench.datasets import movielens
from bench.harness.machine import ROOT
from bench.harness.model import BenchResult, BenchTable, Interval
from bench.harness.statistics import percentile
from ranker.domain.events import DAY_MICROS, Event, EventType, StoredEvent
from ranker.domain.recommenders import CountScope
from ranker.domain.signals import DEFAULTS, sessions
from ranker.learning.evaluation import baselines
from ranker.learning.evaluation.bootstrap import intervals
from ranker.learning.evaluation.histories import Histories
from ranker.record.counting import fold
from ranker.record.counts import CountRecord
from ranker.record.events import EventRecord
from ranker.record.tables import CHECKPOINT_PAGES, MIGRATIONS
from ranker.serving.ranking import recommenders
from servicekit.sql.database import Database
from sightline_core.branch import Branch

PLACES = 10
CASES = 500
SHARE = 0.2
FOLDS = 5
SEED = 0
BATCH = 1_000
RATINGS = ROOT / "examples" / "wines" / "ratings.csv"
OF_VIEWS = (Branch.CO_VIEW, Branch.TRENDING)
OF_ORDERS = (Branch.CO_PURCHASE, Branch.BEST_SELLERS, Branch.TRENDING)
POPULARITY, KNN = "popularity", "item-kNN"

Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RecommenderCase:
    """A query and the item that it should find."""

    anchors: tuple[str, ...]
    """Newest first."""
    known: frozenset[str]
    """Items excluded from the lists: the person's earlier ones."""
    wanted: str


@dataclass(frozen=True, slots=True)
class RecommenderSplit:
    """Events to count and the queries after them."""

    events: Sequence[StoredEvent]
    """Events by time."""
    cases: Sequence[RecommenderCase]
    names: Sequence[Branch]


@dataclass(slots=True)
class RecommenderFigures:
    """Figures of one set of data."""

    hits: defaultdict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    """Hits by system and case."""
    events: int = 0
    count_seconds: float = 0.0
    answer_seconds: list[float] = field(default_factory=list)
    """Seconds of reading and computing the lists of each case."""


def run(say: Say) -> BenchResult:
    """Measure both."""
    found: dict[str, RecommenderFigures] = {}
    warnings: tuple[str, ...] = ()
    path = movielens.folder()
    if path is None:
        warnings = (f"NOT MEASURED: $SIGHTLINE_DATA/{movielens.FOLDER} is not there",)
    else:
        say("MovieLens-100k: counting")
        found["MovieLens-100k"] = asyncio.run(_measured([_films(path)]))
    say("X-Wines: counting")
    found["X-Wines"] = asyncio.run(_measured(list(_wines())))
    return BenchResult(tables=(_table(found),), figures=_figures(found), warnings=warnings)


def _films(path: Path) -> RecommenderSplit:
    """Return the events until the cut and the films watched in the visits after it."""
    log = movielens.load(path).log
    cut = int(len(log) * (1 - SHARE))
    visits = sessions(log).tolist()
    people, films = log.actor.tolist(), log.item.tolist()
    events = [
        _event(row, log.actors[people[row]], log.items[films[row]], int(log.time[row]))
        for row in range(cut)
    ]
    known: defaultdict[int, set[str]] = defaultdict(set)
    visit: defaultdict[int, list[str]] = defaultdict(list)
    cases = []
    for row in range(len(log)):
        film, before = log.items[films[row]], visit[visits[row]]
        if row >= cut and before:
            anchors = tuple(reversed(before[-recommenders.MOST_LAST :]))
            cases.append(RecommenderCase(anchors, frozenset(known[people[row]]), film))
        before.append(film)
        known[people[row]].add(film)
    draw = np.random.default_rng(SEED).choice(len(cases), min(CASES, len(cases)), replace=False)
    return RecommenderSplit(events, [cases[place] for place in sorted(draw)], OF_VIEWS)


def _wines() -> Iterable[RecommenderSplit]:
    """Yield each fifth of the people, predicted from the orders of the others."""
    orders: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    with RATINGS.open(newline="") as file:
        for row in csv.DictReader(file):
            orders[row["UserID"]].append((row["Date"], row["WineID"]))
    people = np.random.default_rng(SEED).permutation(sorted(orders)).tolist()
    for number in range(FOLDS):
        asked = set(people[number::FOLDS])
        counted = [
            _event(row, person, wine, row, EventType.PURCHASE)
            for person, wines in orders.items()
            if person not in asked
            for row, (_, wine) in enumerate(sorted(wines))
        ]
        cases = []
        for person in sorted(asked):
            *before, wanted = [wine for _, wine in sorted(orders[person])]
            if before:
                cases.append(RecommenderCase(tuple(reversed(before)), frozenset(before), wanted))
        yield RecommenderSplit(counted, cases, OF_ORDERS)


def _event(
    row: int, person: str, item: str, time_micros: int, kind: EventType = EventType.VIEW
) -> StoredEvent:
    order = person if kind is EventType.PURCHASE else ""
    name = f"{person} {item} {row}"
    event = Event(name, None, kind, item, time_micros=time_micros, order_id=order)
    return StoredEvent("default", event, person, "", "", b"", time_micros)


async def _measured(parts: Sequence[RecommenderSplit]) -> RecommenderFigures:
    found = RecommenderFigures()
    for part in parts:
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/ranker.db"
            database = Database(url, migrations=MIGRATIONS, checkpoint_pages=CHECKPOINT_PAGES)
            database.migrate()
            await _count(database, part, found)
            await _ask(CountRecord(database), part, found)
            database.close()
        _baselines(part, found)
    return found


async def _count(database: Database, part: RecommenderSplit, found: RecommenderFigures) -> None:
    """Store the events in their order, and count them as the worker does."""
    record = EventRecord(database)
    for start in range(0, len(part.events), BATCH):
        await record.append(part.events[start : start + BATCH])
    began = time.perf_counter()
    while (await database.write(lambda connection: fold(connection, DEFAULTS))).units:
        pass
    found.count_seconds += time.perf_counter() - began
    found.events += len(part.events)


async def _ask(reader: CountRecord, part: RecommenderSplit, found: RecommenderFigures) -> None:
    now = max(one.event.time_micros or 0 for one in part.events) + DAY_MICROS // 24
    for case in part.cases:
        began = time.perf_counter()
        wanted = recommenders.Wanted(part.names, CountScope(), PLACES, case.known)
        near = {name: case.anchors for name in part.names if name in recommenders.KINDS}
        counted = await reader.counted("default", recommenders.asked(wanted, near, None))
        lists = recommenders.lists(wanted, counted, near, (), now)
        found.answer_seconds.append(time.perf_counter() - began)
        for one in lists:
            found.hits[one.recommender].append(case.wanted in one.product_ids)


def _baselines(part: RecommenderSplit, found: RecommenderFigures) -> None:
    """Measure the most popular products, and item-kNN over the same people."""
    likes: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for one in part.events:
        likes[one.actor].setdefault(one.event.product_id)
    items = sorted({item for its in likes.values() for item in its})
    rows = {item: row for row, item in enumerate(items)}
    training = _histories(likes, rows)
    asked = _histories({f"{n:06}": case.anchors[::-1] for n, case in enumerate(part.cases)}, rows)
    for name, scorer in (
        (POPULARITY, baselines.popularity(training, len(items))),
        (KNN, baselines.item_knn(training, len(items))),
    ):
        places = {actor: place for place, actor in enumerate(asked.actors)}
        scores = scorer.scores(asked)
        for number, case in enumerate(part.cases):
            place = places.get(f"{number:06}")
            row = np.zeros(len(items)) if place is None else np.array(scores[place], np.float64)
            row[[rows[item] for item in case.known if item in rows]] = -np.inf
            best = np.argsort(-row, kind="stable")[:PLACES]
            found.hits[name].append(case.wanted in {items[one] for one in best if row[one] > 0})


def _histories(likes: Mapping[str, Iterable[str]], rows: Mapping[str, int]) -> Histories:
    """Return these products as interests, in their order. Products without a row are left out."""
    known = {
        actor: [rows[item] for item in its if item in rows] for actor, its in sorted(likes.items())
    }
    known = {actor: its for actor, its in known.items() if its}
    starts = np.concatenate(([0], np.cumsum([len(its) for its in known.values()]))).astype(np.int64)
    items = np.array([item for its in known.values() for item in its], np.int64)
    return Histories(tuple(known), starts, items, np.zeros(len(items), np.bool_), items * 0)


def _interval(hits: Sequence[bool]) -> Interval:
    made = intervals(np.array(hits, np.float64)[:, None])
    return Interval(float(made.mean[0]), float(made.low[0]), float(made.high[0]))


def _table(found: Mapping[str, RecommenderFigures]) -> BenchTable:
    rows = []
    for data, its in found.items():
        for name, hits in its.hits.items():
            one = _interval(hits)
            rows.append((data, name, f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}"))
    return BenchTable(
        title="The next item among the first ten",
        headers=("data", "by", "hit@10", "95% interval"),
        rows=tuple(rows),
        caption="Views of films, orders of wines; intervals over cases (BCa).",
    )


def _figures(found: Mapping[str, RecommenderFigures]) -> dict[str, object]:
    return {
        data: {
            "cases": len(its.answer_seconds),
            "events": its.events,
            "counted_events_a_second": its.events / its.count_seconds,
            "answer_ms_p50": 1e3 * percentile(its.answer_seconds, 0.5).value,
            "answer_ms_p99": 1e3 * percentile(its.answer_seconds, 0.99).value,
            "hit_at_10": {
                name: [one.value, one.low, one.high]
                for name, hits in its.hits.items()
                for one in (_interval(hits),)
            },
        }
        for data, its in found.items()
    }
