"""A row that this release can't read stops nothing but what it is about.

Such rows are left by a later release after a return to this one, or by a damaged disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from ranker.adapters.model_store import ModelStore
from ranker.domain.consent import Decision, Purpose
from ranker.domain.erasure import Person
from ranker.domain.events import EventType, Identity, Shopper
from ranker.domain.model import TRAIN, UNLEARN, ModelVerdict
from ranker.domain.report import ProductionAs, Report
from ranker.domain.signals import DEFAULTS
from ranker.events.recount import RECOUNT
from ranker.learning.publish import PUBLISH
from ranker.record.consent_changes import ConsentRecord
from ranker.record.erasures import ErasureRecord
from ranker.record.events import EventRecord
from ranker.record.experiments import ExperimentRecord, Kept
from ranker.record.models import ModelRegistry
from ranker.record.shoppers import ShopperRecord
from ranker.record.tables import (
    COUNT_QUEUE,
    EVENTS,
    HEALTH,
    JOBS,
    METADATA,
)
from ranker.servicer.experiments import ExperimentServicer
from ranker.serving.models.live import LiveModels
from ranker.settings import WorkerSettings
from ranker.wiring import worker
from ranker.workers.counting import count
from servicekit.catalogs.known import KnownCatalogs
from servicekit.clock import now_micros
from servicekit.jobs.queue import Jobs, JobState
from servicekit.sql.database import Database
from sightline.ranker.v1 import experiment_service_pb2 as pb
from tests.failures import counted
from tests.fakes.ranker import model, record, stored
from tests.stores import only_sqlite
from tests.waiting import until

BAD = "bad"
"""The catalog of the unreadable rows."""
CATALOGS = ("default", BAD)
BOB = Shopper(Identity.USER, "bob")
"""Refuses everything."""
ONLY = {
    "data_keys": "keys of the whole store: tests/unit/ranker/events/test_encryption.py",
    "keys": "the key of the whole store: tests/unit/ranker/test_main.py",
}
"""Tables whose rows are about everything, by why they are not damaged here."""
TOLD = {
    *("attributes", "count_days", "count_products", "count_queue", "count_units"),
    *("evaluations", "events", "experiments", "health", "jobs", "models"),
}
"""Tables that are read all the time: an unreadable row there is counted."""
FOUND_BY = {
    *("catalog_id", "actor", "visitor", "person", "product_id", "version", "name", "key", "key_id"),
    *("event_id", "answer_id", "job_id", "cause", "kind", "state", "id", "segment", "grp"),
    *("arm", "purpose", "other_id", "request_id"),
}
"""Columns by which rows are found."""
UNREADABLE = "\x01unreadable:{"
"""No JSON, no known name, and sealed with a key that is unknown."""


def filler(column: sa.Column[Any]) -> Any:
    """Return a value of a row that is inserted, before it is damaged."""
    if column.name == "catalog_id":
        return BAD
    match column.type:
        case sa.Boolean():
            return False
        case sa.Integer() | sa.Double():
            return now_micros()
        case sa.LargeBinary():
            return b"\x00"
    return {"state": JobState.PENDING.value, "kind": RECOUNT}.get(column.name, "x")


def damage(db: Database, table: sa.Table) -> None:
    """Make the rows of the catalog BAD unreadable, or insert one."""
    texts = [each for each in table.columns if isinstance(each.type, sa.Text | sa.LargeBinary)]
    changed = {
        each.name: b"\x00" if isinstance(each.type, sa.LargeBinary) else UNREADABLE
        for each in [each for each in texts if each.name not in FOUND_BY] or texts[-1:]
    }
    row = {each.name: filler(each) for each in table.columns} | changed
    update: Any = sa.update(table).values(changed)
    if "catalog_id" in table.c:
        update = update.where(table.c.catalog_id == BAD)
    assert db._file is not None
    with closing(sqlite3.connect(db._file)) as store, store:
        store.execute("DROP TRIGGER IF EXISTS events_stay")  # of stores.IN_PLACE
        if not execute(store, update):
            execute(store, sa.insert(table).values(row))


def execute(store: sqlite3.Connection, statement: Any) -> int:
    made = statement.compile(dialect=sqlite.dialect())
    values = [made.params[name] for name in made.positiontup]
    return store.execute(str(made), values).rowcount


async def fill(db: Database, models: ModelStore, catalog: str) -> None:
    """Write what all loops have to do in a catalog."""
    registry, events = ModelRegistry(db), EventRecord(db)
    digest = models.write(catalog, model({"p1": [1.0]}, version="v1"), {})
    await registry.add(replace(record("v1", catalog_id=catalog), manifest_sha256=digest))
    report = Report(ModelVerdict.PASSED, "", (), "", ProductionAs.NONE, 200, 0)
    await registry.keep_report(catalog, "v1", report)
    await registry.promote(catalog, "v1", now_micros())
    ann, bob = stored("e0", catalog), stored("e1", catalog, shopper=BOB)
    await events.append([ann, bob])
    await ShopperRecord(db).set_attributes(
        *(catalog, ann.actor, {"size": "M"}), consent=True, key_id="k", now_micros=now_micros()
    )
    await count(db, DEFAULTS, asyncio.Event())
    refused = [
        Decision(each, False, "banner", now_micros())
        for each in (Purpose.PERSONALISE, Purpose.TRAIN, Purpose.EXPERIMENT)
    ]
    await ConsentRecord(db).decide(catalog, bob.actor, refused, key_id="k")
    await ErasureRecord(db).begin(Person(catalog, ("gone",), now_micros()), "job")
    bought = stored("e3", catalog, type=EventType.PURCHASE)
    await events.append([bought, stored("old", catalog, type=EventType.IMPRESSION)])
    content = pb.Experiment(name="x").SerializeToString()
    await ExperimentRecord(db).keep(catalog, lambda _: [Kept("x", 1, content)])
    await Jobs(db, JOBS).create(RECOUNT, catalog, {})


class Running:
    """All loops of a worker that need no network, and the models of a server."""

    def __init__(self, db: Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.db, self.jobs = db, Jobs(db, JOBS)
        monkeypatch.setattr(worker, "train_command", lambda _: lambda _: ("/bin/false",))
        monkeypatch.setattr(worker, "Catalog", lambda _: Mock(some=AsyncMock(return_value={})))
        self.settings = WorkerSettings(
            **{f"{name}_store": str(folder / name) for name in ("model", "export")},  # type: ignore[arg-type]
            **{"publish": True, "auto_promote": True, "auto_promote_hour": 0},  # type: ignore[arg-type]
            impression_days=1,
        )
        self.made = Mock(
            database=db,
            jobs=self.jobs,
            registry=ModelRegistry(db),
            store=ModelStore(str(folder / "model")),
            catalogs=KnownCatalogs(CATALOGS),
            prune=AsyncMock(),
            sealer=None,
        )
        self.live = LiveModels(CATALOGS, self.made.registry, self.made.store.read, 0)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for loop in worker.loops(self.settings, self.made, stop):
                tasks.create_task(loop)
            yield
            stop.set()

    async def settled(self, catalog: str) -> bool:
        """Return whether the loops have done what there is to do in a catalog."""
        await self.live.refresh()
        done = {
            "the model serves": self.live.serving(catalog) is not None,
            "events are counted": not await self._rows(COUNT_QUEUE, catalog),
            "old impressions go": not await self._rows(EVENTS, catalog, event_id="old"),
            "refused events go": not await self._rows(EVENTS, catalog, event_id="e1"),
            "feedback is checked": bool(await self._rows(HEALTH, catalog)),
            "a job is done": bool(
                await self._rows(JOBS, catalog, kind=RECOUNT, state=JobState.SUCCEEDED)
            ),
        } | {
            f"{kind} is requested": bool(await self._rows(JOBS, catalog, kind=kind))
            for kind in (TRAIN, UNLEARN, PUBLISH)
        }
        return all(done.values())

    async def _rows(self, table: sa.Table, catalog: str, **same: str) -> int:
        where = [table.c[name] == value for name, value in {"catalog_id": catalog, **same}.items()]
        query = sa.select(sa.func.count()).select_from(table).where(*where)
        return await self.db.read(lambda connection: connection.execute(query).scalar_one())


@pytest.mark.full
@pytest.mark.slow
@only_sqlite
@pytest.mark.parametrize(
    "table", [None, *(one for one in METADATA.sorted_tables if one.name not in ONLY)], ids=str
)
async def test_an_unreadable_row_of_any_table_stops_no_other_catalog(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: sa.Table | None
) -> None:
    running = Running(db, tmp_path, monkeypatch)
    for catalog in CATALOGS:
        await fill(db, running.made.store, catalog)
    damaged = table is not None
    if table is not None:
        damage(db, table)
    with counted() as failures:
        async with running.working():
            for catalog in CATALOGS[: 1 if damaged else 2]:
                await until(partial(running.settled, catalog))
        listing = ExperimentServicer(CATALOGS, ExperimentRecord(db))
        for catalog in CATALOGS:
            assert len(await running.made.registry.list(catalog, limit=9, before=None)) >= 1
            await listing.ListExperiments(pb.ListExperimentsRequest(catalog_id=catalog), Mock())
    assert bool(failures[0]) == (table is not None and table.name in TOLD)
    assert {job.catalog_id for job in await running.jobs.list(limit=1_000)} == {*CATALOGS}


def test_every_table_is_damaged_or_is_about_the_whole_store() -> None:
    names = {table.name for table in METADATA.sorted_tables}
    assert names >= ONLY.keys() | TOLD
