"""Watches that come and go for years leave no more rows than after the first day."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
import sqlalchemy as sa

from servicekit.catalogs.known import KnownCatalogs
from servicekit.jobs.queue import Jobs
from servicekit.sql.database import Database
from servicekit.sql.retention import forget_jobs
from tests.fakes.clock import Clock
from tests.unit.vision.watching.test_frames import FakeFramePhotos
from vision.domain.deliveries import DeliveryStep, Lane, LaneState
from vision.domain.references import DraftPhoto
from vision.domain.retention import BOUNDED, GOES, TABLES
from vision.domain.watch_state import WatchProgress, WatchState
from vision.domain.watches import (
    Alert,
    AlertKind,
    Fault,
    FaultCondition,
    Watch,
    WatchPhoto,
    WatchRule,
)
from vision.domain.webhooks import Webhook, WebhookSecret
from vision.record import Record, metadata
from vision.record.tables import jobs
from vision.workers import tidying
from vision.workers.auditing import Auditing
from vision.workers.tidying import Tidying

YEAR = 365 * 86_400 * 10**6
HOOK = Webhook("ops", "https://hooks.test/a", (), (WebhookSecret("00ff", "salt", 1),), 1)
WATCH = Watch("shelf", "A shelf", rules=(WatchRule("dark", FaultCondition(Fault.BLACK)),))


async def rows(db: Database) -> Counter[str]:
    """Return the number of rows of each table."""
    found = Counter[str]()
    for table in metadata.sorted_tables:
        query = sa.select(sa.func.count()).select_from(table)
        found[table.name] = await db.read(lambda c, query=query: c.execute(query).scalar_one())
    return found


async def alert(record: Record, photo: str, now: int) -> None:
    """Let a watch alert twice, deliver the first and give up the second."""
    stored = await record.create_watch("default", WATCH, [])
    await record.create_webhook("default", HOOK)
    alerts = [
        Alert(f"{now}-{n}", "shelf", "dark", AlertKind.STARTED, 5, 4, 0.5, image_id=photo)
        for n in range(2)
    ]
    state = WatchState(times=(1,), processed=1)
    kept = (WatchPhoto(photo, "image/jpeg", 4, 3, now + 1),)
    await record.save_checked("default", WatchProgress(stored, 0, state, alerts, kept))
    for step in (DeliveryStep.DELIVERED, DeliveryStep.DEAD):
        found = await record.next_delivery(Lane("default", "ops", "shelf"))
        assert found is not None
        await record.settle_delivery(found, step, LaneState(1, 50, "x"))


def test_every_table_has_a_term() -> None:
    assert TABLES.keys() == metadata.tables.keys()


async def test_rows_of_what_is_deleted_go(
    db: Database, record: Record, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidying.time, "time", lambda: clock.now / 1e6)
    photos, seen, left = FakeFramePhotos(), Counter[str](), list[Counter[str]]()
    forget = partial(forget_jobs, db, jobs, 1, lambda: 2**60)
    due = Tidying(KnownCatalogs(("default",)), record, photos, 1.0, forget)

    async def stored(_: object) -> None:
        pass

    clock.now = 50 * YEAR
    for _ in range(3):
        await alert(record, "f" * 64, clock.now)
        await record.add_photo("default", "r", DraftPhoto("a", f"{clock.now:064x}"))
        job = await Jobs(db, jobs).create("backup", "default", {})
        seen.update(await rows(db))
        await Jobs(db, jobs).cancel(job.id)
        await record.delete_watch("default", "shelf")
        await record.delete_webhook("default", "ops")
        clock.now += YEAR
        await Auditing(record, stored).step()
        await due.step()
        left.append(await rows(db))
    assert left[1] == left[2]
    assert {name for name, (term, _) in TABLES.items() if term is GOES and left[2][name]} == set()
    untouched = {name for name, (term, _) in TABLES.items() if term is GOES and not seen[name]}
    assert untouched == set()
    assert {name for name in left[2] if TABLES[name][0] is BOUNDED and left[2][name] > 2} == set()
