"""Work on many rows: on the event loop up to INLINE_STEPS, above it in turns in a thread.

Work is a generator that yields after each of its steps. A turn runs steps for TURN_SECONDS; between
two turns the loop runs, the deadline is checked, and cheaper work goes first. So a request holds
the interpreter for a turn at a time, whatever it asks for, and expensive requests wait for cheap
ones. One piece of work runs at a time: threads would only compete for the interpreter.
"""

import asyncio
import time
from collections.abc import Generator, Iterable
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary

from servicekit import deadlines
from servicekit.tasks.turns import Turns

INLINE_STEPS = 4_000
"""Steps of work that run on the event loop, some 2 ms; a step compares a value or 64 characters."""
TURN_SECONDS = 0.002
"""Processor time of one turn in a thread. Shorter ones cost more switches between threads."""

PART = 8
"""Items, such as products of a request, that are worked on between two runs of other tasks."""

T = TypeVar("T")

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


async def off_loop(steps: int, work: Generator[None, None, T]) -> T:
    """Return the result of `work`, which takes about `steps` steps.

    Raises what `work` raises, and DeadlineExceeded between two turns.
    """
    if steps <= INLINE_STEPS:
        return _finished(work)
    turns, urgency = _turns.setdefault(asyncio.get_running_loop(), Turns()), steps.bit_length()
    deadlines.check()
    await turns.take(urgency)
    held = True
    try:
        while (result := await deadlines.in_thread(partial(_turn, work))) is None:
            deadlines.check()
            held = False
            await turns.pass_on(urgency)
            held = True
    finally:
        if held:
            turns.give_back()
    return result[0]


async def in_parts(items: Iterable[T], size: int = PART) -> list[T]:
    """Return the items of an iterator that works for each of them. Other tasks of the event loop
    run after every `size` items."""
    found = []
    for number, item in enumerate(items, 1):
        found.append(item)
        if number % size == 0:
            await asyncio.sleep(0)
    return found


def _turn(work: Generator[None, None, T]) -> tuple[T] | None:
    """Run steps for a turn. Return the result, or None if there are more steps."""
    end = time.thread_time() + TURN_SECONDS
    try:
        while True:
            next(work)
            if time.thread_time() >= end:
                return None
    except StopIteration as ended:
        return (ended.value,)


def _finished(work: Generator[None, None, T]) -> T:
    while (result := _turn(work)) is None:
        pass
    return result[0]
