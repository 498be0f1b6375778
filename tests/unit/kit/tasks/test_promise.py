"""Promises: an outcome that comes late fails nobody."""

import asyncio
from contextlib import suppress

import pytest

from servicekit.tasks.promise import Promise
from tests.freed import freed


async def test_the_first_outcome_counts() -> None:
    promise = Promise[int]()
    assert promise.given is None
    assert not promise.over
    assert promise.keep(1)
    assert not promise.keep(2)
    assert not promise.fail(ValueError())
    assert promise.given == await promise.value() == 1


async def test_an_outcome_after_a_cancellation_is_ignored() -> None:
    promise = Promise[int]()
    waiting = asyncio.create_task(promise.value())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert promise.over
    assert not promise.keep(1)
    assert promise.given is None


async def test_a_value_that_was_given_as_its_call_was_cancelled_is_known() -> None:
    promise = Promise[int]()
    waiting = asyncio.create_task(promise.value())
    await asyncio.sleep(0)
    assert promise.keep(1)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert promise.given == 1


async def test_a_value_outlasts_a_cancelled_call_that_shares_it() -> None:
    promise = Promise[int]()
    first, second = (asyncio.create_task(promise.shared()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    promise.keep(3)
    assert await second == 3


async def test_an_error_is_raised() -> None:
    promise = Promise[int]()
    assert promise.fail(ValueError("no"))
    assert promise.given is None
    with pytest.raises(ValueError, match="no"):
        await promise.value()
    assert promise.over
    assert not promise.keep(2)


async def test_an_error_that_was_raised_frees_what_its_frames_held() -> None:
    async def get(promise: Promise[int]) -> None:
        _held = hold()
        await promise.value()

    with freed() as hold:
        promise = Promise[int]()
        promise.fail(ValueError("no"))
        with suppress(ValueError):
            await get(promise)
