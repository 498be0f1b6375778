"""Searches when the engine is lost, on a real record and an engine in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from retriever.columns.column_cache import Columns
from retriever.domain.column_rows import PhotoRow
from retriever.domain.errors import IndexTokenInvalid, IndexUnavailable, StageDeadline
from retriever.domain.generation import Generation
from retriever.record import Record
from retriever.search import search, stats
from retriever.search.fallback.chain import FallbackChain
from retriever.search.fallback.collection_breaker import CollectionBreaker
from retriever.search.freshness import write_index_token
from retriever.search.query import SearchQuery
from retriever.search.search import FoundNearest
from servicekit.sql.database import Database
from sightline_rules.filters import Comparison, Operator
from tests.fakes.index import DIMENSION, FakeIndex
from tests.unit.retriever.conftest import generation, vectors, write
from tests.unit.retriever.rows import searcher
from tests.unit.retriever.search.conftest import near, stock
from tests.waiting import SECONDS, until

LOST = "exact comparison with 3 vectors of the record"


@pytest.fixture
def index() -> FakeIndex:
    return FakeIndex()


@pytest.fixture
async def made(record: Record, index: FakeIndex) -> Generation:
    """Return three products, in the engine too."""
    found = await record.create_generation(generation())
    await index.create(found.collection, DIMENSION)
    return await stock(found, record, index, {"a": [b"1"], "b": [b"2"], "c": [b"3"]})


@pytest.fixture
def fallback(record: Record, index: FakeIndex) -> FallbackChain:
    return patient(FallbackChain(record, index, columns=read_whole(record)), record, index)


def read_whole(record: Record) -> Columns:
    """Return columns that were read completely."""
    return Columns(record, patience=None)


def patient(fallback: FallbackChain, record: Record, index: FakeIndex) -> FallbackChain:
    """Return a chain whose probes do not wait."""
    fallback.breaker = CollectionBreaker(record, index, fallback.most, patience=0.05, pause=0.001)
    return fallback


async def ask(
    query: SearchQuery,
    record: Record,
    index: FakeIndex,
    fallback: FallbackChain,
    seconds: float | None = None,
) -> FoundNearest:
    return await search.search(query, searcher(record, index, fallback=fallback), lambda: seconds)


def names(answer: FoundNearest) -> list[str]:
    return answer.candidates.product_ids


async def lost(fallback: FallbackChain, made: Generation) -> None:
    async with asyncio.timeout(SECONDS):
        while not fallback.breaker.lost(made):  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_an_engine_that_answers_is_what_an_answer_rests_on(
    made: Generation, record: Record, index: FakeIndex, fallback: FallbackChain
) -> None:
    answer = await ask(near(b"2"), record, index, fallback)
    assert (names(answer)[0], answer.substitute) == ("b", "")
    assert answer.plan == "flat, 1 round, 3 rows"


@pytest.mark.parametrize("how", ["down", "hung"])
async def test_the_record_answers_the_same_when_the_engine_is_lost(
    how: str, made: Generation, record: Record, index: FakeIndex, fallback: FallbackChain
) -> None:
    before = await ask(near(b"2"), record, index, fallback)
    setattr(index, how, True)
    for _ in range(2):  # lost during the search, then known to be lost
        answer = await ask(near(b"2"), record, index, fallback, seconds=1)
        assert names(answer) == names(before)
        assert answer.substitute == LOST
        assert answer.plan == f"{LOST}, 1 round, 3 rows, the index is unavailable"
        await lost(fallback, made)


async def test_rounds_go_on_over_the_record(
    made: Generation, record: Record, index: FakeIndex, fallback: FallbackChain
) -> None:
    photos = {f"p{n:03}": [b"photo %d" % n] for n in range(120)}
    await stock(made, record, index, photos)
    await record.write(
        "default", [write(f"p{n:03}", b"photo %d" % n, tags=("few",)) for n in range(110, 120)]
    )
    index.down = True
    few = Comparison("tags", Operator.CONTAINS, "few")
    answer = await ask(near(b"x", top_k=10, condition=few), record, index, fallback)
    assert sorted(names(answer)) == [f"p{n:03}" for n in range(110, 120)]
    assert answer.plan.startswith("exact comparison with 123 vectors of the record, 2 rounds")


async def test_a_large_catalog_says_that_the_index_is_lost(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    fallback = patient(FallbackChain(record, index, 2, read_whole(record)), record, index)
    index.down = True
    with pytest.raises(IndexUnavailable):
        await ask(near(b"2"), record, index, fallback)
    branded = Comparison("brand", Operator.EQUAL, "none")
    answer = await ask(near(b"2", condition=branded), record, index, fallback)
    assert answer.substitute == "exact comparison with 0 vectors of the record"


async def test_rows_that_are_not_read_in_time_are_reported_as_the_loss_they_are(
    made: Generation, record: Record, index: FakeIndex, db: Database
) -> None:
    class Slow(Record):
        async def photo_rows(
            self, generation: Generation, product_ids: Sequence[str] | None
        ) -> list[PhotoRow]:
            await asyncio.sleep(0.2)
            return await record.photo_rows(generation, product_ids)

    slow = Slow(db)
    fallback = patient(FallbackChain(slow, index, columns=read_whole(slow)), record, index)
    index.down = True
    with pytest.raises(IndexUnavailable):
        await ask(near(b"2"), record, index, fallback, seconds=0.05)
    answer = await ask(near(b"2"), record, index, fallback, seconds=SECONDS)
    assert answer.substitute == LOST


async def test_a_write_is_seen_that_the_engine_never_got(
    made: Generation, record: Record, index: FakeIndex, fallback: FallbackChain
) -> None:
    _, seq = await record.write("default", [write("new", b"new")])
    index.down = True
    query = near(b"new", min_index_token=write_index_token("default", seq))
    with pytest.raises(StageDeadline):  # its photo has no vector
        await ask(query, record, index, fallback, seconds=0.03)
    waiting = asyncio.create_task(ask(query, record, index, fallback))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await record.save_vectors(made, vectors(b"new"))
    answer = await waiting
    assert names(answer)[0] == "new"
    assert answer.freshness.seq >= seq


async def test_a_write_that_a_live_engine_lacks_is_waited_for(
    made: Generation, record: Record, index: FakeIndex, fallback: FallbackChain
) -> None:
    _, seq = await record.delete("default", ["c"])
    query = near(b"1", min_index_token=write_index_token("default", seq))
    waiting = asyncio.create_task(ask(query, record, index, fallback))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    index.down = True
    answer = await waiting
    assert names(answer) != []
    assert "c" not in names(answer)


async def test_a_large_catalog_without_its_engine_is_not_waited_for(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    fallback = patient(FallbackChain(record, index, 1, read_whole(record)), record, index)
    _, seq = await record.delete("default", ["c"])
    index.down = True
    query = near(b"1", min_index_token=write_index_token("default", seq))
    with pytest.raises(IndexUnavailable):
        await ask(query, record, index, fallback)


async def test_an_engine_that_lost_its_data_is_not_believed_before_it_holds_all_again(
    made: Generation, record: Record, index: FakeIndex, fallback: FallbackChain
) -> None:
    (held,) = index.rows.values()
    rows = list(held.values())
    index.rows.clear()
    assert (await ask(near(b"2"), record, index, fallback)).substitute == LOST
    await lost(fallback, made)
    await index.create(made.collection, DIMENSION)  # as the worker does
    for row in rows:
        await asyncio.sleep(0.02)
        assert (await ask(near(b"2"), record, index, fallback)).substitute == LOST
        await index.upsert(made.collection, [row])
        index.behind = True
    await asyncio.sleep(0.02)
    assert (await ask(near(b"2"), record, index, fallback)).substitute == LOST
    index.behind = False
    async with asyncio.timeout(SECONDS):
        while (  # noqa: ASYNC110
            answer := await ask(near(b"2"), record, index, fallback)
        ).substitute:
            await asyncio.sleep(0.001)
    assert len(names(answer)) == 3


async def test_an_engine_that_finds_nothing_of_what_it_should_hold_is_lost(
    made: Generation, record: Record, index: FakeIndex, fallback: FallbackChain
) -> None:
    (held,) = index.rows.values()
    rows = list(held.values())
    held.clear()  # not refilled yet, and no search had failed before
    answer = await ask(near(b"2"), record, index, fallback)
    assert (answer.substitute, len(names(answer))) == (LOST, 3)
    await index.upsert(made.collection, rows)
    await until(lambda: not fallback.breaker.lost(made))
    assert not (await ask(near(b"2"), record, index, fallback)).substitute


async def test_what_the_caller_got_wrong_stays_its_own(
    made: Generation, record: Record, index: FakeIndex, fallback: FallbackChain
) -> None:
    index.down = True
    future = near(b"1", min_index_token=write_index_token("default", 10**6))
    with pytest.raises(IndexTokenInvalid):
        await ask(future, record, index, fallback)
    answer = await ask(replace(near(b"1"), vector=None, product_id="a"), record, index, fallback)
    assert sorted(names(answer)) == ["b", "c"]


async def test_counts_tell_a_hung_engine_at_once(
    made: Generation, record: Record, index: FakeIndex, fallback: FallbackChain
) -> None:
    index.hung = True
    census = await stats.count("default", "visual", record, index, seconds=0.01)
    assert census.indexed == -1
    fallback.breaker.suspect(made)
    await lost(fallback, made)
    census = await stats.count("default", "visual", record, index, breaker=fallback.breaker)
    assert (census.indexed, census.counts.products) == (-1, 3)
