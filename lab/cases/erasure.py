"""The copy and the erasure of one of a million shoppers, timed on each database.

The record holds two events of each shopper, and the store ten models with a vector of each, and the
state from which a training continues. What the worker does at night, such as the subtraction from
sums in models, is not part of it.
"""

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from sqlalchemy import Connection

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from ranker.adapters.model_store import ModelStore
from ranker.adapters.packing import pack_texts
from ranker.domain.erasure import ERASE, Person, params
from ranker.domain.model import Model, ModelRecord
from ranker.events.erase import ErasePerson
from ranker.learning.forget import ForgetInModels
from ranker.record.models import ModelRegistry
from ranker.record.selections import SelectionRecord
from ranker.record.tables import CHECKPOINT_PAGES, JOBS, MIGRATIONS
from servicekit.clock import now_micros
from servicekit.jobs.queue import Jobs
from servicekit.sql.database import Database
from tests.postgres import NoPostgreSQL, postgresql

Say: TypeAlias = Callable[[str], None]

SHOPPERS: Final = 1_000_000
EACH: Final = 2
"""Events of a shopper."""
MODELS: Final = 10
DIMENSION: Final = 30
ERASED: Final = 5
"""Shoppers that are erased, one after another."""
AT_MOST_SECONDS: Final = 10.0


@dataclass
class Erasures:
    """Figures of one database."""

    engine: str
    seconds: list[float] = field(default_factory=list)
    """Of each erasure."""


def run(say: Say) -> BenchResult:
    """Measure each available database."""
    found = []
    with tempfile.TemporaryDirectory(prefix="sightline-erasure-") as name:
        folder = Path(name)
        store = ModelStore(str(folder / "models"))
        say(f"{MODELS} models with {SHOPPERS:,} shoppers")
        records: Sequence[ModelRecord] = list(_models(store))
        for engine, opened in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
            try:
                with opened(folder) as url:
                    figures, records = asyncio.run(_measure(engine, url, store, records, say))
                    found.append(figures)
            except NoPostgreSQL as error:
                say(str(error))
    return BenchResult(
        tables=(_table(found),),
        figures={"shoppers": SHOPPERS, "models": MODELS, "engines": [vars(one) for one in found]},
        goals=[_goal(one) for one in found],
    )


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/record.db"


@contextmanager
def _postgresql(_: Path) -> Iterator[str]:
    with postgresql() as server:
        server.execute("CREATE DATABASE erasures")
        yield server.url("erasures")


def actor(number: int) -> str:
    """Return a shopper's pseudonym."""
    return hashlib.sha256(f"{number}".encode()).hexdigest()


def _models(store: ModelStore) -> Iterator[ModelRecord]:
    """Write the models, and yield their rows."""
    actors = {actor(number): number for number in range(SHOPPERS)}
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(SHOPPERS, DIMENSION)).astype(np.float32)
    small = np.ones((1, DIMENSION), np.float32)
    for number in range(MODELS):
        model = Model(
            version=f"lfm-{number}",
            item_ids=("p",),
            item_rows={"p": 0},
            item_vectors=small,
            item_biases=np.zeros(1, np.float32),
            actor_rows=actors,
            actor_vectors=vectors,
            feature_rows={},
            feature_names=(),
            feature_vectors=np.zeros((0, DIMENSION), np.float32),
            feature_biases=np.zeros(0, np.float32),
            score_scale=1.0,
            attribute_keys=(),
        )
        state = {"shoppers_vectors": vectors, "shoppers_vector_sums": vectors}
        digest = store.write(
            "default", model, {}, {**state, **pack_texts("shopper_names", list(actors))}
        )
        yield ModelRecord("default", model.version, digest, number, 1, SHOPPERS, 1, 0, 1, ())


async def _measure(
    engine: str, url: str, store: ModelStore, records: Sequence[ModelRecord], say: Say
) -> tuple[Erasures, Sequence[ModelRecord]]:
    """Return the figures, and the models' rows afterwards."""
    say(f"{SHOPPERS * EACH:,} events into {engine}")
    database = Database(url, migrations=MIGRATIONS, checkpoint_pages=CHECKPOINT_PAGES)
    database.migrate()
    for start in range(0, SHOPPERS, 50_000):
        await database.write(partial(_fill, range(start, start + 50_000)))
    registry, jobs = ModelRegistry(database), Jobs(database, JOBS)
    for record in records:
        await registry.add(record)
    found = Erasures(engine)
    for number in range(ERASED):
        who = number * 1_000 + (0 if engine == "SQLite" else 7)
        person = Person("default", (actor(who),), now_micros())
        await jobs.create(ERASE, "default", params(person))
        job = await jobs.claim((ERASE,), "bench", 600.0)
        assert job is not None
        erase = ErasePerson.of(
            database,
            jobs,
            SelectionRecord(database),
            (ForgetInModels(database, store),),
            asyncio.Event(),
        )
        began = time.monotonic()
        await erase.run(job)
        found.seconds.append(time.monotonic() - began)
        say(f"erased in {found.seconds[-1]:.1f} s")
    left = await registry.with_files("default")
    database.close()
    return found, left


def _fill(numbers: range, connection: Connection) -> None:
    """Write the events of these shoppers."""
    now = now_micros() - 1_000_000
    rows = [
        (
            *("default", f"{number}-{step}", b"digest", "key", actor(number), ""),
            *("IMPRESSION", "OTHER", f"p{number % 1_000}", now - number, now, 1, "", "", 0),
            *("", "", ""),
        )
        for number in numbers
        for step in range(EACH)
    ]
    columns = (
        "catalog_id, event_id, digest, key_id, actor, session, type, kind, product_id,"
        " time_micros, received_micros, quantity, unit_price_currency, order_id, position, scene,"
        " attribution_token, query"
    )
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    marks = ", ".join([mark] * len(rows[0]))
    connection.exec_driver_sql(f"INSERT INTO events ({columns}) VALUES ({marks})", rows)  # noqa: S608


def _table(found: Sequence[Erasures]) -> BenchTable:
    return BenchTable(
        title="The erasure of one of a million shoppers",
        headers=("record", "seconds, each of five"),
        rows=tuple((one.engine, ", ".join(f"{each:.1f}" for each in one.seconds)) for one in found),
        caption=f"{SHOPPERS * EACH:,} events, {MODELS} models, {DIMENSION} dimensions.",
        section=None,
    )


def _goal(one: Erasures) -> Goal:
    low, middle, high = np.quantile(one.seconds, (0.0, 0.5, 1.0)).tolist()
    name = f"{one.engine}: the erasure of one of a million shoppers"
    return Goal(name, AT_MOST_SECONDS, "s", Interval(middle, low, high))
