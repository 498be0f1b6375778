"""Work on many rows: on the event loop up to INLINE_STEPS, in a thread above."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from servicekit import deadlines
from sightline_rules.facts import Facts, passes
from sightline_rules.filter_checks import looks
from sightline_rules.filters import Filter

INLINE_STEPS = 4_000
"""Steps of work that run on the event loop, some 2 ms; a step compares a value or 64 characters."""
TEXT_STEPS = 8
"""Steps of comparing one text, at most: texts of products have up to 512 characters."""

T = TypeVar("T")


async def off_loop(steps: int, work: Callable[[], T]) -> T:
    """Return the result of `work`: run here up to INLINE_STEPS, otherwise in a thread.

    In a thread, `deadlines.check` within `work` ends it when the caller's deadline has passed.
    Raises what `work` raises, and DeadlineExceeded.
    """
    return work() if steps <= INLINE_STEPS else await deadlines.in_thread(work)


async def each_passes(condition: Filter, products: Iterable[Facts], count: int) -> list[bool]:
    """Return for each of `count` products whether it passes a checked filter. Raises
    DeadlineExceeded."""

    def judge(facts: Facts) -> bool:
        deadlines.check()
        return passes(condition, facts)

    return await off_loop(filter_steps(condition, count), lambda: [*map(judge, products)])


def filter_steps(condition: Filter, products: int) -> int:
    """Return the maximum number of steps to evaluate a filter on `products` products."""
    return looks(condition) * products * TEXT_STEPS
