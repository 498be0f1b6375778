"""Long steps of the worker's loops are reported."""

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
from servicekit.liveness import LIVENESS, SILENT_SECONDS
from servicekit.tasks.loops import Loop
from tests.fakes.kit_clock import Seconds
from tests.fakes.ranker import NOW


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    """Return the clock of a liveness monitor without other loops."""
    made = Seconds()
    monkeypatch.setattr(LIVENESS, "_clock", made)
    monkeypatch.setattr(LIVENESS, "_due", {})
    return made


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

    await Loop("not looked", lambda: look(slow, stop), alive=loop).run(stop)
    assert (batches, missed) == (3, [])
