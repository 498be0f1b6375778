"""A row that this release can't read stops nothing but what it is about.

Such rows are left by a later release after a return to this one, or by a damaged disk.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from retriever.record.tables import metadata
from retriever.wiring import job_queue
from servicekit.jobs.queue import JobState
from servicekit.sql.database import Database
from tests.failures import counted
from tests.unit.retriever.conftest import write
from tests.unit.retriever.workers.conftest import PHOTOS, Bench
from tests.waiting import until

BAD = "bad"
"""The catalog of the unreadable rows."""
TOLD = {"generations", "jobs", "outbox"}
"""Tables that a worker reads all the time: an unreadable row there is counted."""
VALUES: dict[str, object] = {
    "id": "0",
    "caller": "",
    "kind": "close_import",
    "space": "visual",
    "finished_time": 0,
}
"""Values without which the worker would not meet the row."""
BODY = '{"unreadable'


def value(table: str, column: sa.Column[object]) -> object:
    """Return an unreadable value for a text, and some value for others."""
    if column.name == "catalog_id":
        return BAD
    if table == "jobs" and column.name == "state":
        return JobState.PENDING.value
    if column.name in VALUES:
        return VALUES[column.name]
    match column.type:
        case sa.Boolean():
            return False
        case sa.Integer():
            return 1
        case sa.Float():
            return 0.5
        case sa.LargeBinary():
            return b"\x00"
        case _:
            return BODY


def put_unreadable(db: Database, table: sa.Table) -> None:
    """Insert a row as no release would: the store checks no references here."""
    row = {column.name: value(table.name, column) for column in table.columns}
    insert = str(sa.insert(table).values(row).compile(dialect=sqlite.dialect()))
    assert db._file is not None
    with closing(sqlite3.connect(db._file)) as store, store:
        store.execute(insert, [*row.values()])


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
async def test_an_unreadable_row_of_any_table_stops_no_other_catalog(
    db: Database, table: sa.Table
) -> None:
    bench = Bench(db)
    bench.catalogs = ("default", BAD)
    put_unreadable(db, table)
    jobs = job_queue(db)
    with counted() as failures:
        async with bench.working():
            await bench.record.write("default", [write("p1", PHOTOS[0])])
            await until(lambda: bench.rows() == {"p1"})
            job = await jobs.create("close_import", "default", {"before": 2, "count": 1})

            async def done() -> bool:
                return (await jobs.get(job.id)).state is JobState.SUCCEEDED

            await until(done)
    assert bool(failures[0]) >= (table.name in TOLD)
