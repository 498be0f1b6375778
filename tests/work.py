"""Processor time in units of this machine, so that bounds do not depend on its speed."""

import asyncio
import gc
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

STEPS = 500_000
"""Steps of Python in one unit: some 20 ms on a server of 2024."""


TRIES = 7
"""Measurements of each side after which `assert_at_most` gives up."""


def cost(work: Callable[[], object]) -> float:
    """Return the processor time that this thread spends on `work`, in units: threads that earlier
    tests left are not counted."""
    before = _unit()
    spent = _spent(work)
    return spent / max(before, _unit())


def assert_at_most(
    times: float, little: Callable[[], object], much: Callable[[], object], slack: float = 0.002
) -> None:
    """Fail if `much` costs more than `times` as much as `little` and `slack` units.

    The least of several measurements of each counts, taken in turn until the bound holds: other
    processes only ever make work dearer.
    """
    least_little = least_much = unit = math.inf
    for tried in range(TRIES):
        unit = min(unit, _unit())
        least_little = min(least_little, _spent(little))
        least_much = min(least_much, _spent(much))
        if tried and least_much <= times * least_little + slack * unit:
            return
    raise AssertionError(
        f"{least_much / unit:.3f} units, more than {times} times {least_little / unit:.3f}"
    )


def assert_grows_evenly(
    work: Callable[[Any], object], half: Any, whole: Any, slack: float = 0.002
) -> None:
    """Fail if `work` on `whole`, twice as much as `half`, costs more than 2.5 times as much."""
    assert_at_most(2.5, lambda: work(half), lambda: work(whole), slack)


def _spent(work: Callable[[], object]) -> float:
    """Return the seconds of processor time that this thread spends on `work`."""
    collects = gc.isenabled()
    gc.disable()  # it would visit the objects of all earlier tests
    try:
        begun = time.thread_time()
        work()
        return time.thread_time() - begun
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
    while not running.done():
        begun = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - begun)
    return await running, longest / _unit()
