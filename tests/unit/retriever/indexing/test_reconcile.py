"""The index is compared with the record, and differences are written again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from retriever.domain.generation import Generation
from retriever.indexing.collections import open_collection
from retriever.indexing.reconcile import reconcile
from retriever.record import Record
from servicekit.sql.errors import StoreUnavailable
from tests.fakes.index import Always, FakeIndex
from tests.unit.retriever.conftest import generation, vectors, write
from tests.unit.retriever.indexing.conftest import PHOTOS, applied, held
from tests.waiting import until


@pytest.mark.parametrize(("scan_rows", "scan_limit"), [(4_000, 10**6), (7, 10**6), (4_000, 5)])
async def test_missing_stale_and_extra_rows_are_fixed(
    monkeypatch: pytest.MonkeyPatch,
    made: Generation,
    record: Record,
    index: FakeIndex,
    scan_rows: int,
    scan_limit: int,
) -> None:
    monkeypatch.setattr("retriever.indexing.reconcile.SCAN_ROWS", scan_rows)
    await record.write("default", [write(f"p{n}", data) for n, data in enumerate(PHOTOS)])
    await record.save_vectors(made, vectors(*PHOTOS))
    made = await applied(made, record, index)
    right = dict(index.rows[made.collection])
    rows = index.rows[made.collection]
    lost, stale = sorted(rows)[:3], sorted(rows)[3]
    for row_id in lost:
        del rows[row_id]
    await record.write("default", [write("p39", PHOTOS[39], brand="new")])
    made = await applied(made, record, index)
    right = {**right, **{k: v for k, v in rows.items() if v.product_id == "p39"}}
    rows[stale] = replace(rows[stale], seq=0)
    rows["f" * 32] = rows[stale]
    index.scan_limit = scan_limit
    drift = await reconcile(made, record, index, Always())
    assert (drift.upserted, drift.deleted) == (4, 1)
    assert {k: v.seq for k, v in rows.items()} == {k: v.seq for k, v in right.items()}
    again = await reconcile(made, record, index, Always())
    assert (again.upserted, again.deleted) == (0, 0)


async def test_an_engine_that_lost_everything_is_filled_without_embedding(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.write("default", [write(f"p{n}", data) for n, data in enumerate(PHOTOS)])
    await record.save_vectors(made, vectors(*PHOTOS))
    made = await applied(made, record, index)
    index.rows.clear()
    await open_collection(made, index)
    index.behind = True
    filling = asyncio.create_task(reconcile(made, record, index, Always()))
    await until(lambda: len(index.rows[made.collection]) == 40)
    await asyncio.sleep(0.2)
    assert not filling.done()  # searches do not find it yet
    index.behind = False
    assert (await filling).upserted == 40
    assert len(held(made, index)) == 40


async def test_photos_from_before_the_first_generation_become_pending_in_lots(
    monkeypatch: pytest.MonkeyPatch, record: Record, index: FakeIndex
) -> None:
    monkeypatch.setattr("retriever.record.rollout.FIRST", 3)
    monkeypatch.setattr("retriever.indexing.reconcile.WANT", 7)
    await record.write("default", [write(f"p{n}", data) for n, data in enumerate(PHOTOS)])
    made = await record.create_generation(generation())
    assert len(await record.due(made, 99)) == 3  # however many there are
    await index.create(made.collection, made.dimension)
    lots, enqueue = [], record.enqueue_missing

    async def interrupted(*given: Any, **options: Any) -> str | None:
        lots.append(given)
        if len(lots) == 3:
            raise StoreUnavailable
        return await enqueue(*given, **options)

    monkeypatch.setattr(record, "enqueue_missing", interrupted)
    with pytest.raises(StoreUnavailable):
        await reconcile(made, record, index, Always())
    (found,) = await record.generations("default")
    assert found.check_wanted  # so that another worker goes on
    await reconcile(found, record, index, Always())
    assert len(await record.due(made, 99)) == len(PHOTOS)
    assert len(lots) == 3 + 6
    assert (await record.backlog(made)).waiting == 0  # no backfill waits for them


async def test_only_a_backfill_fills_a_generation_that_is_built(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.write("default", [write("a", PHOTOS[0])])
    new = replace(generation(name="visual-2", collection="c2"), space_version="v2")
    building = await record.register(new)
    await index.create(building.collection, building.dimension)
    await reconcile(building, record, index, Always())
    assert await record.due(building, 9) == []


async def test_a_check_answers_the_wish_for_one(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.want_check(made)
    await reconcile(made, record, index, Always())
    (found,) = await record.generations("default")
    assert not found.check_wanted
