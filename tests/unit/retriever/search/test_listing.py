"""Listings against a sorted list: ties, missing values, variants, filters, and writes between
pages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retriever.columns.column import AskedFacet
from retriever.columns.column_cache import Columns, View
from retriever.columns.ordering import tie_of
from retriever.columns.table import ProductTable
from retriever.domain.errors import ColumnsUnavailable
from retriever.domain.words import match, rarity, words_in
from retriever.record import Record
from retriever.search.listing import RANKED, RELEVANCE, ListingPage, ListingQuery, browse
from servicekit.rpc.requests import PageTokenInvalid, RequestInvalid, pack_token, unpack_token
from sightline_rules import kinds
from sightline_rules.fields import ORDERS
from sightline_rules.filters import Comparison, Operator
from tests.unit.retriever.columns.conftest import patient
from tests.unit.retriever.conftest import write
from tests.unit.retriever.rows import row

Shop = dict[str, dict[str, Any]]
"""Cells of products by id."""

ORDER = st.sampled_from([*sorted(ORDERS), RANKED])
IDS = [f"p{number}" for number in range(9)]
PRICES = [(None, None), (5_000_000, "EUR"), (7_000_000, "EUR"), (6_000_000, "USD"), (0, "EUR")]
CELLS = st.builds(
    lambda brand, price, rating, created, category: {
        "brand": brand,
        "price_micros": price[0],
        "currency": price[1],
        "rating": rating,
        "create_time": created,
        "category": category,
    },
    st.sampled_from(["", "Aurora", "aurora", "Boreas", "Éclat"]),
    st.sampled_from(PRICES),
    st.sampled_from([None, 0, 31, 50]),
    st.integers(-2, 2),
    st.sampled_from(["Wine", "Beer"]),
)
SHOP = st.dictionaries(st.sampled_from(IDS), CELLS, max_size=len(IDS))
WRITES = st.lists(st.tuples(st.sampled_from(IDS), st.none() | CELLS), max_size=4)
WINE = Comparison("category", Operator.EQUAL, "Wine")
POPULAR = ("p3", "p1", "gone", "p5", "p3")


class Held:
    """Columns of one table, and the record's commits."""

    def __init__(self, shop: Shop) -> None:
        self.view_ = View.of(ProductTable(self._rows(shop), 1))

    async def view(self, _: str) -> View:
        return self.view_

    async def words(self, _: str) -> None:
        return None

    def write(self, product_id: str, cells: dict[str, Any] | None) -> None:
        table = self.view_.table
        if cells is None:
            table.remove([product_id])
        table.put([] if cells is None else self._rows({product_id: cells}), table.commit + 1)

    def page(self, query: ListingQuery) -> ListingPage:
        return asyncio.run(browse(query, self, self))  # type: ignore[arg-type]

    async def find_words(self, *_: object, **__: object) -> list[tuple[str, float]]:
        return [("p1", 0.5), ("gone", 0.4)]

    def ids(self, page: ListingPage) -> list[str]:
        return [self.view_.table.ids[place] for place in page.places]

    @staticmethod
    def _rows(shop: Mapping[str, dict[str, Any]]) -> list[Any]:
        return [row(name, **cells) for name, cells in shop.items()]


def key_of(order: str, shop: Shop, ranked: Sequence[str] = POPULAR) -> Any:
    """Return the sort key of the plain reference; `shop` decides the usual currency."""
    if order == RANKED:
        places = {name: place for place, name in reversed([*enumerate(ranked)])}
        return lambda name: (
            name not in places,
            places.get(name, -shop[name]["create_time"]),
            tie_of(name),
        )
    field, by = ORDERS[order]
    known = [cells["currency"] for cells in shop.values() if cells["price_micros"] is not None]
    usual = max(dict.fromkeys(known), key=known.count, default=None)

    def key(name: str) -> tuple[Any, ...]:
        cells = shop[name]
        match field.kind:
            case kinds.MoneyKind():
                value = cells["price_micros"] if cells["currency"] == usual else None
            case kinds.TextKind():
                value = cells[field.name].casefold() or None
            case _:
                value = cells[field.name]
        if value is None:
            return (1, 0, tie_of(name))
        return (0, -value if by.falling else value, tie_of(name))

    return key


def listed(held: Held, query: ListingQuery, *, writes: Sequence[tuple[str, Any]] = ()) -> list[str]:
    """Return all pages, with a write after each of the first ones."""
    found, token, left = list[str](), "", list(writes)
    while True:
        page = held.page(replace(query, token=token))
        found += held.ids(page)
        if not (token := page.next_token):
            return found
        if left:
            held.write(*left.pop(0))


