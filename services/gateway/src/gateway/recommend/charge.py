"""The charge of a request: its price is checked and reserved before it runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.model.price import REFERENCE_PRODUCTS, PricedSizes, RequestPrice, price_of
from gateway.model.query import RequestQuery
from gateway.recommend.begin import begin, may_be_in_experiments
from gateway.state.run import RequestDependencies, Run
from servicekit import deadlines
from servicekit.hedging import one_at_a_time
from sightline_rules.controls import ControlKind


@asynccontextmanager
async def charged(
    query: RequestQuery, deps: RequestDependencies, *, searches: int = 1
) -> AsyncIterator[Run]:
    """Plan a checked request and charge its caller for what the block does, within its deadline.
    Yield its run. `searches`: how often it searches by the signals.

    An expensive request first waits for its turn, and its stages share the time that is left.
    Controls of scenes are free: no caller chose them.
    Raises RequestTooExpensive, QuotaExhausted, ExpensiveRequestsBusy.
    """
    joins = await may_be_in_experiments(query, deps)
    run = begin(query, deps, in_experiments=joins)
    with deadlines.within(run.plan.ends.answer):
        price = _checked(run, searches)
        async with deps.prices.charged(price, query.catalog_id) as waited:
            bound = one_at_a_time.set(asyncio.Lock() if price.is_expensive else None)
            try:
                yield begin(query, deps, in_experiments=joins) if waited else run
            finally:
                one_at_a_time.reset(bound)


def _checked(run: Run, searches: int) -> RequestPrice:
    """Return the price of a request on the whole catalog. Raises RequestTooExpensive."""
    prices = run.deps.prices
    products = prices.products(run.query.catalog_id)
    price = _price(run, min(products, REFERENCE_PRODUCTS), searches)
    prices.check(price)
    return price if products <= REFERENCE_PRODUCTS else _price(run, products, searches)


def _price(run: Run, products: int, searches: int) -> RequestPrice:
    given = [(each.kind, each.filter) for each in run.query.controls if each.filter is not None]
    return price_of(
        run.query,
        [each for kind, each in given if kind is ControlKind.EXCLUDE],
        [each for kind, each in given if kind is not ControlKind.EXCLUDE],
        PricedSizes(products, run.plan.most),
        searches=searches,
    )
