"""Where work on many rows is done: a little of it on the event loop, more in a thread."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from servicekit import deadlines
from sightline_rules.facts import Facts, passes
from sightline_rules.filter_checks import looks
from sightline_rules.filters import Filter

INLINE_STEPS = 4_000
"""Looks at a value, or at 64 characters, that the event loop takes itself: some 2 ms."""
TEXT_STEPS = 8
"""What a look at a text costs at most: those of products have 512 characters, of which 64 are one
step."""

T = TypeVar("T")


async def off_loop(steps: int, work: Callable[[], T]) -> T:
    """What `work` gives. Of more steps than the event loop can wait for it is done in a thread,
    where its `deadlines.check` stops it once nobody waits any more."""
    return work() if steps <= INLINE_STEPS else await deadlines.in_thread(work)


async def each_passes(condition: Filter, products: Iterable[Facts], count: int) -> list[bool]:
    """Whether each of `count` products passes a filter that was checked. Raises DeadlineExceeded
    when nobody waits any more."""

    def judge(facts: Facts) -> bool:
        deadlines.check()
        return passes(condition, facts)

    return await off_loop(filter_steps(condition, count), lambda: [*map(judge, products)])


def filter_steps(condition: Filter, products: int) -> int:
    """What a filter costs at most, asked of so many products."""
    return looks(condition) * products * TEXT_STEPS
