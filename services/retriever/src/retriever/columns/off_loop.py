"""Where work on many rows is done: a little of it on the event loop, more in a thread."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from servicekit import deadlines
from sightline_rules.filter_checks import looks
from sightline_rules.filters import Facts, Filter, passes

INLINE_STEPS = 4_000
"""Looks at a text or value that the event loop takes itself: some 2 ms."""

T = TypeVar("T")


async def off_loop(steps: int, work: Callable[[], T]) -> T:
    """What `work` gives. Of more steps than the event loop can wait for it is done in a thread,
    where its `deadlines.check` stops it once nobody waits any more."""
    return work() if steps <= INLINE_STEPS else await deadlines.in_thread(work)


async def each_passes(condition: Filter, products: Sequence[Facts]) -> list[bool]:
    """Whether each of the products passes a filter that was checked. Raises DeadlineExceeded when
    nobody waits any more."""

    def judge(facts: Facts) -> bool:
        deadlines.check()
        return passes(condition, facts)

    return await off_loop(looks(condition) * len(products), lambda: [*map(judge, products)])
