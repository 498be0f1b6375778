"""Suggestions against a search that looks at every product."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.columns.column_cache import Columns, View
from retriever.columns.suggestion_index import BUSY_SHARE, SuggestionIndex, SuggestionIndexes
from retriever.columns.table import ProductTable
from retriever.domain.errors import ColumnsUnavailable
from retriever.domain.product import Attribute
from retriever.record import Record
from retriever.search.suggest import (
    MOST_OF_A_KIND,
    MOST_PREFIX,
    SuggestionQuery,
    suggest,
)
from servicekit.rpc.requests import RequestInvalid
from sightline_core.search import CatalogSuggestions, SuggestedText
from sightline_rules import categories
from sightline_rules.synonyms import SynonymRule, Synonyms
from sightline_rules.words import words_of
from tests.unit.retriever.columns.conftest import patient
from tests.unit.retriever.conftest import write
from tests.unit.retriever.rows import row
from tests.waiting import until

Shop = Mapping[str, dict[str, Any]]
"""Cells of products by id."""

IDS = [f"p{number}" for number in range(8)]
WORDS = st.lists(st.sampled_from(["Red", "reds", "Rot", "Wine", "Wïne", "Winery", "W"]), max_size=3)
CELLS = st.builds(
    lambda title, brand, category, tags, sold_out: {
        "title": " ".join(title),
        "brand": brand,
        "category": category,
        "tags": tags,
        "availability": "OUT_OF_STOCK" if sold_out else "IN_STOCK",
    },
    WORDS,
    st.sampled_from(["", "Red Hill", "Winery Wo", "Rot"]),
    st.sampled_from(["Wine", "Wine > Red", "Wine > Rosé wine", "Rot"]),
    st.sampled_from(["[]", '["red blend"]', '["wild"]', '["red blend", "wild"]']),
    st.booleans(),
)
SHOP = st.dictionaries(st.sampled_from(IDS), CELLS, max_size=len(IDS))
TYPED = st.sampled_from(["r", "re", "red", "red ", "wine r", "red wi", "Wïn", "w", "hill red", "x"])


class Shelf(Columns):
    """Columns of one table."""

    def __init__(self, table: ProductTable) -> None:
        self.table = table

    async def view(self, catalog_id: str) -> View:
        return View.of(self.table)


def table_of(shop: Shop) -> ProductTable:
    return ProductTable([row(item, **cells) for item, cells in shop.items()], 1)


def asked(
    table: ProductTable, prefix: str, size: int = MOST_OF_A_KIND, language: str = ""
) -> CatalogSuggestions:
    indexes = SuggestionIndexes(Shelf(table), patience=None)
    return asyncio.run(suggest(SuggestionQuery("default", prefix, size, language), indexes))


def texts(found: Sequence[SuggestedText]) -> list[tuple[str, int]]:
    return [(each.text, each.count) for each in found]


def has(text: str, prefix: str) -> bool:
    """Return whether a text has the words of another, whose last one may be unfinished."""
    held, (*head, last) = words_of(text), words_of(prefix)
    whole = prefix.endswith(" ")
    return all(word in held for word in head) and any(
        word == last if whole else word.startswith(last) for word in held
    )


def begins(text: str, prefix: str) -> bool:
    """Return whether a text's first word is the first of another."""
    (mine, *_), (other, *more) = words_of(text), words_of(prefix)
    return mine == other if more or prefix.endswith(" ") else mine.startswith(other)


def searched(cells: Mapping[str, Any]) -> str:
    return f"{cells['title']} {cells['brand']} {cells['category']}"


@given(SHOP, TYPED)
def test_facet_values_are_counted_and_ordered_as_a_search_of_all_products_does(
    shop: Shop, prefix: str
) -> None:
    counts = Counter[str]()
    for cells in shop.values():
        counts.update([cells["brand"]] if cells["brand"] else [])
        counts.update(f"/{path}" for path in categories.ancestors(cells["category"]))
    names = {text: text.rpartition(" > ")[2].removeprefix("/") for text in counts}
    found = [text for text in counts if has(names[text], prefix)]
    found.sort(
        key=lambda each: (
            not begins(names[each], prefix),
            -counts[each],
            each.removeprefix("/"),
            each.startswith("/"),
        )
    )
    expected = [(text.removeprefix("/"), counts[text]) for text in found]
    answer = asked(table_of(shop), prefix)
    if not answer.corrected:
        assert texts(answer.facet_values) == expected


