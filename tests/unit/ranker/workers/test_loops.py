"""A loop looks again and again until it is stopped, whatever a look ends with."""

import asyncio

from ranker.workers.loops import repeat
from servicekit.sql import StoreBusy
from tests.waiting import SECONDS


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
