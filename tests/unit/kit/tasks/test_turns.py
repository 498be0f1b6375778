"""Turns of the newest calls, also when calls are cancelled."""

import asyncio
from collections.abc import Sequence

import pytest

from servicekit.tasks.turns import Turns


class Call:
    """A call that holds its turn until it may leave."""

    def __init__(self, turns: Turns) -> None:
        self.leave = asyncio.Event()
        self.granted: bool | None = None
        self.task = asyncio.create_task(self._run(turns))

    async def _run(self, turns: Turns) -> None:
        async with turns.turn() as self.granted:
            if self.granted:
                await self.leave.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def granted(calls: Sequence[Call]) -> list[bool | None]:
    return [call.granted for call in calls]


async def test_older_calls_are_dropped_while_one_has_the_turn() -> None:
    turns = Turns(2)
    calls = [Call(turns) for _ in range(5)]
    await settle()
    assert granted(calls) == [True, False, False, None, None]
    for call in (calls[0], calls[3], calls[4]):
        call.leave.set()
        await call.task
    assert granted(calls) == [True, False, False, True, True]
    assert turns.idle


async def test_a_call_that_arrives_as_others_are_cancelled_blocks_nothing() -> None:
    turns = Turns(2)
    first, second, third = (Call(turns) for _ in range(3))
    await settle()
    go = asyncio.Event()

    async def arrive() -> None:
        await go.wait()
        async with turns.turn() as found:
            assert found

    fourth = asyncio.create_task(arrive())
    await settle()
    go.set()  # schedules the new call first
    second.task.cancel()  # and then the cancelled one, in the same turn of the loop
    await settle()
    for call in (first, third):
        call.leave.set()
    await asyncio.wait({first.task, second.task, third.task})
    await fourth
    assert turns.idle


@pytest.mark.parametrize("cancelled", range(1, 32))
async def test_cancelled_calls_give_their_turn_back(cancelled: int) -> None:
    """Every set of five calls is cancelled in the turn in which the first one ends."""
    turns = Turns(3)
    calls = [Call(turns) for _ in range(5)]
    await settle()
    for number, call in enumerate(calls):
        call.leave.set()
        if cancelled >> number & 1:
            call.task.cancel()
    await asyncio.wait({call.task for call in calls})
    last = Call(turns)
    await settle()
    assert last.granted
    last.leave.set()
    await last.task
    assert turns.idle