@given(SHOP, TYPED)
def test_products_have_all_words_and_are_in_the_stated_order(shop: Shop, prefix: str) -> None:
    expected = {
        item: (
            not has(cells["title"], prefix),
            not begins(cells["title"], prefix),
            cells["availability"] == "OUT_OF_STOCK",
        )
        for item, cells in shop.items()
        if has(searched(cells), prefix) and cells["title"]
    }
    answer = asked(table_of(shop), prefix)
    found = [each.product_id for each in answer.products]
    if answer.corrected or len("".join(words_of(prefix))) < 3:
        return
    titles = {shop[item]["title"].casefold() for item in expected}
    assert {shop[item]["title"].casefold() for item in found} == titles, "each title once"
    assert len(found) == len(titles)
    assert [expected[item] for item in found] == sorted(expected[item] for item in found)


@given(SHOP, TYPED)
def test_words_complete_what_was_typed_as_products_have_them(shop: Shop, prefix: str) -> None:
    counts, (*head, last) = Counter[str](), words_of(prefix)
    for cells in shop.values():
        held = set(words_of(searched(cells)))
        if held.issuperset(head):
            whole = prefix.endswith(" ")
            counts.update(w for w in held if (w == last if whole else w.startswith(last)))
    answer = asked(table_of(shop), prefix)
    if answer.corrected:
        return
    tags = {"red blend", "wild"}
    found = {
        " ".join(words_of(each.text)): each.count
        for each in answer.completions
        if each.text not in tags
    }
    assert found == {" ".join([*head, word]): count for word, count in counts.items()}
    order = [(-each.count, each.text) for each in answer.completions]
    assert order == sorted(order)


def test_a_value_that_two_products_share_completes_a_text() -> None:
    shop = {
        "a": {"title": "One", "tags": '["Summer dinner", "alone"]'},
        "b": {"title": "Two", "tags": '["Summer dinner"]'},
    }
    answer = asked(table_of(shop), "din")
    assert texts(answer.completions) == [("Summer dinner", 2)]
    assert answer.completions[0].marks == [(7, 10)]
    assert not asked(table_of(shop), "alo")


def test_only_where_nothing_has_the_words_they_are_corrected() -> None:
    shop = {
        "a": {"title": "Château Margaux rouge"},
        "b": {"title": "Chateau Margaux blanc", "availability": "OUT_OF_STOCK"},
        "c": {"title": "Chablis"},
    }
    answer = asked(table_of(shop), "chataeu marg")
    assert answer.corrected
    assert texts(answer.completions) == [("château margaux", 2)]
    assert [each.product_id for each in answer.products] == ["a", "b"]
    assert answer.products[0].marks == [(0, 7), (8, 12)]
    assert not asked(table_of(shop), "cha").corrected
    assert not asked(table_of(shop), "xyzzy")
    assert not asked(table_of(shop), " -- ")


def test_the_language_decides_which_words_are_alike() -> None:
    shop = {"a": {"title": "Wines of Chile"}, "b": {"title": "Wine rack"}}
    assert len(asked(table_of(shop), "wine ", language="en").products) == 2
    assert len(asked(table_of(shop), "wine ", language="").products) == 1


def test_variants_and_equal_titles_count_once() -> None:
    shop = {
        "a": {"title": "Shirt red", "parent_id": "shirt"},
        "b": {"title": "Shirt blue", "parent_id": "shirt"},
        "c": {"title": "Shirt green"},
        "d": {"title": "shirt GREEN"},
    }
    found = asked(table_of(shop), "shirt").products
    assert len({each.product_id for each in found} & {"a", "b"}) == 1
    assert len(found) == 2


