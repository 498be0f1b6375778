"""A loop repeats until it is stopped, whatever the result of a call."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from ranker.domain.events import EventType
from ranker.events import event_retention
from ranker.events.event_retention import SWEEPING, Sweeper
from ranker.record.counting import BATCH
from ranker.workers import counting
from ranker.workers.counting import COUNTING, GROUPING, Grouper, count
from ranker.workers.landing import LANDING, Landing
from ranker.workers.loops import repeat
from servicekit.liveness import LIVENESS, SILENT_SECONDS
from servicekit.sql.database import StoreBusy
from tests.fakes.kit_clock import Seconds
from tests.fakes.ranker import NOW
from tests.waiting import SECONDS, until

QUIET_SECONDS = 0.2


async def test_a_look_that_fails_ends_nothing() -> None:
    stop, looks = asyncio.Event(), 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 4:
            stop.set()
        raise StoreBusy if looks % 2 else RuntimeError("a mistake of ours")

    await asyncio.wait_for(repeat(look, 0.01, stop, "not looked"), SECONDS)
    assert looks == 4


async def test_a_loop_that_is_stopped_already_does_not_look() -> None:
    stop = asyncio.Event()
    stop.set()

    async def look() -> None:
        raise AssertionError

    await repeat(look, SECONDS, stop, "not looked")


async def test_a_stop_ends_the_pause() -> None:
    stop = asyncio.Event()

    async def look() -> None:
        asyncio.get_running_loop().call_later(0.01, stop.set)

    await asyncio.wait_for(repeat(look, 1e6, stop, "not looked"), SECONDS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    """Return the clock of a liveness monitor without other loops."""
    made = Seconds()
    monkeypatch.setattr(LIVENESS, "_clock", made)
    monkeypatch.setattr(LIVENESS, "_due", {})
    return made


async def test_a_loop_that_hangs_is_missed_and_one_that_pauses_is_not(clock: Seconds) -> None:
    stop, hangs = asyncio.Event(), False

    async def look() -> None:
        if hangs:
            await asyncio.Event().wait()

    paused = asyncio.create_task(repeat(look, 3600, stop, "not looked", "loop"))
    await until(lambda: "loop" in LIVENESS._due)
    clock.now += 3600
    assert LIVENESS.overdue() == []
    stop.set()
    await paused
    clock.now += 3600
    assert LIVENESS.overdue() == [], "it ended"
    stop.clear()
    hangs = True
    hung = asyncio.create_task(repeat(look, 3600, stop, "not looked", "loop"))
    await until(lambda: "loop" in LIVENESS._due)
    clock.now += SILENT_SECONDS + 1
    assert LIVENESS.overdue() == ["loop"]
    hung.cancel()


Slow = Callable[[int], Coroutine[Any, Any, int]]


def counts(slow: Slow, stop: asyncio.Event) -> Awaitable[None]:
    async def fold(_: object) -> object:
        return Mock(units=await slow(BATCH), oldest_micros=NOW)

    return count(Mock(read=AsyncMock(return_value=True), write=fold), Mock(), stop)


async def groups(slow: Slow, _: asyncio.Event) -> None:
    async def due(*_: object) -> list[str]:
        return ["p"] * await slow(counting.PRODUCTS)

    products = AsyncMock(return_value={})
    record = Mock(catalogs_due=AsyncMock(return_value=["default"]), due=due, keep=AsyncMock())
    await Grouper(record, ("default",), products, 1).look()


async def sweeps(slow: Slow, stop: asyncio.Event) -> None:
    async def expire(*_: object) -> int:
        return await slow(event_retention.BATCH)

    nothing = AsyncMock(return_value=0)
    await Sweeper(("default",), {EventType.VIEW: 1}, expire, nothing, lambda: NOW).sweep(stop)


async def lands(slow: Slow, stop: asyncio.Event) -> None:
    class Log(Mock):
        def next(self, *_: object) -> list[object]:
            asyncio.run(slow(1))
            return []

    await Landing(Log(), AsyncMock(), lambda: NOW, lambda *_: None).run(stop)


@pytest.mark.parametrize(
    ("loop", "look"),
    [(COUNTING, counts), (GROUPING, groups), (SWEEPING, sweeps), (LANDING, lands)],
    ids=["counting", "grouping", "retention", "landing"],
)
async def test_a_look_that_takes_long_is_heard_of_at_each_batch(
    clock: Seconds, loop: str, look: Callable[[Slow, asyncio.Event], Awaitable[None]]
) -> None:
    """Process many batches, each of which takes nearly as long as a loop may be silent."""
    stop, batches, missed = asyncio.Event(), 0, list[str]()

    async def slow(batch: int) -> int:
        nonlocal batches
        batches += 1
        clock.now += SILENT_SECONDS - 1
        missed.extend(LIVENESS.overdue())
        if batches == 3:
            stop.set()
        return 0 if batches == 3 else batch

    await repeat(lambda: look(slow, stop), 0, stop, "not looked", loop)
    assert (batches, missed) == (3, [])


async def test_a_look_follows_a_commit_and_an_unchanged_record_is_left_alone() -> None:
    stop, commits, looks = asyncio.Event(), asyncio.Event(), asyncio.Queue[int]()

    async def look() -> None:
        looks.put_nowait(1)

    loop = asyncio.create_task(repeat(look, 0, stop, "not looked", commits=commits))
    await looks.get()
    for _ in range(3):
        commits.set()
        async with asyncio.timeout(SECONDS):
            await looks.get()
    await asyncio.sleep(QUIET_SECONDS)
    assert looks.empty()
    stop.set()
    await loop


async def test_work_that_becomes_due_with_time_is_looked_for_without_a_commit() -> None:
    stop, looks = asyncio.Event(), list[int]()

    async def look() -> None:
        looks.append(1)
        if len(looks) == 3:
            stop.set()

    async with asyncio.timeout(SECONDS):
        await repeat(look, 0, stop, "not looked", commits=asyncio.Event(), latest=0.01)


async def test_a_commit_during_a_look_is_looked_at_again() -> None:
    stop, commits, looks = asyncio.Event(), asyncio.Event(), list[int]()

    async def look() -> None:
        looks.append(1)
        commits.set()
        if len(looks) == 2:
            stop.set()

    async with asyncio.timeout(SECONDS):
        await repeat(look, 0, stop, "not looked", commits=commits)


async def test_a_busy_record_is_looked_at_no_more_often_than_one_that_reports_no_commits() -> None:
    stop, commits, looks = asyncio.Event(), asyncio.Event(), list[int]()

    async def look() -> None:
        looks.append(1)
        commits.set()

    loop = asyncio.create_task(repeat(look, 3_600, stop, "not looked", commits=commits))
    await asyncio.sleep(QUIET_SECONDS)
    stop.set()
    await loop
    assert len(looks) == 1


async def test_a_look_that_failed_is_repeated_without_a_commit() -> None:
    stop, looks = asyncio.Event(), list[int]()

    async def look() -> None:
        looks.append(1)
        if len(looks) == 1:
            raise StoreBusy
        stop.set()

    async with asyncio.timeout(SECONDS):
        await repeat(look, 0, stop, "not looked", commits=asyncio.Event())
    assert len(looks) == 2
