"""What hands out permits, turns and shared values is as before after each cancelled call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from servicekit.admission.fair_permits import FairSemaphore, Party
from servicekit.admission.fair_turns import FairTurns
from servicekit.admission.memory_budget import ByteBudget
from servicekit.rpc import equal_calls
from servicekit.tasks.off_loop import off_loop
from servicekit.tasks.refreshed import Refreshed, RefreshRules
from servicekit.tasks.turns import Turns
from tests.cancelling import cancelled_at_each_await

Call = Callable[[], Coroutine[Any, Any, None]]


async def contended(call: Call) -> None:
    """Make a call while another one holds what it needs, and a third waits behind it."""
    others = [asyncio.create_task(call()) for _ in range(2)]
    await asyncio.sleep(0)
    try:
        await call()
    finally:
        await asyncio.gather(*others)


async def check(call: Call, free: Callable[[], bool]) -> None:
    await call()
    assert free()


async def some_work() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def fair_semaphore() -> tuple[Call, Callable[[], bool]]:
    permits = FairSemaphore(1, memory=8)

    async def call() -> None:
        permit = await permits.acquire(Party("a", "b"), 0, 8)
        try:
            await some_work()
        finally:
            permits.release(permit, 0.1)

    return call, lambda: permits._free == 1 and permits._free_memory == 8 and not permits._waiting


def fair_turns() -> tuple[Call, Callable[[], bool]]:
    turns = FairTurns(1, 1)

    async def call() -> None:
        turn = await turns.take("a")
        try:
            await some_work()
        finally:
            turn.leave()

    return call, lambda: turns._permits._free == 1


def urgent_turns() -> tuple[Call, Callable[[], bool]]:
    turns = Turns()

    async def call() -> None:
        await turns.take(1)
        held = True
        try:
            await some_work()
            held = False
            await turns.pass_on(1)
            held = True
        finally:
            if held:
                turns.give_back()

    return call, lambda: turns.idle and not turns._waiting


def byte_budget() -> tuple[Call, Callable[[], bool]]:
    budget = ByteBudget(8)

    async def call() -> None:
        async with budget.reserve("a", 4):
            await some_work()

    return call, lambda: budget.free == 8 and not budget._waiting and not budget._held


def newest_turns() -> tuple[Call, Callable[[], bool]]:
    turns = Turns(3)

    async def call() -> None:
        async with turns.turn() as granted:
            assert granted
            await some_work()

    return call, lambda: turns.idle and not turns._waiting


def equal() -> tuple[Call, Callable[[], bool]]:
    async def ask() -> int:
        await some_work()
        return 1

    async def call() -> None:
        assert await equal_calls.once("m", StringValue(value="a"), ask) == 1

    return call, lambda: True


def threads() -> tuple[Call, Callable[[], bool]]:
    def work() -> Any:
        yield from (None for _ in range(10))
        return 1

    async def call() -> None:
        assert await off_loop(10**6, work()) == 1

    return call, lambda: True


def refreshed() -> tuple[Call, Callable[[], bool]]:
    values = Refreshed[str, int]("some", RefreshRules(fresh=9.0, again=9.0, longest=9.0))

    async def read() -> int:
        await some_work()
        return 1

    async def call() -> None:
        assert await values.get("a", read, anew=True) == 1

    return call, lambda: values.peek("a") == 1


PRIMITIVES = {
    "equal_calls.once": equal,
    "fair_permits.FairSemaphore": fair_semaphore,
    "fair_turns.FairTurns": fair_turns,
    "memory_budget.ByteBudget": byte_budget,
    "off_loop.off_loop": threads,
    "refreshed.Refreshed": refreshed,
    "turns.Turns": newest_turns,
    "turns.Turns.pass_on": urgent_turns,
}
"""What holds something for a call, by module and name; see tests/contracts/test_cancellation.py."""


@pytest.mark.parametrize("made", PRIMITIVES.values(), ids=PRIMITIVES)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "contended"])
@pytest.mark.parametrize("late", [False, True], ids=["", "as it is granted"])
async def test_a_call_that_is_cancelled_at_any_await_holds_nothing(
    made: Callable[[], tuple[Call, Callable[[], bool]]], alone: bool, late: bool
) -> None:
    with equal_calls.shared():
        call, free = made()
        awaits = await cancelled_at_each_await(
            call if alone else lambda: contended(call), lambda: check(call, free), late=late
        )
    assert awaits > 0


async def test_a_permit_that_is_not_given_back_is_found() -> None:
    turns = Turns()

    async def careless() -> None:
        await turns.take()
        await asyncio.sleep(0)
        turns.give_back()

    async def look() -> None:
        assert turns.idle

    with pytest.raises(AssertionError):
        await cancelled_at_each_await(careless, look)