def test_a_removed_product_is_not_suggested_although_the_index_is_older() -> None:
    table = table_of({"a": {"title": "Barolo"}, "b": {"title": "Barbera"}})
    now = [0.0]
    indexes = SuggestionIndexes(Shelf(table), patience=None, clock=lambda: now[0])
    query = SuggestionQuery("default", "bar", 5)

    async def ask() -> list[str]:
        found = await suggest(query, indexes)
        return [each.product_id for each in found.products]

    async def flow() -> None:
        assert sorted(await ask()) == ["a", "b"]
        kept = await indexes.of("default")
        assert kept is not None
        table.remove(["a"])
        assert await ask() == ["b"]
        table.put([row("c", title="Bardolino")])
        now[0] = 100.0 * BUSY_SHARE
        await ask()  # starts to build it again
        await until(lambda: replaced(indexes, kept[1]))
        assert sorted(await ask()) == ["b", "c"]

    asyncio.run(flow())


async def replaced(indexes: SuggestionIndexes, former: SuggestionIndex) -> bool:
    newer = await indexes.of("default")
    return newer is not None and newer[1] is not former


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (SuggestionQuery("default", "x" * (MOST_PREFIX + 1), 5), "prefix"),
        (SuggestionQuery("default", "x", 0), "page_size"),
        (SuggestionQuery("default", "x", MOST_OF_A_KIND + 1), "page_size"),
    ],
)
def test_a_field_out_of_range_is_refused(query: SuggestionQuery, field: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        asyncio.run(suggest(query, SuggestionIndexes(Shelf(table_of({})))))
    assert [each.field for each in caught.value.violations] == [field]


async def test_a_catalog_that_is_not_in_memory_has_no_suggestions(record: Record) -> None:
    indexes = SuggestionIndexes(patient(record, most_products=0))
    with pytest.raises(ColumnsUnavailable):
        await suggest(SuggestionQuery("default", "x", 5), indexes)


async def test_values_of_a_real_record_are_suggested(record: Record) -> None:
    held = (Attribute("country", "Chile"), Attribute("vegan", True))
    wines = [
        write(item, title="Carménère", attributes=held, brand="Concha") for item in ("p1", "p2")
    ]
    await record.write("default", wines)
    indexes = SuggestionIndexes(patient(record), patience=None)
    found = await suggest(SuggestionQuery("default", "chi", 5), indexes)
    assert texts(found.completions) == [("Chile", 2)]
    found = await suggest(SuggestionQuery("default", "con", 5), indexes)
    assert texts(found.facet_values) == [("Concha", 2)]
    found = await suggest(SuggestionQuery("default", "carmenere", 5), indexes)
    assert [each.text for each in found.products] == ["Carménère"]


# Synonyms

SHOES: Shop = {
    "p0": {"title": "Blue sneaker"},
    "p1": {"title": "Trainer socks"},
    "p2": {"title": "Running shoe"},
    "p3": {"title": "Running belt"},
}
ALIKE = Synonyms((SynonymRule(("sneaker", "trainer", "running shoe")),))


def phrased(prefix: str, language: str = "en") -> CatalogSuggestions:
    indexes = SuggestionIndexes(Shelf(table_of(SHOES)), patience=None)
    return asyncio.run(suggest(SuggestionQuery("default", prefix, 5, language), indexes, ALIKE))


def test_suggestions_for_synonyms_follow_those_for_the_typed_text() -> None:
    found = phrased("trainers")
    assert [each.text for each in found.products] == [
        *("Trainer socks", "Blue sneaker", "Running shoe")
    ]
    assert not found.corrected
    assert [each.text for each in phrased("running shoe").products] == [
        *("Running shoe", "Blue sneaker", "Trainer socks")
    ]


def test_only_the_part_of_a_text_that_has_a_synonym_is_replaced() -> None:
    assert [each.text for each in phrased("blue trainer").products] == ["Blue sneaker"]
    assert [each.text for each in phrased("train").products] == ["Trainer socks"]


def test_synonyms_are_used_before_words_are_corrected() -> None:
    found = phrased("blue trainer ")
    assert (found.corrected, [each.text for each in found.completions]) == (False, ["blue sneaker"])
    assert phrased("blue sneakre").corrected
