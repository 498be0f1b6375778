"""The record in the engine's place: real SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retriever.model import Floats, Freshness, Generation, IndexUnavailable, Metric, VectorWrite
from retriever.nearest import compare
from retriever.planning import Survivors
from retriever.record import Record
from retriever.standin import OLDEST_SECONDS, RENEW_SECONDS, Copy, Standin, best
from sightline_rules.filters import All, Comparison, Operator
from tests.fakes.index import DIMENSION, vector_of
from tests.unit.retriever.conftest import generation, vectors, write
from tests.waiting import SECONDS

PHOTOS = [b"%d" % n for n in range(6)]
FIRST = Comparison("brand", Operator.EQUAL, "b1")


@pytest.fixture
async def made(record: Record) -> Generation:
    """Six products of a photo each, of two brands; the engine holds none of them."""
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


def products(copy: Copy | None) -> set[str]:
    assert copy is not None
    return {product_id for _, product_id, _ in copy.rows.keys}


async def seq_of(record: Record, made: Generation) -> int:
    return (await record.freshness(made)).head


async def test_every_row_is_there_though_the_engine_holds_none(
    made: Generation, record: Record
) -> None:
    copy = await Standin(record).rows(made, All(), 0)
    assert products(copy) == {f"p{n}" for n in range(6)}
    assert copy is not None
    head = await seq_of(record, made)
    assert (copy.freshness.seq, copy.freshness.oldest_open) == (head, 0)
    assert (await record.freshness(made)).seq < head
    haul = await copy.look([vector_of(b"3")], Metric.COSINE, 2)
    assert (haul.hits[0].product_id, haul.complete, len(haul.hits)) == ("p3", False, 2)
    assert (await copy.look([vector_of(b"3")], Metric.COSINE, 6)).complete


@pytest.mark.parametrize("most", [0, 5])
async def test_too_many_rows_are_told(most: int, made: Generation, record: Record) -> None:
    with pytest.raises(IndexUnavailable):
        await Standin(record, most).rows(made, All(), 0)


@pytest.mark.parametrize("most", [0, 100])
async def test_a_filter_with_an_index_leaves_few_of_any_number(
    most: int, made: Generation, record: Record
) -> None:
    copy = await Standin(record, most).rows(made, FIRST, 0)
    assert products(copy) == {"p1", "p3", "p5"}


async def test_vectors_of_products_stand_in_too(record: Record) -> None:
    made = await record.create_generation(
        generation(name="given", space="collaborative", of_products=True, active=False)
    )
    await record.write("default", [write("a", brand="b1"), write("b", brand="b0")])
    writes = [VectorWrite("", vector_of(name.encode()), name) for name in ("a", "b")]
    await record.save_vectors(made, writes)
    copy = await Standin(record).rows(made, FIRST, 0)
    assert products(copy) == {"a"}
    assert products(await Standin(record).rows(made, All(), 0)) == {"a", "b"}


async def test_a_write_that_waits_for_its_vector_is_not_claimed_to_be_held(
    made: Generation, record: Record
) -> None:
    standin = Standin(record)
    _, seq = await record.write("default", [write("new", b"new")])
    assert await standin.rows(made, All(), seq) is None
    before = await standin.rows(made, All(), 0)
    assert before is not None
    assert before.freshness.seq < seq
    await record.save_vectors(made, vectors(b"new"))
    assert "new" in products(await standin.rows(made, All(), seq))


async def test_what_is_held_is_read_anew_after_a_write_that_has_to_be_seen(
    made: Generation, record: Record
) -> None:
    clock = Tick()
    standin = Standin(record, clock=clock)
    first = await standin.rows(made, All(), 0)
    clock.now = 1_000
    assert await standin.rows(made, All(), 0) is first, "nothing was written"
    _, seq = await record.delete("default", ["p0"])
    clock.now += OLDEST_SECONDS
    second = await standin.rows(made, All(), 0)
    assert products(second) == {f"p{n}" for n in range(1, 6)}
    _, seq = await record.delete("default", ["p1"])
    assert await standin.rows(made, All(), 0) is second, "it is not old yet"
    assert products(await standin.rows(made, All(), seq)) == {f"p{n}" for n in range(2, 6)}


async def test_old_rows_serve_while_new_ones_are_read(made: Generation, record: Record) -> None:
    clock = Tick()
    standin = Standin(record, clock=clock)
    first = await standin.rows(made, All(), 0)
    await record.delete("default", ["p0"])
    clock.now = RENEW_SECONDS + 0.1
    assert await standin.rows(made, All(), 0) is first
    async with asyncio.timeout(SECONDS):
        while "p0" in products(await standin.rows(made, All(), 0)):  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class Counted:
    """A record whose readings of all rows are counted."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self.readings = 0

    async def all_rows(self, made: Generation, most: int) -> Survivors | None:
        self.readings += 1
        return await self._record.all_rows(made, most)

    async def freshness(self, made: Generation) -> Freshness:
        return await self._record.freshness(made)


async def test_searches_at_once_read_once_and_one_that_gives_up_ends_no_other(
    made: Generation, record: Record
) -> None:
    counted = Counted(record)
    standin = Standin(counted)  # type: ignore[arg-type]
    impatient = asyncio.create_task(standin.rows(made, All(), 0))
    others = [asyncio.create_task(standin.rows(made, All(), 0)) for _ in range(5)]
    while not counted.readings:  # noqa: ASYNC110
        await asyncio.sleep(0)
    impatient.cancel()
    found = await asyncio.gather(*others)
    assert all(len(products(copy)) == 6 for copy in found)
    assert counted.readings == 1
    standin.forget(made)
    await standin.rows(made, All(), 0)
    assert counted.readings == 2


async def test_that_it_is_too_large_is_not_counted_for_every_search(
    made: Generation, record: Record
) -> None:
    counted = Counted(record)
    standin = Standin(counted, 5)  # type: ignore[arg-type]
    for _ in range(3):
        with pytest.raises(IndexUnavailable):
            await standin.rows(made, All(), 0)
    assert counted.readings == 1


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 3),
    st.integers(1, 80),
    st.sampled_from(list(Metric)),
    st.integers(0, 2**32 - 1),
)
def test_the_best_rows_are_those_of_a_whole_comparison(
    count: int, queries: int, limit: int, metric: Metric, seed: int
) -> None:
    random = np.random.default_rng(seed)
    held: Floats = random.standard_normal((count, DIMENSION)).astype(np.float32)
    asked: Sequence[Floats] = list(random.standard_normal((queries, DIMENSION)).astype(np.float32))
    rows = Survivors([(f"r{n}", f"p{n}", "") for n in range(count)], held)
    lengths = np.linalg.norm(held, axis=1).astype(np.float32)
    copy = Copy(rows, lengths, Freshness(0, 0, 0, 0, 0))
    found = compare(best(copy, asked, metric, limit), asked, metric)
    whole = compare(rows, asked, metric)[:limit]
    assert [hit.similarity for hit in found] == pytest.approx(
        [hit.similarity for hit in whole], rel=1e-4, abs=1e-4
    )
