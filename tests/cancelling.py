"""Calls that are cancelled at each of their awaits in turn."""

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

MOST = 200
"""Awaits of a call at most."""


@types.coroutine
def _counted(work: Coroutine[Any, Any, Any], at: int, found: list[int]) -> Generator[Any, Any, Any]:
    """Run a coroutine, and cancel its task at its await number `at`."""
    step: Callable[[], Any] = lambda: work.send(None)  # noqa: E731
    while True:
        try:
            awaited = step()
        except StopIteration as ended:
            return ended.value
        found[0] += 1
        if found[0] == at:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        try:
            yield awaited
            step = lambda: work.send(None)  # noqa: E731
        except BaseException as error:
            step = lambda error=error: work.throw(error)  # type: ignore[misc] # noqa: E731


async def cancelled_at_each_await(
    call: Callable[[], Coroutine[Any, Any, Any]],
    check: Callable[[], Awaitable[None]],
    most: int = MOST,
) -> int:
    """Make a call again and again, each time cancelled one await later, until it ends by itself.
    `check` is called after each. Return the number of awaits.

    The call may also end at the await: what was cancelled has its result already. It ends within
    `most` awaits; one that never does is cancelled at so many.
    """
    for at in range(1, most):
        found = [0]

        async def run(at: int = at, found: list[int] = found) -> None:
            await _counted(call(), at, found)

        await asyncio.wait({task := asyncio.create_task(run())})
        if not task.cancelled() and task.exception() is not None:
            await task  # raise it
        await check()
        if found[0] < at:
            return at - 1
    assert most < MOST, f"more than {MOST} awaits"
    return most
