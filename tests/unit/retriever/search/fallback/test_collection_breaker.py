"""The breaker that decides whether the engine is lost, on a real record and an engine in memory."""

from __future__ import annotations

import asyncio

import pytest

from retriever.domain.errors import CollectionAbsent, CollectionReleased, IndexUnavailable
from retriever.domain.generation import Generation
from retriever.record import Record
from retriever.search.fallback.collection_breaker import CollectionBreaker, reach
from sightline_rules.filters import All
from tests.fakes.index import DIMENSION, FakeIndex
from tests.unit.retriever.conftest import generation
from tests.waiting import SECONDS, until


@pytest.fixture
def index() -> FakeIndex:
    return FakeIndex()


@pytest.fixture
async def made(record: Record, index: FakeIndex) -> Generation:
    found = await record.create_generation(generation())
    await index.create(found.collection, DIMENSION)
    await record.mark(found, check_wanted=False)
    return found


@pytest.fixture
def breaker(record: Record, index: FakeIndex) -> CollectionBreaker:
    """Return a breaker that does not wait."""
    return CollectionBreaker(record, index, patience=0.05, pause=0.001)


async def count(
    breaker: CollectionBreaker, made: Generation, index: FakeIndex, seconds: float = SECONDS
) -> int:
    return await breaker.call(made, seconds, lambda: index.count(made.collection))


@pytest.mark.parametrize("how", ["down", "hung"])
async def test_an_engine_that_does_not_answer_is_lost_until_it_does(
    how: str, made: Generation, breaker: CollectionBreaker, index: FakeIndex
) -> None:
    assert await count(breaker, made, index) == 0
    assert not breaker.lost(made)
    setattr(index, how, True)
    with pytest.raises(IndexUnavailable):
        await count(breaker, made, index, 0.05)
    await until(lambda: breaker.lost(made))
    setattr(index, how, False)
    await until(lambda: not breaker.lost(made))
    assert await count(breaker, made, index) == 0


async def test_a_call_that_was_given_too_little_time_proves_nothing(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    breaker = CollectionBreaker(record, index, patience=SECONDS, pause=0.001)

    async def slow() -> int:
        await asyncio.sleep(0.5)
        return 1

    with pytest.raises(IndexUnavailable):
        await breaker.call(made, 0.001, slow)
    for _ in range(20):
        assert not breaker.lost(made)
        await asyncio.sleep(0.001)
    assert len(index.limits) == 1, "the engine was not asked"


async def test_a_lost_engine_is_not_called(
    made: Generation, breaker: CollectionBreaker, index: FakeIndex
) -> None:
    index.down = True
    breaker.suspect(made)
    await until(lambda: breaker.lost(made))
    asked = []

    async def ask() -> None:
        asked.append(1)

    with pytest.raises(IndexUnavailable):
        await breaker.call(made, None, ask)
    assert not asked


async def test_one_collection_is_no_proof_against_others(
    made: Generation, breaker: CollectionBreaker, record: Record, index: FakeIndex
) -> None:
    other = await record.create_generation(
        generation(name="other", collection="other_s2", active=False)
    )
    breaker.suspect(other)
    await until(lambda: breaker.lost(other))
    assert await count(breaker, made, index) == 0
    assert not breaker.lost(made)


async def test_a_probe_loads_what_a_restart_left_out_of_memory(
    made: Generation, breaker: CollectionBreaker, record: Record, index: FakeIndex
) -> None:
    index.down = True
    breaker.suspect(made)
    await until(lambda: breaker.lost(made))
    index.restart()
    index.down = False
    await until(lambda: not breaker.lost(made))
    assert made.collection in index.loaded
    found = await record.generation("default", "visual")
    assert found is not None
    assert found.check_wanted


async def test_a_dropped_generation_is_probed_no_more(
    made: Generation, breaker: CollectionBreaker, record: Record, index: FakeIndex
) -> None:
    second = await record.create_generation(
        generation(name="second", collection="second_s2", active=False)
    )
    breaker.suspect(second)
    await until(lambda: breaker.lost(second))
    await record.retire("default", "second")
    await until(lambda: not breaker.lost(second))


async def test_several_suspicions_ask_once(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    still = CollectionBreaker(record, index, pause=100)
    for _ in range(5):
        still.suspect(made)
    await until(lambda: bool(index.limits))
    await asyncio.sleep(0.01)
    still.suspect(made)
    await asyncio.sleep(0.01)
    assert len(index.limits) == 1


async def test_a_collection_that_is_gone_is_checked(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    index.rows.clear()
    with pytest.raises(IndexUnavailable):
        await reach(made, lambda: index.count(made.collection), index, record)
    found = await record.generation("default", "visual")
    assert found is not None
    assert found.check_wanted


@pytest.mark.parametrize("error", [CollectionAbsent, CollectionReleased])
async def test_a_collection_that_is_gone_when_an_empty_result_is_checked_is_lost(
    error: type[Exception],
    made: Generation,
    breaker: CollectionBreaker,
    index: FakeIndex,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def gone(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(index, "count", gone)
    with pytest.raises(IndexUnavailable):
        await breaker.found_nothing(made, All())
