"""Calls that are cancelled at each of their awaits in turn."""

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

MOST = 200
"""Awaits of a call at most."""


class _Counted:
    """A call whose awaits are counted, with those of the tasks that it begins."""

    def __init__(self, at: int, *, late: bool) -> None:
        self.at, self.late, self.found = at, late, 0
        self._task = asyncio.current_task()

    def count(self, awaited: object) -> None:
        """Count an await; cancel the call at the one it is to be cancelled at: at once, or `late`,
        as what it awaits has its outcome but its task did not run since."""
        self.found += 1
        if self.found == self.at and self._task is not None:
            if self.late and isinstance(awaited, asyncio.Future):
                awaited.add_done_callback(lambda _: self._task and self._task.cancel())
            else:
                self._task.cancel()

    @types.coroutine
    def run(self, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Run a coroutine and count its awaits."""
        step: Callable[[], Any] = lambda: work.send(None)  # noqa: E731
        while True:
            try:
                awaited = step()
            except StopIteration as ended:
                return ended.value
            self.count(awaited)
            try:
                yield awaited
                step = lambda: work.send(None)  # noqa: E731
            except BaseException as error:
                step = lambda error=error: work.throw(error)  # type: ignore[misc] # noqa: E731


_CALL = ContextVar[_Counted | None]("counted call", default=None)


@contextmanager
def _tasks_counted() -> Iterator[None]:
    """Count the awaits of the tasks that a call begins within the block."""
    loop = asyncio.get_running_loop()

    def begin(loop: Any, work: Any, **options: Any) -> asyncio.Task[Any]:
        call = _CALL.get()
        if call is None:
            return asyncio.Task(work, loop=loop, **options)

        async def counted() -> Any:
            return await call.run(work)

        task = asyncio.Task(counted(), loop=loop, **options)
        task.add_done_callback(lambda _: work.close())  # it may have been cancelled before it began
        return task

    loop.set_task_factory(begin)
    try:
        yield
    finally:
        loop.set_task_factory(None)


async def cancelled_at_each_await(
    call: Callable[[], Coroutine[Any, Any, Any]],
    check: Callable[[], Awaitable[None]],
    most: int = MOST,
    *,
    late: bool = False,
) -> int:
    """Make a call again and again, each time cancelled one await later, until it ends by itself.
    `check` is called after each. Return the number of awaits. `late`: it is cancelled in the turn
    of the event loop in which the await ends.

    The call may also end at the await: what was cancelled has its result already. It ends within
    `most` awaits; one that never does is cancelled at so many.
    """
    for at in range(1, most):
        found = 0

        async def run(at: int = at) -> None:
            nonlocal found
            _CALL.set(counted := _Counted(at, late=late))
            try:
                await counted.run(call())
            finally:
                found = counted.found

        with _tasks_counted():
            await asyncio.wait({task := asyncio.create_task(run())})
        if not task.cancelled() and task.exception() is not None:
            await task  # raise it
        await check()
        if found < at:
            return at - 1
    assert most < MOST, f"more than {MOST} awaits"
    return most
