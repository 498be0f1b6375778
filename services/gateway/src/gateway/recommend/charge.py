"""The charge of a request: its price is checked and reserved before it runs."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from gateway.model.plan import RequestPlan
from gateway.model.price import (
    LABEL,
    REFERENCE_PRODUCTS,
    PricedSizes,
    RequestPrice,
    price_of,
    together,
)
from gateway.model.query import MOST_LABELLED, RequestQuery
from gateway.recommend.begin import begin, may_be_in_experiments
from gateway.recommend.photo_anchors import gives_anchors
from gateway.retrieval.history import most_searches
from gateway.state.request_context import RequestContext, RequestDependencies
from servicekit import deadlines
from servicekit.rpc.call_turns import one_at_a_time
from sightline_core.branch import Branch
from sightline_core.changed import changed
from sightline_rules.controls import ControlKind

Planned: TypeAlias = tuple[RequestQuery, RequestPlan]
"""A request with its plan, on which its price depends."""


class charged_together:  # noqa: N801 - read as a function
    """Plans checked requests of one catalog, at least one, and charges their caller for what the
    block does, within their deadline. Yields their runs.

    An expensive request first waits for its turn, and its stages share the time that is left.
    Controls of scenes are free: no caller chose them.
    Raises RequestTooExpensive, QuotaExhausted, ExpensiveRequestsBusy.
    """

    __slots__ = ("_bound", "_charge", "_deadline", "_deps", "_queries", "_searches")

    def __init__(
        self, queries: Mapping[str, RequestQuery], deps: RequestDependencies, *, searches: int = 1
    ) -> None:
        """Take the queries by their paths in the message. `searches`: how often each searches by
        its signals."""
        self._queries, self._deps, self._searches = queries, deps, searches

    async def __aenter__(self) -> Sequence[RequestContext]:
        queries, deps, searches = self._queries, self._deps, self._searches
        joins = [(each, await may_be_in_experiments(each, deps)) for each in queries.values()]
        runs = _begun(joins, deps, searches)
        self._deadline = deadlines.within(max([run.plan.ends.answer for run in runs]))
        self._deadline.__enter__()
        try:
            catalog_id = runs[0].query.catalog_id
            asked = dict(zip(queries, [(run.query, run.plan) for run in runs], strict=True))
            price = _checked(asked, deps, catalog_id, searches)
            self._charge = deps.prices.charged(price, catalog_id)
            if await self._charge.__aenter__():
                try:
                    runs = _begun(joins, deps, searches)
                except BaseException as error:
                    await self._charge.__aexit__(type(error), error, error.__traceback__)
                    raise
        except BaseException:
            self._deadline.__exit__()
            raise
        self._bound = one_at_a_time.set(asyncio.Lock()) if price.is_expensive else None
        return runs

    async def __aexit__(self, *raised: Any) -> None:
        try:
            if self._bound is not None:
                one_at_a_time.reset(self._bound)
            await self._charge.__aexit__(*raised)
        finally:
            self._deadline.__exit__()


class charged(charged_together):  # noqa: N801
    """Plans a checked request, charges its caller, and yields its run; see `charged_together`."""

    __slots__ = ()

    def __init__(
        self, query: RequestQuery, deps: RequestDependencies, *, searches: int = 1
    ) -> None:
        super().__init__({"": query}, deps, searches=searches)

    async def __aenter__(self) -> RequestContext:  # type: ignore[override]
        (run,) = await super().__aenter__()
        return run


def covered(query: RequestQuery, deps: RequestDependencies) -> tuple[RequestContext, RequestPrice]:
    """Plan a checked request that no arm may answer and for which its caller charges. Return its
    run and its price."""
    (run,) = _begun([(query, False)], deps, 1)
    return run, _price(run.query, run.plan, deps.prices.products(query.catalog_id))


def _begun(
    joins: Sequence[tuple[RequestQuery, bool]], deps: RequestDependencies, searches: int
) -> Sequence[RequestContext]:
    runs = [begin(query, deps, in_experiments=joined) for query, joined in joins]
    if not [run for run in runs if Branch.LABELS in run.plan.branches]:
        return runs
    plans = _reading_labels([(run.query, run.plan) for run in runs], deps, searches)
    return [changed(run, plan=plan) for run, plan in zip(runs, plans, strict=True)]


def _reading_labels(
    asked: Sequence[Planned], deps: RequestDependencies, searches: int
) -> Sequence[RequestPlan]:
    """Return the plans with the photos whose labels are read: the first ones of the requests, as
    many as they may cost together."""
    products = min(deps.prices.products(asked[0][0].catalog_id), REFERENCE_PRODUCTS)
    left = deps.prices.most_seconds
    left -= sum(_price(*each, products, searches).seconds for each in asked)
    read = []
    for query, plan in asked:
        wanted = query.labelled if Branch.LABELS in plan.branches else ()
        photos = wanted[: min(MOST_LABELLED, max(int(left / LABEL), 0))]
        left -= len(photos) * LABEL
        read.append(changed(plan, labelled=photos))
    return read


def _checked(
    asked: Mapping[str, Planned], deps: RequestDependencies, catalog_id: str, searches: int
) -> RequestPrice:
    """Return the price of requests on the whole catalog, together. Raises RequestTooExpensive."""
    products = deps.prices.products(catalog_id)
    price = _together(asked, min(products, REFERENCE_PRODUCTS), searches)
    deps.prices.check(price)
    return price if products <= REFERENCE_PRODUCTS else _together(asked, products, searches)


def _together(asked: Mapping[str, Planned], products: int, searches: int) -> RequestPrice:
    return together({path: _price(*each, products, searches) for path, each in asked.items()})


def _price(
    query: RequestQuery, plan: RequestPlan, products: int, searches: int = 1
) -> RequestPrice:
    given = [(each.kind, each.filter) for each in query.controls if each.filter is not None]
    return price_of(
        query,
        [each for kind, each in given if kind is ControlKind.EXCLUDE],
        [each for kind, each in given if kind is not ControlKind.EXCLUDE],
        PricedSizes(products, plan.most),
        searches=searches,
        labelled=len(plan.labelled),
        detects=gives_anchors(query, plan.scene) is not None,
        last_products=most_searches(plan),
    )
