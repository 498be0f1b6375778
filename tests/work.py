"""Work in lines, or in units of this machine: bounds do not depend on its speed."""

import asyncio
import gc
import math
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

STEPS = 500_000
"""Steps of Python in one unit: some 20 ms on a server of 2024."""


TRIES = 12
"""Measurements of each side after which `assert_at_most` gives up."""
PAUSE = 0.05
"""Seconds by which the pause before each measurement is longer than the last one."""
LEAST_SECONDS = 0.0001
"""Processor time that tells nothing."""
PARTS = 16
COUNTED = 2.5
"""How many times as many lines twice as much may take."""
SLACK_LINES = 400
"""Lines that equal work may differ by."""


def cost(work: Callable[[], object]) -> float:
    """Return the processor time that this thread spends on `work`, in units: threads that earlier
    tests left are not counted."""
    before = _unit()
    spent = _spent(work)
    return spent / max(before, _unit())


def assert_grows_evenly(
    work: Callable[[Any], object], made: Callable[[int], Any], most: int
) -> None:
    """Fail if `work` on what is `made` grows faster than its size, up to `most`.

    Lines of Python are counted, at half the size and the whole. What one line hides takes processor
    time: the whole may cost four times as much as its 16 parts, each alone, and a square costs 16
    times as much. Both sides keep as much in memory, so caches hardly favour one.
    """
    half, whole = made(most // 2), made(most)
    parts = [made(most // PARTS) for _ in range(PARTS)]
    fewer, more = lines(lambda: work(half)), lines(lambda: work(whole))
    assert more <= COUNTED * fewer + SLACK_LINES, f"{more} lines, for half of it {fewer}"
    assert_at_most(4, lambda: [work(each) for each in parts], lambda: work(whole))


def assert_at_most(times: float, little: Callable[[], object], much: Callable[[], object]) -> None:
    """Fail if `much` costs more than `times` as much processor time as `little`.

    The least of several measurements of each counts, taken in turn until the bound holds: other
    processes only ever make work dearer. `times` must be several times what is expected.
    """
    least_little = least_much = math.inf
    for tried in range(TRIES):
        time.sleep(tried * PAUSE)  # what disturbs may have ended
        least_little, least_much = min(least_little, _spent(little)), min(least_much, _spent(much))
        if tried and least_much <= times * least_little + LEAST_SECONDS:
            return
    raise AssertionError(f"{least_much:.6f} s, more than {times} times {least_little:.6f} s")


def lines(work: Callable[[], object], under: tuple[str, ...] = ("",)) -> int:
    """Return how many lines of Python `work` runs in this thread, in files `under` these folders:
    the same number on any machine."""
    count, before = 0, sys.gettrace()

    def line(_: Any, happened: str, __: Any) -> Any:
        nonlocal count
        count += happened == "line"
        return line

    with _uncollected():
        sys.settrace(lambda frame, *_: line if frame.f_code.co_filename.startswith(under) else None)
        try:
            work()
        finally:
            sys.settrace(before)
    return count


def _spent(work: Callable[[], object]) -> float:
    """Return the seconds of processor time that this thread spends on `work`."""
    with _uncollected():
        begun = time.thread_time()
        work()
        return time.thread_time() - begun


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the collector off: it visits what earlier tests left, and runs their finalisers."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _unit() -> float:
    """Return the processor time of STEPS steps, in seconds."""
    begun = time.thread_time()
    total = 0
    for number in range(STEPS):
        total += number
    return time.thread_time() - begun


async def longest_turn(call: Awaitable[T]) -> tuple[T, float]:
    """Return the result of `call`, and the most processor time, in units, for which the event
    loop's own thread blocks the loop meanwhile."""
    longest, running = 0.0, asyncio.ensure_future(call)
    with _uncollected():
        while not running.done():
            begun = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - begun)
    return await running, longest / _unit()
