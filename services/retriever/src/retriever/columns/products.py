"""Filters on single products that columns do not hold, such as a page of the record."""

from collections.abc import Iterable

from servicekit.tasks.off_loop import off_loop
from sightline_rules.evaluation.conditions import judged
from sightline_rules.facts import Facts
from sightline_rules.filter_checks import looks
from sightline_rules.filters import All, Filter

TEXT_STEPS = 8
"""Steps of comparing one text, at most: texts of products have up to 512 characters."""


async def each_passes(condition: Filter, products: Iterable[Facts], count: int) -> list[bool]:
    """Return for each of `count` products whether it passes a checked filter; for that which all
    pass, no facts are read. Raises DeadlineExceeded."""
    if condition == All():
        return [True] * count
    found = await off_loop(filter_steps(condition, count), judged(condition, products))
    passing: list[bool] = found.tolist()
    return passing


def filter_steps(condition: Filter, products: int) -> int:
    """Return the maximum number of steps to evaluate a filter on `products` products."""
    return looks(condition) * products * TEXT_STEPS