@given(SHOP, ORDER, st.integers(1, 4), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_pages_are_the_sorted_list_of_what_passes(
    shop: Shop, order: str, size: int, filtered: bool, buried: bool
) -> None:
    query = ListingQuery("default", order, size=size, ranked=POPULAR)
    if filtered:
        query = replace(query, condition=WINE)
    if buried:
        query = replace(query, last=Comparison("brand", Operator.EQUAL, "Aurora"))
    passing = {
        name: cells for name, cells in shop.items() if not filtered or cells["category"] == "Wine"
    }
    key = key_of(order, passing)
    expected = sorted(
        passing, key=lambda name: (buried and shop[name]["brand"] == "Aurora", key(name))
    )
    known = {cells["currency"] for cells in passing.values() if cells["price_micros"] is not None}
    tied = len(known) > 1 and order.startswith("PRICE")
    held = Held(shop)
    assert held.page(query).total == len(passing)
    assert tied or listed(held, query) == expected
    assert sorted(listed(held, query)) == sorted(passing)


@given(SHOP, ORDER, st.integers(1, 2), WRITES)
@example(
    {"p0": {"rating": 50}, "p1": {"rating": 31}, "p2": {"rating": 0}},
    "RATING",
    1,
    [("p0", {"rating": 0}), ("p2", {"rating": 50})],
)
@settings(max_examples=100, deadline=None)
def test_writes_between_pages_neither_repeat_nor_skip_a_product(
    shop: Shop, order: str, size: int, writes: list[tuple[str, Any]]
) -> None:
    held = Held(shop)
    query = ListingQuery("default", order, size=size, ranked=POPULAR)
    unchanged = listed(held, query)
    found = listed(held, query, writes=writes)
    again = {name for name, cells in writes if cells is None}
    kept = [name for name in unchanged if name not in again]
    assert [name for name in found if name in kept] == kept
    assert len(set(found) - again) == len([name for name in found if name not in again])


def cells(**given: Any) -> dict[str, Any]:
    return given


def test_the_first_product_of_a_family_stands_for_its_variants() -> None:
    shop = {
        "p0": cells(rating=10),
        "p1": cells(rating=50, parent_id="p0"),
        "p2": cells(rating=30, parent_id="p0"),
        "p3": cells(rating=40),
    }
    held = Held(shop)
    page = held.page(ListingQuery("default", "RATING", size=9))
    assert (held.ids(page), page.total) == (["p1", "p3"], 2)
    assert page.variants == [["p2", "p0"], []]
    facets = held.page(ListingQuery("default", "RATING", facets=(AskedFacet("availability", 9),)))
    assert (facets.places, facets.total, facets.facets[0].values[0].products) == ([], 2, 2)


def test_excluded_products_are_left_out() -> None:
    held = Held({name: cells(create_time=place) for place, name in enumerate(IDS)})
    query = ListingQuery("default", "NEWEST", size=9, excluded=("p8", "gone"))
    assert held.ids(held.page(query)) == IDS[7::-1]


def test_excluded_families_are_left_out_with_their_variants_also_on_later_pages() -> None:
    shop = {name: cells(create_time=place) for place, name in enumerate(IDS)}
    shop["p8"]["parent_id"] = shop["p7"]["parent_id"] = "p1"
    held = Held(shop)
    query = ListingQuery("default", "NEWEST", size=4, excluded_families=("p7", "p4", "gone"))
    page = held.page(query)
    assert (held.ids(page), page.total) == (["p6", "p5", "p3", "p2"], 5)
    after = replace(query, token=page.next_token, excluded_families=())
    assert held.ids(held.page(after)) == ["p0"]


def test_a_text_lists_the_products_that_have_its_words() -> None:
    held = Held({name: cells() for name in IDS})
    assert held.ids(held.page(ListingQuery("default", "NEWEST", size=9, text="red"))) == ["p1"]
    assert held.ids(held.page(ListingQuery("default", "NEWEST", size=9, text="…"))) == []


def test_a_catalog_that_did_not_change_is_not_listed_again() -> None:
    held = Held({"p0": cells()})
    query = ListingQuery("default", "NEWEST", size=9)
    known = replace(query, known_state=held.page(query).state)
    assert (held.page(known).not_modified, held.page(known).places) == (True, ())
    held.write("p0", cells(rating=1))
    assert not held.page(known).not_modified


@pytest.mark.parametrize(
    "fields",
    [
        {"order": "TITLE"},
        {"order": RELEVANCE},
        {"size": 1001},
        {"size": -1},
        {"excluded": ("p",) * 10_001},
        {"excluded_families": ("p",) * 10_001},
        {"last_ids": ("p",) * 10_001},
        {"ranked": ("p",) * 10_001},
        {"text": "x" * 4097},
    ],
)
def test_requests_out_of_range_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestInvalid):
        Held({}).page(replace(ListingQuery("default", "NEWEST"), **fields))


def test_a_token_of_another_listing_or_a_forged_one_is_refused() -> None:
    held = Held({name: cells(rating=place) for place, name in enumerate(IDS)})
    query = ListingQuery("default", "RATING", size=2)
    token = held.page(query).next_token
    for other in ({"order": "NEWEST"}, {"condition": WINE}, {"excluded": ("p1",)}, {"text": "x"}):
        with pytest.raises(PageTokenInvalid):
            held.page(replace(query, token=token, **other))
    parts = unpack_token(token)
    for place, wrong in ((-1, ""), (-2, "=x"), (-2, f"={2**63}"), (-2, "7"), (-3, 4), (-5, "1")):
        forged = parts.copy()
        forged[place] = wrong
        with pytest.raises(PageTokenInvalid):
            held.page(replace(query, token=pack_token(*forged)))


