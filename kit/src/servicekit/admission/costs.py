"""Processor time of a call: of its tasks and threads, and as reported by its peers. Also
the time for which its service made it wait.

Tasks of several calls interleave on one thread, so a clock around a call would count the others
too. Each step of a call's own tasks is measured by itself: the call is driven step by step, and so
are the tasks that it starts. Work in the loop's threads is measured there, and decoding of photos
in its processes.

Not counted: parsing and serializing by gRPC, threads and processes other than these, engines and
databases, and calls to peers that fail; models as far as their callers `add` what they take. Work
that several calls share counts for the call that starts it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, ContextVar
from time import thread_time
from types import CoroutineType
from typing import Any, TypeVar

import grpc

from servicekit import deadlines

COST_KEY = "x-sightline-cost-us"
"""Trailer with the processor time of an answer, in microseconds."""
MOST_DIGITS = 15
"""Digits of that number: 30 years; a longer one is no time."""

T = TypeVar("T")


class Cost:
    """Processor time of one call so far."""

    __slots__ = ("_parts", "began", "measured", "waited")

    def __init__(self) -> None:
        self.measured = 0.0
        """Seconds of the steps that ended."""
        self.began = 0.0
        """Processor time at which the current step began; 0 between steps."""
        self.waited = 0.0
        """Seconds that the call waited for its turn, which is no sign of load."""
        self._parts: list[float] = []
        """Seconds by threads and peers; threads append, which is atomic."""

    def add(self, seconds: float) -> None:
        """Add the seconds that a thread or a peer spent."""
        self._parts.append(seconds)

    @property
    def seconds(self) -> float:
        """Seconds spent so far, the current step included."""
        running = thread_time() - self.began if self.began else 0.0
        return self.measured + running + sum(self._parts)


current: ContextVar[Cost | None] = ContextVar("cost", default=None)
"""The cost of the current call; `None` if it is not measured."""


def add(seconds: float) -> None:
    """Add the processor seconds of work elsewhere, such as a process or a model, to the current
    call."""
    if (cost := current.get()) is not None:
        cost.add(seconds)


def spent_ms() -> float:
    """Return the milliseconds spent on the current call so far; 0 if it is not measured."""
    cost = current.get()
    return 0.0 if cost is None else cost.seconds * 1e3


def note_wait(seconds: float) -> None:
    """Note that the current call waited for its turn, by a decision of its service."""
    cost = current.get()
    if cost is not None:
        cost.waited += seconds


def waited() -> float:
    """Return the seconds that `note_wait` noted for the current call."""
    cost = current.get()
    return 0.0 if cost is None else cost.waited


def add_trailer(trailers: grpc.aio.Metadata) -> None:
    """Add the cost in a peer's trailers, if they have one of at most MOST_DIGITS."""
    micros = str(trailers.get(COST_KEY))
    if micros.isdecimal() and len(micros) <= MOST_DIGITS:
        add(int(micros) / 1e6)


class Measured(Coroutine[Any, Any, T]):
    """A coroutine whose steps are measured."""

    __slots__ = ("_cost", "_send", "_work")

    def __init__(self, work: Coroutine[Any, Any, T], cost: Cost) -> None:
        self._work, self._send, self._cost = work, work.send, cost

    def send(self, value: Any) -> Any:
        """Run to its next wait, and measure the step."""
        return self._step(self._work.send, value)

    def throw(self, *raised: Any) -> Any:
        """Raise an error where it waits, run to its next wait, and measure the step."""
        return self._step(self._work.throw, *raised)

    def close(self) -> None:
        """Close the coroutine."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self  # `await` needs an iterator

    def __iter__(self) -> "Measured[T]":
        return self

    def __next__(self) -> Any:
        # As _step, without its call: nearly all steps are taken here.
        cost = self._cost
        cost.began = began = thread_time()
        try:
            return self._send(None)
        finally:
            cost.measured += thread_time() - began
            cost.began = 0.0

    def _step(self, run: Callable[..., Any], *given: Any) -> Any:
        cost = self._cost
        cost.began = began = thread_time()
        try:
            return run(*given)
        finally:
            cost.measured += thread_time() - began
            cost.began = 0.0


def _task(
    loop: asyncio.AbstractEventLoop, work: Any, context: Context | None = None, **options: Any
) -> "asyncio.Task[Any]":
    """Create a task; if a measured call starts it, it is measured as part of the call."""
    cost = current.get() if context is None else context.get(current)
    if cost is not None and (type(work) is CoroutineType or asyncio.iscoroutine(work)):
        work = Measured(work, cost)
    return asyncio.Task(work, loop=loop, context=context, **options)


class MeasuringExecutor(ThreadPoolExecutor):
    """Thread pool that adds the time of its work to the cost of the call that submitted it."""

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Run `work` in a thread."""
        cost = current.get()
        if cost is None:
            return super().submit(work, *args, **kwargs)
        return super().submit(_timed, cost, work, *args, **kwargs)


def _timed(cost: Cost, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    began = thread_time()
    try:
        return work(*args, **kwargs)
    finally:
        cost.add(thread_time() - began)


def install(loop: asyncio.AbstractEventLoop) -> None:
    """Measure a loop's tasks and threads, as far as a call is measured."""
    if loop.get_task_factory() is _task:
        return  # another service of this process did
    loop.set_task_factory(_task)
    deadlines.use_threads(loop, MeasuringExecutor(thread_name_prefix="asyncio"))
