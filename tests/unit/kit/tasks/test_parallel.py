"""Calls of a request that are made in parallel."""

import asyncio
from contextlib import suppress

import pytest

from servicekit.errors import ServiceError, Unavailable
from servicekit.tasks.parallel import first_alone, in_parallel
from tests.freed import freed


async def test_the_first_error_cancels_what_runs_beside_it():
    cancelled = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def bad() -> None:
        await asyncio.sleep(0)
        raise KeyError("bad")

    with pytest.raises(KeyError):
        await in_parallel(slow(), bad())
    assert cancelled.is_set()


async def test_an_error_of_a_job_frees_what_the_jobs_held():
    async def fail() -> None:
        _held = hold()
        raise KeyError

    with freed() as hold:
        with suppress(KeyError):
            await in_parallel(in_parallel(fail(), fail()), asyncio.sleep(1))
        await asyncio.sleep(0)


async def test_the_first_call_is_made_alone_and_few_others_at_once() -> None:
    running, most = [0], list[int]()

    async def call(item: int) -> int:
        running[0] += 1
        most.append(running[0])
        await asyncio.sleep(0)
        running[0] -= 1
        return 10 * item

    assert await first_alone(range(7), call, 3) == [0, 10, 20, 30, 40, 50, 60]
    assert most[:2] == [1, 1]
    assert max(most) == 3
    assert await first_alone([], call, 3) == []


async def test_a_call_that_fails_costs_its_item_alone_and_the_first_one_all() -> None:
    asked = list[int]()

    async def call(item: int) -> int:
        asked.append(item)
        if item == broken:
            raise Unavailable("no", reason="INDEX_UNAVAILABLE")
        return item

    for broken, calls in ((2, 4), (0, 1)):
        asked.clear()
        found = await first_alone(range(4), call, 2)
        failed = [isinstance(each, ServiceError) for each in found]
        assert failed == ([False, False, True, False] if broken else [True] * 4)
        assert len(asked) == calls


async def test_an_error_that_is_none_of_the_services_is_raised() -> None:
    async def call(item: int) -> int:
        return 1 // item

    with pytest.raises(ZeroDivisionError):
        await first_alone([1, 0], call, 2)