async def test_pages_see_acknowledged_writes_and_keep_the_order_of_the_first(
    record: Record,
) -> None:
    columns = patient(record)
    await record.write(
        "default", [write(name, rating=float(place)) for place, name in enumerate("abc")]
    )
    query = ListingQuery("default", "RATING", size=1)
    first = await browse(query, columns, record)
    await record.write("default", [write("c", rating=0.0), write("a", rating=5.0)])
    rest = await browse(replace(query, size=9, token=first.next_token), columns, record)
    table = rest.view.table
    assert [table.ids[place] for place in (*first.places, *rest.places)] == ["c", "b", "a"]
    assert rest.state != first.state


EXACT_ROWS = pytest.mark.parametrize(
    "exact_rows", [1_000, 0], ids=["words in memory", "words in the record"]
)
TITLES = {
    f"w{number}": " ".join(["wine", *("red" for _ in range(number // 6 % 3)), *words])
    for number, words in enumerate(
        ([], ["barolo"], ["barolo", "old"], ["old", "vine"], ["barolo", "barolo"], ["oak"]) * 4
    )
}
BEST = ("w14", "gone", "w2", "w20")


async def relevant(record: Record, columns: Columns, query: ListingQuery) -> list[str]:
    """Return the ids of a page and of those behind it."""
    found = list[str]()
    while True:
        page = await browse(query, columns, record)
        found += [page.view.table.ids[place] for place in page.places]
        if not page.next_token:
            return found
        query = replace(query, token=page.next_token)


@EXACT_ROWS
async def test_a_text_orders_the_whole_result_by_its_matches_and_equal_ones_by_rank(
    record: Record, exact_rows: int
) -> None:
    columns = patient(record, exact_rows=exact_rows)
    await record.write("default", [write(name, title=each) for name, each in TITLES.items()])
    held = {name: words_in(write(name, title=each).content) for name, each in TITLES.items()}
    counts = {
        word: sum(word in each.title.split() for each in held.values())
        for word in ("barolo", "red")
    }
    rarities = {word: rarity(count, len(held)) for word, count in counts.items()}
    expected = sorted(
        (name for name, each in held.items() if {"barolo", "red"} & {*each.title.split()}),
        key=lambda name: (
            -round(match(rarities, held[name]), 9),
            BEST.index(name) if name in BEST else len(BEST),
            tie_of(name),
        ),
    )
    assert len({round(match(rarities, held[name]), 9) for name in expected}) > 5
    query = ListingQuery("default", RELEVANCE, text="Red Barolo", ranked=BEST)
    for size in (1, 4, 100):
        assert await relevant(record, columns, replace(query, size=size)) == expected
    buried = replace(query, size=5, last_ids=(expected[0],))
    assert await relevant(record, columns, buried) == [*expected[1:], expected[0]]


@EXACT_ROWS
async def test_writes_of_other_products_do_not_move_a_match(
    record: Record, exact_rows: int
) -> None:
    columns = patient(record, exact_rows=exact_rows)
    shop = {f"r{n}": "red" for n in range(3)} | {f"b{n}": "barolo" for n in range(6)}
    await record.write("default", [write(name, title=each) for name, each in shop.items()])
    query = ListingQuery("default", RELEVANCE, text="red barolo", size=100)
    unchanged = await relevant(record, columns, query)
    assert {name[0] for name in unchanged[:3]} == {"r"}, "the rarer word counts more"
    first = await browse(replace(query, size=2), columns, record)
    await record.write("default", [write(f"n{n}", title="red") for n in range(30)])
    assert (await relevant(record, columns, query))[0][0] == "b"
    rest = await relevant(record, columns, replace(query, size=2, token=first.next_token))
    assert [name for name in rest if name in shop] == unchanged[2:]


async def test_forged_statistics_of_a_page_token_are_refused(record: Record) -> None:
    columns = patient(record)
    await record.write("default", [write(f"r{n}", title="red") for n in range(3)])
    query = ListingQuery("default", RELEVANCE, text="red", size=1)
    parts = unpack_token((await browse(query, columns, record)).next_token)
    assert parts[-4] == "=3,3"
    for wrong in ("=", "=3", "=3,3,3", "=3,x", "=3,-3", "=3,1000000", "=3,٣"):
        forged = [*parts[:-4], wrong, *parts[-3:]]
        with pytest.raises(PageTokenInvalid):
            await browse(replace(query, token=pack_token(*forged)), columns, record)


async def test_a_catalog_without_columns_is_not_listed(record: Record) -> None:
    with pytest.raises(ColumnsUnavailable):
        await browse(ListingQuery("default", "NEWEST"), patient(record, most_products=0), record)
