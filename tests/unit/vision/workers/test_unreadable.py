"""A row, a target or a camera that can't be read stops nothing but what it is about."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from servicekit.catalogs.known import KnownCatalogs
from servicekit.keys.keyring import open_keys
from servicekit.outbound.fetch import FetchPolicy
from servicekit.outbound.posting import Poster
from servicekit.sql.database import Database
from tests.failures import counted
from tests.fakes.clock import Clock
from tests.unit.vision.watching.test_frames import FakeFramePhotos
from tests.waiting import until
from vision.delivery.deliverer import Deliverer
from vision.domain.watches import DEFAULT_HOLD, SILENT, Watch, WatchRule
from vision.domain.webhooks import Webhook, WebhookSecret
from vision.record import Record, metadata
from vision.watching.silence import SilenceChecks
from vision.workers.auditing import Auditing
from vision.workers.tidying import Tidying

BODY = '{"snapshot_uri":"_","fault":"silent", unreadable'
BAD, GOOD = "bad", "default"
RULE = WatchRule("stopped", SILENT, hold=DEFAULT_HOLD)
CAMERA = Watch("door", rules=(RULE,), snapshot_uri="https://door.test/a.jpg", snapshot_seconds=5)
HOOK = Webhook("ops", "https://hooks.test/a", (), (WebhookSecret("00ff", "salt", 1),), 1)


async def _fails(record: Record) -> bool:
    (state,) = await record.webhook_states(GOOD)
    return state.failing_watches == 1


def put_unreadable(db: Database, table: sa.Table, catalog_id: str, clock: Clock) -> None:
    """Insert a row as no release would."""

    def value(column: sa.Column[object]) -> object:
        if column.name == "catalog_id":
            return catalog_id
        if column.name == "sequence":
            return 0  # none has a number that the catalog gives later
        match column.type:
            case sa.Integer():
                return 1
            case sa.Float():
                return 0.5
            case _:
                return BODY

    row = {column.name: value(column) for column in table.columns}
    insert = str(sa.insert(table).values(row).compile(dialect=sqlite.dialect()))
    assert db._file is not None
    with closing(sqlite3.connect(db._file)) as store, store:
        store.execute(insert, [*row.values()])


@pytest.mark.parametrize("catalog_id", [BAD, GOOD])
@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
async def test_an_unreadable_row_of_any_table_stops_no_other_watch_or_webhook(
    db: Database, record: Record, clock: Clock, table: sa.Table, catalog_id: str
) -> None:
    put_unreadable(db, table, catalog_id, clock)
    catalogs, photos = KnownCatalogs((BAD, GOOD)), FakeFramePhotos()
    clock.now = 2 * 10**15

    async def none(*_: object) -> int:
        return 0

    with counted():
        await record.create_watch(GOOD, CAMERA, [])
        await record.create_webhook(GOOD, HOOK)
        assert [each.watch.watch_id for each, _ in await record.watches(GOOD)] == ["door"]
        assert [each.webhook.webhook_id for each in await record.webhook_states(GOOD)] == ["ops"]
        for sources in (record.snapshot_sources, record.silence_sources):
            assert [each.watch_id for each in await sources()] == ["door"]
        silence = SilenceChecks(record, catalogs, clock)
        began = clock.now
        for _ in range(4):
            clock.now += DEFAULT_HOLD
            await silence.look(began)
        (alert,) = await record.alerts(GOOD, "door", 2**60, 9)
        poster = Poster(FetchPolicy())
        deliverer = Deliverer([BAD, GOOD], record, poster, poster, open_keys, clock=clock)
        async with asyncio.TaskGroup() as group:
            await deliverer._look(group)
            await until(lambda: _fails(record))  # its key is missing here: the alert is tried
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        due = Tidying(catalogs, record, photos, 1e-9, none)
        clock.now += 10**15
        await due.step()
        told = list[object]()

        async def append(notes: object) -> None:
            told.extend(notes)  # type: ignore[call-overload]

        await Auditing(record, append).step()
        assert alert.alert_id in {note["request_id"] for note in told}  # type: ignore[index]
