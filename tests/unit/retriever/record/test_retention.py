"""Rows that nothing needs any longer go, on each engine; what is needed stays."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from retriever.domain.errors import ImportNotFound
from retriever.domain.imports import ImportMode, ImportRow
from retriever.domain.product import Offer
from retriever.record import Record, retention
from retriever.record.statements import pending_row
from retriever.record.tables import changes, import_rows, imports, outbox, pending, products
from servicekit.sql.database import Database
from sightline_rules.filters import Availability, Money
from sightline_rules.photos import image_id
from tests.stores import each_engine
from tests.unit.retriever.columns.conftest import ids, patient
from tests.unit.retriever.conftest import Clock, generation, write

pytestmark = each_engine


async def count(db: Database, table: sa.Table) -> int:
    query = sa.select(sa.func.count()).select_from(table)
    return int(await db.read(lambda connection: connection.execute(query).scalar_one()))


async def test_the_outbox_of_a_catalog_without_generation_goes(
    record: Record, db: Database
) -> None:
    for name in "abc":
        await record.write("default", [write(name)])
        await record.offer("default", [Offer(name, Money("EUR", 7), Availability.IN_STOCK)])
    assert await count(db, outbox) == 6
    assert await record.forget_applied("other", 9) == 0
    assert [await record.forget_applied("default", 4) for _ in range(3)] == [4, 2, 0]
    assert await count(db, outbox) == 0


async def test_entries_that_a_generation_has_not_applied_stay(record: Record, db: Database) -> None:
    made = await record.create_generation(generation())
    behind = await record.create_generation(generation(name="visual-2", active=False))
    for name in "abc":
        await record.write("default", [write(name)])
    first, *_ = await record.changes(made, 9)
    for each in (made, behind):
        await record.advance(each, first)
    assert await record.forget_applied("default", 9) == 0
    assert await count(db, outbox) == 2


async def test_old_deletions_go_and_columns_that_do_not_know_them_are_read_anew(
    record: Record, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_DELETED", 2)
    await record.write("default", [write(name) for name in "abcdefg"])
    behind, current = patient(record), patient(record)
    assert await ids(behind) == await ids(current) == set("abcdefg")
    await record.delete("default", ["a", "b", "c"])
    assert await ids(current) == set("defg")
    await record.delete("default", ["d", "e"])
    after, up_to = await record.forgettable("default")
    assert after < up_to
    between = await record.forget_deleted("default", after, up_to, 2)
    assert after < between < up_to
    assert await record.forget_deleted("default", between, up_to, 2) == up_to
    assert await record.forgettable("default") == (up_to, 0)
    assert await count(db, changes) == 4
    for columns in (behind, current, patient(record)):
        assert await ids(columns) == set("fg")
    await record.write("default", [write("a")])
    assert await ids(behind) == set("afg")


async def test_imports_without_rows_for_long_go_with_their_rows(
    record: Record, db: Database, clock: Clock
) -> None:
    for name in ("abandoned", "closed", "active"):
        await record.open_import("default", name, ImportMode.INCREMENTAL, 60.0)
        rows = [ImportRow(n, f"{name}{n}", write(f"{name}{n}")) for n in range(1, 4)]
        await record.import_rows("default", name, rows)
    await record.close_import("default", "closed", share=1, dry_run=False, sample=0)
    clock.now += 100
    await record.import_rows("default", "active", [ImportRow(4, "new", write("new"))])
    seen = [await record.forget_imports("default", clock.now, 2) for _ in range(5)]
    assert (sum(seen), seen[-1]) == (3 + 1 + 3 + 1, 0)
    assert await count(db, imports) == 1
    assert await count(db, import_rows) == 4
    with pytest.raises(ImportNotFound):
        await record.decided("default", "abandoned", [1])


async def test_a_cancelled_backfill_leaves_failures_as_failures(record: Record) -> None:
    made = await record.create_generation(generation())
    await record.write("default", [write("a", b"photo a"), write("b", b"photo b")])
    await record.give_up(made, [image_id(b"photo a")], "PHOTO_UNDECODABLE")
    await record.retry_failed(made)
    backlog = await record.backlog(made)
    assert backlog.waiting == 1
    await record.take_back(made, 100)
    counts = await record.counts("default", made)
    assert (counts.pending, counts.failed) == (1, 1)


@pytest.mark.parametrize("of_texts", [False, True], ids=["photos", "texts"])
async def test_what_is_written_while_a_backfill_retries_it_outlasts_the_backfill(
    record: Record, of_texts: bool
) -> None:
    space = {"space": "text", "name": "text-1", "of_products": True} if of_texts else {}
    made = await record.create_generation(generation(**space))
    await record.write("default", [write("a", b"photo a", title="A wine")])
    await record.give_up(made, ["a" if of_texts else image_id(b"photo a")], "UNREADABLE")
    await record.retry_failed(made)
    await record.write("default", [write("a", b"photo a", title="A beer")])
    await record.take_back(made, 100)
    counts = await record.counts("default", made)
    assert (counts.pending, counts.failed) == (1, 0)


async def test_what_is_restored_while_a_backfill_waits_for_it_outlasts_the_backfill(
    record: Record, db: Database
) -> None:
    await record.write("default", [write("a", b"photo a")])
    rows = await db.read(
        lambda c: [dict(each) for each in c.execute(sa.select(products)).mappings()]
    )
    for name in ("catalog_id", "seq", "touched"):
        del rows[0][name]
    await record.delete("default", ["a"])
    before = await record.commit_number("default")
    made = await record.create_generation(generation(active=False, name="visual-2"))
    row = pending_row(made, image_id(b"photo a"), 1, 1) | {"backfill": True}
    await db.write(lambda c: c.execute(sa.insert(pending).values(row)))
    await record.restore_products("default", before, [(rows[0], [image_id(b"photo a")])])
    await record.take_back(made, 100)
    assert (await record.counts("default", made)).pending == 1
