"""The loops of a worker: some always run, the others by their settings."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ranker.domain.erasure import ERASE
from ranker.domain.model import EVALUATE, TRAIN
from ranker.events.export import EXPORT
from ranker.record.tables import JOBS, MIGRATIONS
from ranker.settings import WorkerSettings
from ranker.wiring.backend import backend
from ranker.wiring.worker import loops
from servicekit.clock import now_micros
from servicekit.jobs.queue import Jobs
from servicekit.sql.database import Database
from servicekit.sql.retention import DAY_MICROS
from servicekit.tasks.loops import Loop
from tests.stores import NewStore, each_engine, only_sqlite
from tests.waiting import until

COUNTS = ["nothing counted", "products not grouped"]
ALWAYS = [
    *("jobs", "jobs", *COUNTS, "nothing swept", "unheard: nothing swept"),
    *("consents not applied", "catalogs not removed"),
]
NIGHT, HEALTH = "nightly training failed", "unheard: feedback check failed"
UNLEARNING = "nothing unlearned"
ROTATION = "data keys not rotated"


@pytest.mark.parametrize(
    ("settings", "others"),
    [
        ({}, [HEALTH]),
        ({"health_seconds": 0}, []),
        ({"publish": True, "health_seconds": 0}, ["models not published"]),
        ({"auto_promote": True, "health_seconds": 0}, [NIGHT]),
        ({"kafka_brokers": ("127.0.0.1:9",), "health_seconds": 0}, ["landing"]),
        ({"auto_promote": True, "catalogs": ("a", "b")}, [NIGHT, HEALTH]),
        ({"encryption_keys_file": Path("any"), "health_seconds": 0}, [ROTATION]),
    ],
)
async def test_what_is_turned_off_is_not_looked_at(
    tmp_path: Path, settings: dict[str, Any], others: list[str]
) -> None:
    """Check also that liveness does not wait for a loop that takes long."""
    given = WorkerSettings(export_store=str(tmp_path), **settings)
    sealer = Mock() if given.encryption_keys_file else None
    found, heard = [], []
    for loop in loops(given, Mock(sealer=sealer), asyncio.Event()):
        kind = "landing" if loop.__qualname__ == "Landing.run" else "jobs"
        mine = loop.cr_frame.f_locals
        repeated = mine.get("self")
        if isinstance(repeated, Loop):
            heard.append(repeated.alive)
            found.append(("" if repeated.alive else "unheard: ") + repeated.name)
        else:
            heard.append(mine.get("name", kind))
            found.append(kind)
        loop.close()
    assert found == [*ALWAYS, UNLEARNING, *others]
    names = [each for each in heard if each]
    assert len(set(names)) == len(names), "one that hangs would be heard of by its namesake"


@pytest.mark.parametrize("days", [30, 0])
@each_engine
async def test_jobs_that_ended_long_ago_go(tmp_path: Path, db: Database, days: int) -> None:
    """Run the loops that delete old jobs on a real store; without the setting they keep all."""
    ids = []
    for ended in (now_micros() - 40 * DAY_MICROS, now_micros() - 20 * DAY_MICROS):
        jobs = Jobs(db, JOBS, clock=partial(int, ended))
        ids.append((await jobs.create("train", "default", {})).id)
        await jobs.cancel(ids[-1])
    ids.append((await jobs.create("export", "default", {})).id)  # it waits, however long
    settings = WorkerSettings(export_store=str(tmp_path), job_days=days)
    stop, swept = asyncio.Event(), list[asyncio.Task[None]]()
    for loop in loops(settings, Mock(database=db), stop):
        repeated = loop.cr_frame.f_locals.get("self")
        if isinstance(repeated, Loop) and repeated.name == "nothing swept":
            swept.append(asyncio.create_task(loop))
        else:
            loop.close()
    kept = set(ids[1:] if days else ids)

    async def forgotten() -> bool:
        return {job.id for job in await jobs.list()} == kept

    await until(forgotten, 10)
    stop.set()
    await asyncio.gather(*swept)
    assert await forgotten()


@only_sqlite
async def test_an_erasure_waits_for_no_job_that_was_asked_for_before(
    tmp_path: Path, new_store: NewStore
) -> None:
    url = new_store(MIGRATIONS, "ranker.db")
    settings = WorkerSettings(database_url=url, model_store=str(tmp_path / "models"))
    async with backend(settings) as made:
        for kind in (TRAIN, EVALUATE, EXPORT, ERASE):
            await made.jobs.create(kind, "default", {})
        job = await made.jobs.claim((TRAIN, EVALUATE, EXPORT, ERASE), "worker", 30.0)
    assert job is not None
    assert job.kind == ERASE
