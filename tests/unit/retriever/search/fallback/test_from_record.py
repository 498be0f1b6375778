"""The record in the engine's place: real SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retriever.columns.column_cache import COUNT_SECONDS, Columns
from retriever.columns.vectors import Vectors
from retriever.domain.column_rows import PhotoRow
from retriever.domain.errors import IndexUnavailable
from retriever.domain.filter_parts import MatchingRows
from retriever.domain.generation import Freshness, Generation, IndexParameters, VectorMetric
from retriever.domain.index_values import Hit
from retriever.domain.vectors import Floats, VectorWrite
from retriever.record import Record
from retriever.search.fallback.from_record import RecordCopy, RecordFallback
from retriever.search.nearest import compare
from sightline_rules.filters import All, Comparison, Operator
from tests.fakes.index import DIMENSION, vector_of
from tests.unit.retriever.conftest import generation, vectors, write

PHOTOS = [b"%d" % n for n in range(6)]
FIRST = Comparison("brand", Operator.EQUAL, "b1")


@pytest.fixture
async def made(record: Record) -> Generation:
    """Return six products of one photo each, of two brands; the engine has none of them."""
    found = await record.create_generation(generation())
    await record.write(
        "default",
        [write(f"p{n}", photo, brand=f"b{n % 2}") for n, photo in enumerate(PHOTOS)],
    )
    await record.save_vectors(found, vectors(*PHOTOS))
    return found


@dataclass
class Tick:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


async def products(copy: RecordCopy | None) -> set[str]:
    """Return the products of all rows that it compares."""
    assert copy is not None
    found = await copy.look([vector_of(b"0")], VectorMetric.COSINE, 1_000)
    assert found.complete
    return {hit.product_id for hit in found.hits}


async def seq_of(record: Record, made: Generation) -> int:
    return (await record.freshness(made)).head


async def test_every_row_is_there_though_the_engine_holds_none(
    made: Generation, record: Record
) -> None:
    copy = await RecordFallback(record, Columns(record, patience=None)).rows(made, All(), 0)
    assert await products(copy) == {f"p{n}" for n in range(6)}
    assert copy is not None
    head = await seq_of(record, made)
    assert (copy.freshness.seq, copy.freshness.oldest_open) == (head, 0)
    assert (await record.freshness(made)).seq < head
    found = await copy.look([vector_of(b"3")], VectorMetric.COSINE, 2)
    assert (found.hits[0].product_id, found.complete, len(found.hits)) == ("p3", False, 2)
    assert (await copy.look([vector_of(b"3")], VectorMetric.COSINE, 6)).complete


@pytest.mark.parametrize("most", [0, 5])
async def test_too_many_rows_are_reported(most: int, made: Generation, record: Record) -> None:
    with pytest.raises(IndexUnavailable):
        await RecordFallback(record, Columns(record, patience=None), most).rows(made, All(), 0)


async def test_what_grows_beyond_its_bound_while_it_is_held_is_reported(
    made: Generation, record: Record
) -> None:
    clock = Tick()
    standin = RecordFallback(record, Columns(record, clock=clock, patience=None), 6)
    assert len(await products(await standin.rows(made, All(), 0))) == 6
    await record.write("default", [write("new", b"new")])
    await record.save_vectors(made, vectors(b"new"))
    with pytest.raises(IndexUnavailable):
        await standin.rows(made, All(), 0)
    await record.delete("default", ["p0"])
    clock.now += COUNT_SECONDS  # it is not counted for every search
    assert len(await products(await standin.rows(made, All(), 0))) == 6


@pytest.mark.parametrize("most", [0, 100])
async def test_a_filter_with_an_index_leaves_few_of_any_number(
    most: int, made: Generation, record: Record
) -> None:
    copy = await RecordFallback(record, Columns(record, patience=None), most).rows(made, FIRST, 0)
    assert await products(copy) == {"p1", "p3", "p5"}


async def test_vectors_of_products_stand_in_too(record: Record) -> None:
    made = await record.create_generation(
        generation(name="given", space="collaborative", of_products=True, active=False)
    )
    await record.write("default", [write("a", brand="b1"), write("b", brand="b0")])
    writes = [VectorWrite("", vector_of(name.encode()), name) for name in ("a", "b")]
    await record.save_vectors(made, writes)
    copy = await RecordFallback(record, Columns(record, patience=None)).rows(made, FIRST, 0)
    assert await products(copy) == {"a"}
    assert await products(
        await RecordFallback(record, Columns(record, patience=None)).rows(made, All(), 0)
    ) == {"a", "b"}


async def test_a_write_that_waits_for_its_vector_is_not_claimed_to_be_held(
    made: Generation, record: Record
) -> None:
    standin = RecordFallback(record, Columns(record, patience=None))
    _, seq = await record.write("default", [write("new", b"new")])
    assert await standin.rows(made, All(), seq) is None
    before = await standin.rows(made, All(), 0)
    assert before is not None
    assert before.freshness.seq < seq
    await record.save_vectors(made, vectors(b"new"))
    assert "new" in await products(await standin.rows(made, All(), seq))


async def test_no_row_is_older_than_the_search(made: Generation, record: Record) -> None:
    standin = RecordFallback(record, Columns(record, patience=None))
    assert "p0" in await products(await standin.rows(made, All(), 0))
    await record.delete("default", ["p0"])
    assert await products(await standin.rows(made, All(), 0)) == {f"p{n}" for n in range(1, 6)}
    await record.write("default", [write("p1", b"2", brand="b1")])  # another photo
    copy = await standin.rows(made, All(), 0)
    assert copy is not None
    nearest = await copy.look([vector_of(b"2")], VectorMetric.COSINE, 2)
    assert {hit.product_id for hit in nearest.hits} == {"p1", "p2"}
    far = await copy.look([vector_of(b"1")], VectorMetric.COSINE, 1)
    assert far.hits[0].similarity < 0.999, "its former photo speaks for it no more"


class Counted(Record):
    """Record that counts its reads of all rows."""

    readings = 0
    counts = 0

    async def row_count(self, made: Generation, most: int | None = None) -> int:
        self.counts += 1
        return await super().row_count(made, most)

    async def photo_rows(
        self, made: Generation, product_ids: Sequence[str] | None
    ) -> list[PhotoRow]:
        self.readings += product_ids is None
        return await super().photo_rows(made, product_ids)


async def test_searches_at_once_read_once_and_one_that_gives_up_ends_no_other(
    made: Generation, record: Record
) -> None:
    counted = Counted(record._db)
    standin = RecordFallback(counted, Columns(counted, patience=None))
    impatient = asyncio.create_task(standin.rows(made, All(), 0))
    others = [asyncio.create_task(standin.rows(made, All(), 0)) for _ in range(5)]
    while not counted.readings:  # noqa: ASYNC110
        await asyncio.sleep(0)
    before = counted.readings
    impatient.cancel()
    found = await asyncio.gather(*others)
    assert [len(await products(copy)) for copy in found] == [6] * 5
    assert before == 1
    assert counted.readings <= 2, "the one that read may have been the one that gave up"
    await standin.rows(made, All(), 0)
    assert counted.readings <= 2


async def test_one_reading_serves_all_that_look_at_once(made: Generation, record: Record) -> None:
    counted = Counted(record._db)
    standin = RecordFallback(counted, Columns(counted, patience=None))
    await asyncio.gather(*(standin.rows(made, All(), 0) for _ in range(5)))
    assert counted.readings == 1


async def test_that_it_is_too_large_is_not_counted_for_every_search(
    made: Generation, record: Record
) -> None:
    counted = Counted(record._db)
    standin = RecordFallback(counted, Columns(counted, patience=None), 5)
    for _ in range(3):
        with pytest.raises(IndexUnavailable):
            await standin.rows(made, All(), 0)
    assert (counted.counts, counted.readings) == (1, 0)


async def test_rows_that_take_long_to_read_are_waited_for(made: Generation, record: Record) -> None:
    """Check the wait: no other fallback answers, and the caller sets the deadline."""

    class Slow(Record):
        async def photo_rows(
            self, made: Generation, product_ids: Sequence[str] | None
        ) -> list[PhotoRow]:
            await asyncio.sleep(0.1)
            return await super().photo_rows(made, product_ids)

    slow = Slow(record._db)
    copy = await RecordFallback(slow, Columns(slow, patience=0.001)).rows(made, All(), 0)
    assert len(await products(copy)) == 6


async def test_a_smaller_bound_drops_nothing_that_searches_compare_with(
    made: Generation, record: Record
) -> None:
    counted = Counted(record._db)
    columns = Columns(counted, patience=None)
    assert await columns.vectors(made) is not None
    with pytest.raises(IndexUnavailable):
        await RecordFallback(counted, columns, most=5).rows(made, All(), 0)
    assert await columns.vectors(made) is not None
    assert counted.readings == 1


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 3),
    st.integers(1, 80),
    st.sampled_from(list(VectorMetric)),
    st.integers(0, 2**32 - 1),
)
def test_the_best_rows_are_those_of_a_whole_comparison(
    count: int, queries: int, limit: int, metric: VectorMetric, seed: int
) -> None:
    random = np.random.default_rng(seed)
    held: Floats = random.standard_normal((count, DIMENSION)).astype(np.float32)
    asked: Sequence[Floats] = list(random.standard_normal((queries, DIMENSION)).astype(np.float32))
    rows = Vectors(generation(parameters=IndexParameters(metric=metric)))
    for place in range(count):
        row = PhotoRow(f"r{place}", f"p{place}", "", 0, 1)
        rows.put(place, [row], {row.row_id: held[place]})
    for place in range(0, count, 3):
        rows.remove(place)
    left = [place for place in range(count) if place % 3]
    copy = RecordCopy(rows, Freshness(0, 0, 0, 0, 0))
    found: list[Hit] = asyncio.run(copy.look(asked, metric, limit)).hits
    exact = MatchingRows([(f"r{n}", f"p{n}", "") for n in left], held[left])
    whole = compare(exact, asked, metric)[:limit]
    assert len(found) == min(limit, len(left))
    assert [hit.similarity for hit in found] == pytest.approx(
        [hit.similarity for hit in whole], rel=1e-4, abs=1e-4
    )
