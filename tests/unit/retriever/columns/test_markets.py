"""Values by market in columns: filters, orders, facets, and what changes when products do."""

from __future__ import annotations

import asyncio
from typing import cast

import numpy as np

from retriever.columns.column import AskedFacet
from retriever.columns.column_cache import View
from retriever.columns.facets import Counting
from retriever.columns.ordering import OrderedColumn
from retriever.columns.table import ProductTable
from retriever.domain import field_codecs
from retriever.domain.column_rows import ProductRow
from sightline_rules.evaluation.work import finish
from sightline_rules.fields import MARKETS
from sightline_rules.filters import (
    Availability,
    Comparison,
    Existence,
    Filter,
    Membership,
    Money,
    Operator,
)
from sightline_rules.markets import MarketValues, within
from tests.unit.retriever.rows import row

EUR = 1_000_000


def sold(
    product_id: str, *markets: MarketValues, price: int = 10, title: str = "Red"
) -> ProductRow:
    cells = field_codecs.cells(MARKETS, markets)
    own = {"price_micros": price * EUR, "currency": "EUR", "availability": "IN_STOCK"}
    return row(product_id, title=title, **own, **cells)


def at(market_id: str, price: int | None = None, **values: object) -> MarketValues:
    money = None if price is None else Money("EUR", price * EUR)
    return MarketValues(market_id, money, **values)  # type: ignore[arg-type]


TABLE = (
    sold("everywhere"),
    sold("cheap in de", at("de", 5, title="Rot"), at("fr")),
    sold("only fr", at("fr", 20, availability=Availability.OUT_OF_STOCK)),
)


def passing(table: ProductTable, condition: Filter) -> list[str]:
    places = np.flatnonzero(table.alive)
    found = places[asyncio.run(View.of(table).conditions.passing(condition, places))].tolist()
    assert asyncio.run(View.of(table).conditions.every(condition)).tolist() == found
    return [table.ids[place] for place in found]


def below(price: int) -> Filter:
    return Comparison("price", Operator.LESS, Money("EUR", price * EUR))


def test_a_market_sells_what_it_lists_and_what_has_no_list() -> None:
    table = ProductTable(TABLE)
    is_sold = {
        market: Comparison("market", Operator.EQUAL, market) for market in ("de", "fr", "at")
    }
    assert passing(table, is_sold["de"]) == ["everywhere", "cheap in de"]
    assert passing(table, is_sold["fr"]) == ["everywhere", "cheap in de", "only fr"]
    assert passing(table, is_sold["at"]) == ["everywhere"]
    assert passing(table, Comparison("market", Operator.NOT_EQUAL, "de")) == ["only fr"]
    assert passing(table, Membership("market", ("de", "at"))) == ["everywhere", "cheap in de"]
    assert passing(table, Membership("market", ())) == []
    assert passing(table, Existence("market")) == ["cheap in de", "only fr"]


def test_conditions_are_on_the_values_of_the_market() -> None:
    table = ProductTable(TABLE)
    assert passing(table, within(below(8), "de")) == ["cheap in de"]
    assert passing(table, within(below(15), "fr")) == ["everywhere", "cheap in de"]
    gone = Comparison("availability", Operator.EQUAL, Availability.OUT_OF_STOCK)
    assert passing(table, within(gone, "fr")) == ["only fr"]
    red = Comparison("title", Operator.CONTAINS, "rot")
    assert passing(table, within(red, "de")) == ["cheap in de"]
    assert passing(table, red) == []


def test_facets_and_orders_are_on_the_values_of_the_market() -> None:
    table = ProductTable(TABLE)
    places = np.arange(3)
    asked = AskedFacet("price", 10, market_id="de")
    _, (facet,) = finish(Counting(table, places, [asked]).count())
    assert [(value.text, value.products) for value in facet.values if value.products] == [
        ("5–10 EUR", 1),
        ("10 EUR and more", 2),
    ]
    assert facet.values[0].condition == within_plain(facet.values[0].condition)
    column = cast(OrderedColumn, table.column("price@fr"))
    values, _ = column.ranked(column.states(places), "EUR")
    assert (values // EUR).tolist() == [10, 10, 20]


def within_plain(condition: Filter) -> Filter:
    """Return the condition if it names the field itself: callers send it with their market."""
    assert "@" not in repr(condition)
    return condition


def test_a_written_product_has_its_new_markets_alone() -> None:
    table = ProductTable(TABLE)
    table.put([sold("cheap in de", at("at", 1, title="Wein")), sold("only fr")], 2)
    assert passing(table, within(below(8), "de")) == []
    assert passing(table, within(below(8), "at")) == ["cheap in de"]
    assert table.title(1, "de") == "Red"
    assert table.title(1, "at") == "Wein"
    assert passing(table, Comparison("market", Operator.EQUAL, "de")) == ["everywhere", "only fr"]


def test_an_order_keeps_the_former_prices_of_a_market_on_later_pages() -> None:
    table = ProductTable(TABLE, 1)
    table.put([sold("cheap in de", at("de", 50))], 2)
    column = cast(OrderedColumn, table.column("price@de"))
    now = column.states(np.array([1]))
    assert column.former.as_of(1, np.array([1]), now)[0, 0] == 5 * EUR
    assert now[0, 0] == 50 * EUR


def test_a_market_takes_twelve_bytes_for_each_product_at_most() -> None:
    without = ProductTable([sold(str(number)) for number in range(1_000)])
    table = ProductTable([sold(str(number), at("de", 5)) for number in range(1_000)])
    places = len(table.alive)
    assert table.nbytes - without.nbytes <= 12 * places


def test_more_places_have_no_market_yet() -> None:
    table = ProductTable([sold("first", at("de", 5))])
    table.put([sold(f"later {number}", at("fr", 5)) for number in range(100)], 2)
    assert passing(table, Comparison("market", Operator.EQUAL, "de")) == ["first"]
