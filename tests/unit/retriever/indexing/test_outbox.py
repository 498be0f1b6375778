"""The index follows the record: changes are applied in order."""

from __future__ import annotations

import pytest

from retriever.domain.errors import (
    IndexUnavailable,
)
from retriever.domain.generation import Generation
from retriever.indexing import outbox
from retriever.indexing.outbox import apply_outbox
from retriever.record import Record
from servicekit.sql.leases import LeaseLost
from sightline_rules.photos import image_id
from tests.fakes.index import Always, FakeIndex, Never
from tests.unit.retriever.conftest import vectors, write
from tests.unit.retriever.indexing.conftest import PHOTOS, applied, held


async def test_only_rows_of_later_commits_are_read_anew(made: Generation, record: Record) -> None:
    await record.write("default", [write("a", *PHOTOS[:2]), write("b", PHOTOS[2])])
    _, seq = await record.save_vectors(made, vectors(*PHOTOS[:3]))
    assert await record.rows(made, ["a", "b"], after=seq) == []
    assert len(await record.rows(made, ["a", "b"], after=seq - 1)) == 1
    await record.save_vectors(made, vectors(PHOTOS[1]))
    (row,) = await record.rows(made, ["a", "b"], after=seq)
    assert row.image_id == image_id(PHOTOS[1])
    await record.write("default", [write("a", *PHOTOS[:2], title="other")])
    assert len(await record.rows(made, ["a", "b"], after=seq)) == 2


async def test_the_index_holds_what_the_record_says(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.write("default", [write("a", *PHOTOS[:2]), write("b", PHOTOS[2])])
    await record.save_vectors(made, vectors(*PHOTOS[:3]))
    made = await applied(made, record, index)
    assert len(held(made, index)) == 3
    await record.write("default", [write("a", PHOTOS[1])])
    await record.delete("default", ["b"])
    made = await applied(made, record, index)
    assert held(made, index) == {f"a/{image_id(PHOTOS[1])[:4]}": 6}
    assert await record.changes(made, 10) == []


async def test_applying_twice_leaves_the_same_index(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.write("default", [write("a", PHOTOS[0])])
    await record.save_vectors(made, vectors(PHOTOS[0]))
    await applied(made, record, index)
    once = held(made, index)
    await applied(made, record, index)  # as if the process had died before it noted the first
    assert held(made, index) == once


async def test_rows_go_in_batches_of_bounded_size(
    monkeypatch: pytest.MonkeyPatch, made: Generation, record: Record, index: FakeIndex
) -> None:
    monkeypatch.setattr(outbox, "UPSERT_ROWS", 8)
    await record.write("default", [write(f"p{n}", data) for n, data in enumerate(PHOTOS)])
    await record.save_vectors(made, vectors(*PHOTOS))
    await applied(made, record, index)
    assert max(index.upsert_sizes) == 8
    assert len(held(made, index)) == 40


async def test_rows_of_a_photo_that_every_product_has_are_read_some_at_a_time(
    monkeypatch: pytest.MonkeyPatch, made: Generation, record: Record, index: FakeIndex
) -> None:
    """Write a vector that puts all products with its photo into the outbox in one commit."""
    monkeypatch.setattr(outbox, "READ_PRODUCTS", 4)
    await record.write("default", [write(f"p{n}", PHOTOS[0]) for n in range(10)])
    made = await applied(made, record, index)
    await record.save_vectors(made, vectors(PHOTOS[0]))
    made = await applied(made, record, index)
    assert (index.upsert_sizes, len(held(made, index))) == ([4, 4, 2], 10)


async def test_a_row_that_the_engine_refuses_holds_up_no_other(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    index.refused_products = {"p7"}
    await record.write("default", [write(f"p{n}", data) for n, data in enumerate(PHOTOS)])
    await record.save_vectors(made, vectors(*PHOTOS))
    made = await applied(made, record, index)
    assert len(held(made, index)) == 39
    assert await record.changes(made, 10) == []


async def test_a_dead_engine_leaves_the_outbox_as_it_is(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.write("default", [write("a", PHOTOS[0])])
    await record.save_vectors(made, vectors(PHOTOS[0]))
    index.down = True
    with pytest.raises(IndexUnavailable):
        await apply_outbox(made, record, index, Always())
    assert len(await record.changes(made, 10)) == 2


async def test_who_does_not_lead_writes_nothing(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.write("default", [write("a", PHOTOS[0])])
    await record.save_vectors(made, vectors(PHOTOS[0]))
    with pytest.raises(LeaseLost):
        await apply_outbox(made, record, index, Never())
    assert held(made, index) == {}


async def test_a_call_that_outlasts_the_lease_is_given_up(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    """End the call: rows that arrive late would overwrite those of the next leader."""
    await record.write("default", [write("a", PHOTOS[0])])
    await record.save_vectors(made, vectors(PHOTOS[0]))
    index.upsert_seconds = 30.0
    with pytest.raises(LeaseLost):
        await apply_outbox(made, record, index, Always(0.05))
    assert held(made, index) == {}
