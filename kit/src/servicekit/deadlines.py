"""The deadline of the current call: set by the server interceptor, read by every hop."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, TypeVar

from servicekit.errors import DeadlineExceeded

T = TypeVar("T")

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
"""time.monotonic() at which the current call ends; `None` without a deadline."""


class _Work:
    """Work in a thread."""

    __slots__ = ("abandoned",)

    def __init__(self) -> None:
        self.abandoned = False
        """True once its caller has left."""


_work: ContextVar[_Work | None] = ContextVar("work", default=None)
"""The work of the current thread; `None` outside of `in_thread`."""


def remaining() -> float | None:
    """Return the seconds left of the current call, negative once it is over; None without a
    deadline."""
    end = _deadline.get()
    return None if end is None else end - time.monotonic()


def budget(reserve: float, cap: float | None = None) -> float | None:
    """Return the timeout in seconds for a hop: what is left less `reserve`, at most `cap`.

    `reserve` is what this hop needs to report its own failure. Returns `cap` when the call has no
    deadline. Raises DeadlineExceeded (DEADLINE_EXCEEDED) when nothing would be left: a hop started
    then would fail later and with a less precise error.
    """
    if (end := _deadline.get()) is None:
        return cap
    if (left := end - time.monotonic() - reserve) <= 0:
        raise _too_late(left + reserve, reserve)
    return left if cap is None or left < cap else cap


def _too_late(left: float, reserve: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"{max(left, 0) * 1000:.0f} ms of the deadline are left, "
        f"{reserve * 1000:.0f} ms are kept back to answer",
        reason="DEADLINE_EXCEEDED",
    )


class TimeLimit:
    """Time limit of a block: as `asyncio.timeout`, in half of its calls.

    Raises TimeoutError where the block is cancelled because the limit passed, and for nothing else:
    in a task that others cancelled, before or meanwhile, CancelledError.
    """

    __slots__ = ("_expired", "_reserve", "_seconds", "_task", "_timer", "_token")

    def __init__(self, seconds: float, *, reserve: float | None = None) -> None:
        """`reserve`: the block has this deadline too, and ends at least so many seconds before that
        of its call; entering it raises DeadlineExceeded as `budget` does."""
        self._seconds, self._reserve = seconds, reserve

    def __enter__(self) -> Any:
        loop, seconds = asyncio.get_running_loop(), self._seconds
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - as asyncio.timeout, for tasks alone
        self._task, self._expired = task, False
        if (reserve := self._reserve) is not None:
            now, outer = time.monotonic(), _deadline.get()
            if outer is not None and outer - reserve - now < seconds:
                seconds = outer - reserve - now
                if seconds <= 0:
                    raise _too_late(outer - now, reserve)
            self._token = _deadline.set(now + seconds)
        self._timer = loop.call_later(seconds, self._expire)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        self._timer.cancel()
        if self._reserve is not None:
            _deadline.reset(self._token)
        if self._expired:
            is_own = self._task.uncancel() == 0
            if is_own and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()


def start(seconds: float | None) -> None:
    """Set the deadline of the current task's call; for the server interceptor.

    None: no deadline.
    """
    _deadline.set(None if seconds is None else time.monotonic() + seconds)


class within:  # noqa: N801 - read as a function
    """Runs the body with a deadline at most `seconds` from now, never later than the call's own."""

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        end, outer = time.monotonic() + self._seconds, _deadline.get()
        self._token = _deadline.set(end if outer is None or end < outer else outer)

    def __exit__(self, *_: object) -> None:
        _deadline.reset(self._token)


@contextmanager
def otherwise(seconds: float) -> Iterator[None]:
    """Run the body with a deadline `seconds` from now if the call has none."""
    if remaining() is not None:
        yield
        return
    with within(seconds):
        yield


def check() -> None:
    """Raise DeadlineExceeded once the result is abandoned: the deadline passed, or the caller left
    while the loop ran `in_thread`. Loops call it periodically."""
    left, work = remaining(), _work.get()
    if (left is not None and left <= 0) or (work is not None and work.abandoned):
        raise DeadlineExceeded(
            "the deadline passed, or the caller left", reason="DEADLINE_EXCEEDED"
        )


_threads: tuple[asyncio.AbstractEventLoop, ThreadPoolExecutor] | None = None
"""A loop, and its default threads."""


def use_threads(loop: asyncio.AbstractEventLoop, threads: ThreadPoolExecutor) -> None:
    """Set the default threads of a loop."""
    global _threads  # noqa: PLW0603 - one loop serves in a process
    loop.set_default_executor(threads)
    _threads = loop, threads


async def in_thread(work: Callable[[], T], threads: ThreadPoolExecutor | None = None) -> T:
    """Return `work()`, run in a thread (None: asyncio's own) under the call's deadline.

    When the caller is cancelled, loops in `work` stop at their next `check`.
    """
    context, current, loop = copy_context(), _Work(), asyncio.get_running_loop()
    context.run(_work.set, current)
    try:
        pool = threads or (_threads[1] if _threads is not None and _threads[0] is loop else None)
        if pool is None:
            return await loop.run_in_executor(None, context.run, work)
        return await _handed(pool.submit(context.run, work), loop)
    except asyncio.CancelledError:
        current.abandoned = True
        raise


async def _handed(submitted: Future[T], loop: asyncio.AbstractEventLoop) -> T:
    """Return the result of work in a thread: as `asyncio.wrap_future`, in a third of its calls on
    the event loop, and without those of `run_in_executor` that look at what kind of function it is.
    """
    waiting: asyncio.Future[T] = loop.create_future()
    submitted.add_done_callback(partial(_ended, loop, waiting))
    try:
        return await waiting
    except asyncio.CancelledError:
        submitted.cancel()  # unless it runs
        raise
    finally:
        # The traceback of an error has this frame. If it led back to the error, what the work held,
        # such as a cursor that locks its table, would stay until the collector runs.
        del waiting, submitted


def _ended(
    loop: asyncio.AbstractEventLoop, waiting: asyncio.Future[Any], done: Future[Any]
) -> None:
    """Hand over how work ended, in its thread, or where the pool is shut down."""
    how: Callable[[Any], object]
    given: Any
    if done.cancelled():
        how, given = waiting.cancel, None
    elif (given := done.exception()) is not None:
        how = waiting.set_exception
    else:
        how, given = waiting.set_result, done.result()
    with suppress(RuntimeError):  # the loop is closed, and with it all that wait
        loop.call_soon_threadsafe(_settle, waiting, how, given)


def _settle(waiting: asyncio.Future[Any], how: Callable[[Any], object], given: object) -> None:
    if not waiting.done():
        how(given)
