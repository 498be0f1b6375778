"""Processor time in units of this machine, so that bounds do not depend on its speed."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

STEPS = 500_000
"""Steps of Python in one unit: some 20 ms on a server of 2024."""


def cost(work: Callable[[], object]) -> float:
    """Return the processor time that this thread spends on `work`, in units: threads that earlier
    tests left are not counted."""
    before = _unit()
    collects = gc.isenabled()
    gc.disable()  # it would visit the objects of all earlier tests
    try:
        begun = time.thread_time()
        work()
        spent = time.thread_time() - begun
    finally:
        if collects:
            gc.enable()
    return spent / max(before, _unit())


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
