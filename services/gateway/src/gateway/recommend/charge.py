"""The charge of a request: its price is checked and reserved before it runs."""

from contextlib import AbstractContextManager

from gateway.model.price import REFERENCE_PRODUCTS, PricedSizes, RequestPrice, price_of
from gateway.state.run import Run
from sightline_rules.controls import ControlKind


def charged(run: Run, *, searches: int = 1) -> AbstractContextManager[None]:
    """Charge the caller for what the block does. `searches`: how often it searches by the signals.

    Controls of scenes are free: no caller chose them. Raises RequestTooExpensive, QuotaExhausted.
    """
    prices = run.deps.prices
    products = prices.products(run.query.catalog_id)
    price = _price(run, min(products, REFERENCE_PRODUCTS), searches)
    prices.check(price)
    if products > REFERENCE_PRODUCTS:
        price = _price(run, products, searches)
    return prices.charged(price)


def _price(run: Run, products: int, searches: int) -> RequestPrice:
    given = [(each.kind, each.filter) for each in run.query.controls if each.filter is not None]
    return price_of(
        run.query,
        [each for kind, each in given if kind is ControlKind.EXCLUDE],
        [each for kind, each in given if kind is not ControlKind.EXCLUDE],
        PricedSizes(products, run.plan.most),
        searches=searches,
    )
