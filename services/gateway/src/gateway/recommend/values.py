"""Values of a field, such as brands, in the order for a shopper: those of the ranked products.

The products are ranked as by Recommend, over all candidates that the scene may rank and without its
diversity, which arranges products of one page. The record of the answer holds that ranking.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gateway.model.diversity import Diversity
from gateway.model.errors import NothingAvailable
from gateway.model.plan import MOST_ASKED, MOST_RANKED, RequestPlan
from gateway.model.query import RequestQuery, ValueGrouping
from gateway.model.response import EmptyReason, RecommendedValue, ValuesAnswer
from gateway.ranking.field_values import ScoredValue, ranked_values
from gateway.ranking.near_duplicates import picked
from gateway.recommend.charge import charged
from gateway.recommend.controls.step import correct_outcomes
from gateway.recommend.final_order import split_by_signal
from gateway.recommend.nothing_found import why_empty
from gateway.recommend.one_stamp import in_steps, of_one_stamp
from gateway.recommend.pages import READ_AHEAD, AnswerPage, read_page
from gateway.recommend.recommend import (
    FirstPage,
    answer_of,
    find_candidates,
    kept,
    order_listings,
    showable,
)
from gateway.recommend.validate import check, check_grouping
from gateway.retrieval.branches import FoundCandidates
from gateway.state.request_context import RequestContext, RequestDependencies
from sightline_core.answer import AnswerOrder, AnswerResult
from sightline_core.candidates import CandidateList
from sightline_core.reasons import Reason
from sightline_rules.filters import Comparison, Operator

MOST_REASONS = 5
"""Reasons of a value."""


@dataclass(frozen=True, slots=True)
class GroupedPage:
    """The values of an answer, with the page that has their products."""

    first: FirstPage
    values: tuple[RecommendedValue, ...]
    more_count: int


@dataclass(frozen=True, slots=True)
class _ReadValues:
    """Values with their products as now recorded."""

    values: Sequence[tuple[ScoredValue, Sequence[AnswerResult]]]
    read: int
    """Number of values that were read, with those that no available product has."""


async def recommend_values(
    query: RequestQuery, grouping: ValueGrouping, deps: RequestDependencies
) -> ValuesAnswer:
    """Return the values of a field, best first, each with its best products.

    Raises as `recommend`.
    """
    query = replace(query, grouping=grouping)
    check(query, deps.catalogs)
    check_grouping(query, grouping)

    form = partial(_grouped, grouping=grouping)

    async def formed(found: FoundCandidates) -> tuple[FoundCandidates, GroupedPage]:
        return found, await showable(found, form)

    async with charged(query, deps) as planned:
        widened = replace(planned, plan=_widened(planned.plan))
        found, page = await of_one_stamp(widened, in_steps(find_candidates, formed))
        run = found.run
        answer = answer_of(run, kept(run, page.first), found.outcomes)
        if not page.values:
            none = f"no available product among the ranked ones has a value of {grouping.field}"
            ranked = page.first.ordered.order.total
            reason = EmptyReason(none) if ranked else await why_empty(run, answer.hidden_count)
            answer = replace(answer, empty_reason=reason)
    return ValuesAnswer(page.values, page.more_count, answer)


def _widened(plan: RequestPlan) -> RequestPlan:
    """Return the plan with as many candidates as its scene ranks, and the whole order of them."""
    most = min(plan.scene.most_candidates, MOST_ASKED)
    return replace(
        plan,
        scene=replace(plan.scene, diversity=Diversity()),
        top_k=max(plan.top_k, most),
        generated=max(plan.generated, most),
        ahead=MOST_RANKED,
    )


async def _grouped(
    run: RequestContext, listings: tuple[CandidateList, ...], grouping: ValueGrouping
) -> GroupedPage:
    """Return the values of the candidates. Raises NothingAvailable, AnswerDegraded."""
    found = await order_listings(run, listings)
    order, columns = found.ordered.order, found.candidates.columns
    run.trace.steps.append(f"by {grouping.field}")
    values = await ranked_values(columns, grouping, order.product_ids)
    products = grouping.products_a_value
    size, show = run.query.results_a_page, partial(read_page, run, stamp=columns.stamp)
    filled = await _filled(size, order, values, products, show)
    results = {item.rank: item for _, items in filled.values for item in items}
    shown = tuple(results[rank] for rank in sorted(results))
    if not shown and run.trace.snapshot_listed:  # the shopper hid all of them
        raise NothingAvailable(run.trace.causes)
    if run.query.explain:
        shown = split_by_signal(listings, shown)
    by_rank = {item.rank: item for item in shown}
    read = {place for value in values[: filled.read] for place in value.places[:products]}
    outcomes = await correct_outcomes(
        run,
        (*found.absent, *found.ordered.outcomes),
        [order.product_ids[place] for place in read if place + 1 not in by_rank],
        [item.row.product_id for item in shown],
    )
    page = AnswerPage(shown, offset=order.total, served=len(shown))
    return GroupedPage(
        FirstPage(listings, found.candidates, found.record, found.ordered, page, outcomes),
        tuple(
            _value(rank, each, [by_rank[item.rank] for item in items], grouping)
            for rank, (each, items) in enumerate(filled.values, 1)
        ),
        len(values) - filled.read,
    )


async def _filled(
    size: int,
    order: AnswerOrder,
    values: Sequence[ScoredValue],
    products: int,
    show: Callable[..., Awaitable[AnswerPage]],
) -> _ReadValues:
    """Return the first `size` values that available products have. `show`: see `read_page`. Raises
    NothingAvailable."""
    read = 0
    filled: list[tuple[ScoredValue, Sequence[AnswerResult]]] = []
    while len(filled) < size and read < len(values):
        # One call per vanished value would be too many after a whole catalog was exchanged.
        count = max(size - len(filled), READ_AHEAD // products if read else 0)
        some = values[read : read + count]
        rows = sorted({place for value in some for place in value.places[:products]})
        page = await show(picked(order, rows), size=len(rows))
        places = {order.product_ids[row]: row for row in rows}
        found = [(places[item.row.product_id], item) for item in page.results]
        results = {row: item._replace(rank=row + 1) for row, item in found}
        for value in some:
            own = [results[place] for place in value.places[:products] if place in results]
            if len(filled) == size:
                break
            read += 1
            if own:
                filled.append((value, own))
    return _ReadValues(filled, read)


def _value(
    rank: int, each: ScoredValue, products: Sequence[AnswerResult], grouping: ValueGrouping
) -> RecommendedValue:
    return RecommendedValue(
        rank=rank,
        text=each.text,
        condition=Comparison(grouping.field, Operator.EQUAL, each.value),
        score=each.score,
        reasons=_reasons(products),
        products=tuple(products),
        candidate_count=len(each.places),
    )


def _reasons(products: Sequence[AnswerResult]) -> tuple[Reason, ...]:
    """Return the products' reasons, each once: first those with the greatest sum of reciprocal
    places, of the product among the value's and of the reason among the product's."""
    weights: dict[Reason, float] = {}
    for place, item in enumerate(products, 1):
        for at, reason in enumerate(item.answered.reasons, 1):
            weights[reason] = weights.get(reason, 0.0) + 1 / (place * at)
    return tuple(sorted(weights, key=weights.__getitem__, reverse=True)[:MOST_REASONS])
