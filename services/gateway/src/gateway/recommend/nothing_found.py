"""Why an answer is empty: the first condition of the request that leaves no product.

Products are counted with more and more of the conditions, only for answers without a result.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from gateway.model.errors import FilterInvalid
from gateway.model.filters import CallersFilter, all_of, parts_of
from gateway.model.query import AnswerScope
from gateway.model.response import EmptyReason
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from sightline_core.search import CatalogSuggestions
from sightline_rules import categories
from sightline_rules.filters import All, Any, Comparison, FilterInvalidError, Membership
from sightline_rules.filters import Filter as Condition
from sightline_rules.messages import read, without_market
from sightline_rules.rejections import words

MOST_PATHS = 5
"""Near categories that are named, at most."""
CATEGORY = "category"

Count: TypeAlias = Callable[[AnswerScope], Awaitable[int]]
"""Counts the products that pass."""
Suggest: TypeAlias = Callable[[str], Awaitable[CatalogSuggestions]]
"""Suggests values of facets that begin with a text."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A condition, and what the products pass that pass it and those before it."""

    scope: AnswerScope
    text: str
    """The reason of an empty answer, if no product passes."""
    condition: Condition | None = None


async def why_empty(run: RequestContext, hidden: int = 0) -> EmptyReason | None:
    """Return why an answer has no results; None if no condition is the reason, or the retriever
    can't count. `hidden`: products that were left out for the shopper.

    Raises FilterInvalid: nobody has read the filter if nothing was searched.
    """
    if run.trace.causes:
        return None  # the degradations say why
    if (given := run.query.filter) is not None and parts_of(given):
        try:
            without_market(given.message)
        except FilterInvalidError as error:
            raise FilterInvalid.at(error.path, error.description) from error
    retriever, catalog_id = run.peers.retriever, run.query.catalog_id
    count, language = partial(retriever.product_count, catalog_id), run.text_language
    suggest = partial(retriever.suggest, catalog_id, language_code=language, size=MOST_PATHS)
    try:
        steps = [*_steps(given, run.plan.scope)]
        first = await _first_empty(steps, count)
        if first is not None:
            return await _reason(given, steps, first, count, suggest)
    except ServiceError:
        return None
    if hidden:
        return EmptyReason(
            "the shopper has hidden all products that were found, or has seen them and the scene"
            " leaves out what was seen"
        )
    return None


def _steps(given: CallersFilter | None, asked: AnswerScope) -> Iterator[_Step]:
    """Yield the conditions of a request, each with those before it."""
    scope = AnswerScope(market_id=asked.market_id)
    sold = f" that is sold in the market {scope.market_id}" if scope.market_id else ""
    yield _Step(scope, f"the catalog has no product{sold}")
    for count, part in enumerate(parts := parts_of(given), start=1):
        scope = scope._replace(filter=all_of(parts[:count]))
        yield _Step(scope, "", read(part.message))
    if asked.buyable_only:
        scope = scope._replace(buyable_only=True)
        yield _Step(scope, "all products that pass are out of stock, which the scene leaves out")
    if asked.without:
        scope = scope._replace(without=asked.without)
        yield _Step(scope, "controls exclude all products that pass")


async def _first_empty(steps: Sequence[_Step], count: Count) -> int | None:
    """Return the index of the first step that no product passes; None if some pass all."""
    if await count(steps[-1].scope):
        return None
    low, high = 0, len(steps) - 1
    while low < high:
        middle = (low + high) // 2
        if await count(steps[middle].scope):
            low = middle + 1
        else:
            high = middle
    return low


async def _reason(
    given: CallersFilter | None, steps: Sequence[_Step], at: int, count: Count, suggest: Suggest
) -> EmptyReason:
    condition = steps[at].condition
    if condition is None:
        return EmptyReason(steps[at].text)
    alone = steps[0].scope._replace(filter=parts_of(given)[at - 1])
    before = [words(each.condition) for each in steps[:at] if each.condition is not None]
    if before and await count(alone):
        text = f"no product that passes {' AND '.join(before)} passes {words(condition)}"
    else:
        text = f"no product passes {words(condition)}"
    return EmptyReason(text, words(condition), await _near(condition, suggest))


async def _near(condition: Condition, suggest: Suggest) -> Sequence[str]:
    """Return the paths of categories near to those that a condition names, nearest first; those
    found so far if the retriever can't suggest."""
    found = dict[str, None]()
    last = (name.rpartition(categories.SEPARATOR)[2].strip() for name in _categories(condition))
    with suppress(ServiceError):
        for name in list(filter(None, last))[:MOST_PATHS]:
            near = await suggest(name)
            found |= {each.text: None for each in near.facet_values if each.field == CATEGORY}
    return tuple(found)[:MOST_PATHS]


def _categories(condition: Condition) -> Iterator[str]:
    """Yield the categories that a condition names."""
    if isinstance(condition, All | Any):
        for each in condition.filters:
            yield from _categories(each)
    elif isinstance(condition, Comparison) and condition.field == CATEGORY:
        yield str(condition.value)
    elif isinstance(condition, Membership) and condition.field == CATEGORY:
        yield from map(str, condition.values)
