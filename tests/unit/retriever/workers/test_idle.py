"""Calls of record and engine by an idle worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from retriever.domain.errors import EmbedderUnavailable
from retriever.indexing.lag import measure_lag
from retriever.workers import collection_loop, leader_loops
from retriever.workers.leader_loops import Loops
from retriever.workers.tasks import Tasks
from tests.unit.retriever.conftest import generation, write
from tests.unit.retriever.workers.conftest import PHOTOS, Bench
from tests.waiting import until

CATALOGS = "default", "bad", "third"


@asynccontextmanager
async def idle(bench: Bench) -> AsyncIterator[Loops]:
    """Yield loops that a test steps, of three up-to-date catalogs."""
    bench.catalogs = CATALOGS
    for name in CATALOGS:
        await bench.record.create_generation(generation(catalog_id=name, collection=f"{name}_1"))
    worker = bench.worker("one")
    assert await worker.leadership.acquire()
    async with asyncio.TaskGroup() as group:
        loops = Loops(worker, Tasks(group))
        for _ in CATALOGS:  # opened, compared, and looked at again
            await loops.indexing.step()
            await asyncio.gather(
                *(each.check for each in loops.indexing._statuses.values() if each.check)
            )
        yield loops


def counted(monkeypatch: pytest.MonkeyPatch, of: Any, name: str) -> list[Any]:
    """Record the arguments of each call in a list."""
    calls: list[Any] = []
    call: Callable[..., Any] = getattr(of, name)

    def noting(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return call(*args, **kwargs)

    monkeypatch.setattr(of, name, noting)
    return calls


async def test_an_idle_turn_asks_the_record_once_and_the_engine_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_loop, "ENGINE_LOOK_SECONDS", 60.0)
    async with idle(bench) as loops:
        reads = counted(monkeypatch, bench.db, "read")
        states = counted(monkeypatch, bench.index, "state")
        flushes = counted(monkeypatch, bench.index, "flush_holds_up")
        for _ in range(5):
            assert not await loops.indexing.step()
        assert (len(reads), states, flushes) == (5, [], [])


async def test_collections_are_looked_at_in_turn(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_loop, "ENGINE_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(collection_loop, "ENGINE_TURN_LOOKS", 30)
    async with idle(bench) as loops:
        states = counted(monkeypatch, bench.index, "state")
        for _ in range(6):
            await loops.indexing.step()
        assert len(states) == 6
        assert len(set(states[:3])) == len(set(states[3:])) == 3
        monkeypatch.setattr(collection_loop, "ENGINE_TURN_LOOKS", 1)
        states.clear()
        await loops.indexing.step()
        assert len(set(states)) == 3, "many collections: some at a time"


async def test_one_collection_shows_that_the_engine_was_started_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_loop, "ENGINE_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(collection_loop, "ENGINE_TURN_LOOKS", 30)
    async with idle(bench) as loops:
        held = set(bench.index.loaded)
        assert len(held) == 3
        bench.index.restart()
        await loops.indexing.step()
        await loops.indexing.step()  # those before the one that showed it
        assert bench.index.loaded == held


async def test_the_lag_of_many_catalogs_takes_two_reads(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with idle(bench):
        reads = counted(monkeypatch, bench.db, "read")
        await measure_lag(CATALOGS, bench.record)
        assert len(reads) == 2
        await bench.record.write("bad", [write("a", PHOTOS[0])])
        reads.clear()
        await measure_lag(CATALOGS, bench.record)
        assert len(reads) == 3, "the freshness of the one that lacks something"


async def test_outstanding_says_what_each_generation_lacks(bench: Bench) -> None:
    async with idle(bench):
        await bench.record.write("bad", [write("a", PHOTOS[0])])
        found = await bench.record.outstanding(["bad", "default"])
        assert {(each.generation.catalog_id, each.pending) for each in found} == {
            ("default", False),
            ("bad", True),
        }


async def test_a_version_that_can_not_be_embedded_is_looked_at_when_it_may_be_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests = list[float]()

    async def rested(seconds: float, until: asyncio.Event) -> None:
        rests.append(0.0 if until.is_set() else seconds)

    monkeypatch.setattr(leader_loops, "rest", rested)
    async with idle(bench) as loops:
        loops._commits = loops._commits or asyncio.Event()
        await bench.record.write("default", [write("a", PHOTOS[0])])
        for _ in range(8):  # its pause grows
            loops.embedding.failures.fail("default visual 1", EmbedderUnavailable())

        async def rested_long() -> bool:  # once the commit is noticed
            loops._wanted.clear()
            assert await loops._look()
            return rests.pop() > 1.0

        await until(rested_long)
        rests.clear()
        loops._wanted.set()  # by a commit, or another failure
        assert await loops._look()
        assert rests.pop() == 0.0
        loops.embedding.failures.succeed("default visual 1")
        assert await loops._look(), "a photo waits"
        assert rests == []


async def test_labels_are_read_only_while_no_other_work_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.settings = bench.settings.model_copy(update={"read_labels": ("*",)})
    async with idle(bench) as loops:
        readings = counted(monkeypatch, bench.embedder, "label_text")
        await bench.record.write("default", [write("a", PHOTOS[0])])
        await loops._look()
        assert not await loops._read_labels()
        assert readings == [], "a photo is to be embedded first"
        while not loops._idle:
            await loops.embedding.step()
            await loops.indexing.step()
            await loops._look()
        assert await loops._read_labels()
        assert readings == [("default", PHOTOS[0])]
