"""Searches by words, on a real record on either engine."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Awaitable, Iterator
from functools import partial
from typing import Any, Protocol

import numpy as np
import pytest
import sqlalchemy as sa

from retriever.columns import word_index as indexed
from retriever.columns.column_cache import Columns
from retriever.domain import words as domain
from retriever.domain.errors import KeywordsInvalid
from retriever.domain.index_values import Collapse
from retriever.domain.product import Attribute, Offer, ProductChange, ProductContent, ProductWrite
from retriever.record import Record
from retriever.record import keywords as stored
from retriever.record.tables import keywords as table
from retriever.search import keywords
from retriever.search.keywords import KeywordQuery
from servicekit import deadlines
from servicekit.errors import DeadlineExceeded
from servicekit.rpc.requests import RequestInvalid
from servicekit.sql.database import Database
from servicekit.tasks import off_loop
from sightline_rules.filters import Availability, Comparison, Filter, Money, Operator
from sightline_rules.markets import MarketValues
from sightline_rules.synonyms import SynonymRule, Synonyms
from sightline_rules.words import asked_words
from tests.stores import SQLITE, each_engine
from tests.unit.retriever.conftest import write
from tests.waiting import until

pytestmark = each_engine


class Found(Protocol):
    """The products that words find in the shop."""

    def __call__(self, text: str, **fields: Any) -> Awaitable[list[str]]: ...


SHOP = {
    "barolo": {"title": "Barolo Serralunga", "category_path": ("Wine", "Red"), "brand": "Rossi"},
    "rioja": {"title": "Rioja Reserva", "category_path": ("Wine", "Red"), "tags": ("organic",)},
    "sancerre": {"title": "Sancerre Rosé", "category_path": ("Wine", "Rosé")},
    "glass": {
        "title": "Glass for red wine",
        "category_path": ("Glasses",),
        "attributes": (Attribute("made_for", "Barolo"),),
    },
    "maotai": {"title": "贵州茅台酒", "category_path": ("白酒",)},
}


@pytest.fixture
async def shop(record: Record) -> Record:
    await record.write("default", [write(name, **it) for name, it in SHOP.items()])
    await record.write("other", [write("elsewhere", title="Barolo")])
    return record


@pytest.fixture(params=["in memory", "by the store"])
def columns(record: Record, request: pytest.FixtureRequest) -> Columns:
    """Return columns for both paths: words in memory, and the store's full-text search."""
    in_memory = request.param == "in memory"
    return Columns(record, exact_rows=100_000 if in_memory else 0, patience=None)


@pytest.fixture
def found(shop: Record, columns: Columns) -> Found:
    return partial(_found, shop, columns)


async def _found(record: Record, columns: Columns, text: str, **fields: Any) -> list[str]:
    answer = await keywords.search(KeywordQuery("default", text, **fields), record, columns=columns)
    similarities = list(answer.candidates.similarities)
    assert similarities == sorted(similarities, reverse=True)
    assert all(0 < value < 1 for value in similarities)
    return answer.candidates.product_ids


async def test_titles_count_most_then_names_then_details(found: Found) -> None:
    assert await found("barolo") == ["barolo", "glass"]
    assert await found("organic") == ["rioja"]
    assert await found("RED rossi") == ["barolo", "rioja", "glass"]
    assert await found("nothing of this kind") == []


async def test_accents_and_case_are_one(found: Found) -> None:
    assert await found("ROSE") == ["sancerre"]
    assert await found("rosé") == ["sancerre"]


async def test_chinese_is_found_without_spaces(found: Found) -> None:
    assert await found("茅台") == ["maotai"]
    assert await found("酒") == ["maotai"]
    assert await found("台茅") == []


DRINKS = Synonyms(
    (
        SynonymRule(("vino",), ("red wine", "sancerre")),
        SynonymRule(("barolo", "king of wines")),
    )
)


async def test_words_in_memory_also_mean_those_of_their_stem(shop: Record) -> None:
    await shop.write(
        "default",
        [
            write("one", title="Tomato soup"),
            write("two", title="Dried tomatoes"),
            write("eins", title="Rote Zwiebel"),
            write("zwei", title="Getrocknete Zwiebeln"),
            write("un", title="Cheval blanc"),
            write("deux", title="Selles pour chevaux"),
        ],
    )
    held = Columns(shop, exact_rows=1_000)
    assert await held.words("default", wait=True)
    for text, language, expected in (
        ("tomatoes", "en", ["two", "one"]),
        ("tomato", "en-GB", ["one", "two"]),
        ("tomatoes", "", ["two"]),
        ("tomatoes", "xx", ["two"]),
        ("Zwiebeln", "de", ["zwei", "eins"]),
        ("Zwiebel", "de-AT", ["eins", "zwei"]),
        ("Zwiebeln", "", ["zwei"]),
        ("chevaux", "fr", ["deux", "un"]),
        ("cheval", "fr-CA", ["un", "deux"]),
        ("chevaux", "en", ["deux"]),
    ):
        assert await _found(shop, held, text, language_code=language) == expected
    await shop.write("default", [write("three", title="Tomatoe")])
    assert "three" in await _found(shop, held, "tomato", language_code="en")


async def test_synonyms_of_a_text_are_found_after_its_words(shop: Record, columns: Columns) -> None:
    await shop.write("default", [write("vino", title="Vino Nobile")])
    ask = partial(keywords.search, record=shop, columns=columns, synonyms=DRINKS)
    answer = await ask(KeywordQuery("default", "vino"))
    assert next(iter(answer.candidates.product_ids)) == "vino"
    assert set(answer.candidates.product_ids) == {"vino", "glass", "sancerre", "barolo", "rioja"}
    assert answer.uses["glass"] == ("vino", "red wine")
    assert answer.uses["sancerre"] == ("vino", "sancerre")
    assert "vino" not in answer.uses
    one_way = await ask(KeywordQuery("default", "sancerre"))
    assert one_way.candidates.product_ids == ["sancerre"]
    assert one_way.uses == {}


async def test_a_phrase_has_the_products_of_its_synonym(shop: Record, columns: Columns) -> None:
    ask = partial(keywords.search, record=shop, columns=columns, synonyms=DRINKS)
    answer = await ask(KeywordQuery("default", "the kings of wine", language_code="en"))
    assert list(answer.candidates.product_ids)[:1] == ["barolo"]
    assert answer.uses["barolo"] == ("kings of wine", "barolo")
    counted = await keywords.counts(
        "default", ["king of wines", "king"], shop, columns, synonyms=DRINKS
    )
    assert counted == [2, 0]


async def test_a_text_of_which_nothing_has_a_word_is_corrected(shop: Record) -> None:
    columns = Columns(shop, patience=None)
    await shop.write("default", [write("gone", title="Zinfandel")])
    await shop.delete("default", ["gone"])

    async def ask(text: str, *, correct: bool = True, **fields: Any) -> keywords.KeywordAnswer:
        query = KeywordQuery("default", text, correct=correct, language_code="en", **fields)
        return await keywords.search(query, shop, columns=columns)

    fixed = await ask("Baorlo, Serralungga!")
    assert (fixed.corrected, fixed.candidates.product_ids) == (
        *("barolo, serralunga!", ["barolo", "glass"]),
    )
    assert (await ask("baorlo", correct=False)).candidates.product_ids == []
    for kept in ("baorlo red", "zinfandle", "glasses", "x", "茅酒", "?!"):
        assert (await ask(kept)).corrected == "", kept
    nowhere = Comparison("brand", Operator.EQUAL, "nobody")
    assert (await ask("barolo", condition=nowhere)).corrected == ""
    filtered = await ask("baorlo", condition=nowhere)
    assert (filtered.corrected, filtered.candidates.product_ids) == ("barolo", [])
    by_store = await keywords.search(KeywordQuery("default", "baorlo", correct=True), shop)
    assert by_store.corrected == ""


@pytest.mark.first(2)
@pytest.mark.parametrize(
    "text",
    [
        '"',
        "title: barolo",
        "barolo NOT rossi",
        "barolo*",
        "NEAR(barolo rossi, 2)",
        "^barolo",
        "'; DROP TABLE products; --",
        "barolo & !rossi | (x <-> y):*",
        "{title} : barolo AND",
        "\\ % _ \u0000 \ud83d\ude00",
        "+-*/(){}[]<>~",
        "barolo" * 600,
        "a " * 2_048,
    ],
)
async def test_a_query_is_text_and_no_language(text: str, found: Found) -> None:
    names = await found(text)
    assert ("barolo" in names) == ("barolo" in asked_words(text))


async def test_filters_are_exact_at_once(shop: Record, found: Found) -> None:
    cheap: Filter = Comparison("price", Operator.LESS, Money("EUR", 5))
    assert await found("barolo", condition=cheap) == []
    await shop.offer("default", [Offer("glass", Money("EUR", 4), Availability.IN_STOCK)])
    assert await found("barolo", condition=cheap) == ["glass"]
    titled = Comparison("title", Operator.CONTAINS, "Serra")
    assert await found("barolo red", condition=titled) == ["barolo"]
    within = Comparison("category", Operator.EQUAL, "Wine")
    assert await found("red", condition=within) == ["barolo", "rioja"]


async def test_words_follow_the_product(shop: Record, db: Database, found: Found) -> None:
    await shop.write("default", [write("rioja", title="Ribera")])
    assert await found("rioja") == []
    assert await found("ribera") == ["rioja"]
    tags = ("dry", "red", "barolo")
    change = ProductChange(ProductContent("rioja", "", tags=tags), frozenset({"tags"}), {})
    await shop.change("default", [change])
    assert await found("barolo") == ["barolo", "rioja", "glass"]
    await shop.delete("default", ["barolo"])
    assert await found("barolo") == ["rioja", "glass"]
    with db.engine.connect() as connection:
        held = connection.execute(sa.select(table.c.product_id)).scalars().all()
    assert sorted(held) == ["elsewhere", "glass", "maotai", "rioja", "sancerre"]


async def test_a_text_finds_products_by_their_titles_in_its_market(
    shop: Record, db: Database, found: Found
) -> None:
    markets = (MarketValues("ch-fr", title="Chemise en lin"), MarketValues("de", title="Hemd"))
    await shop.write("default", [write("shirt", title="Linen shirt", markets=markets)])

    async def all_ways() -> None:
        assert await found("chemise", market_id="ch-fr") == ["shirt"]
        assert await found("chemise", market_id="ch") == []
        assert await found("chemise hemd", market_id="de") == ["shirt"]
        assert await found("chemise") == await found("hemd") == []
        assert await found("linen", market_id="de") == await found("linen") == ["shirt"]
        assert await found("hemd", market_id="de", correct=True) == ["shirt"]

    await all_ways()
    with db.engine.begin() as connection:  # as the last release wrote it
        mine = table.update().where(table.c.product_id == "shirt")
        connection.execute(mine.values(title="linen shirt"))
        stored.fill(connection)
    await all_ways()
    change = ProductChange(ProductContent("shirt", ""), frozenset({"markets"}), {})
    await shop.change("default", [change])
    assert await found("hemd", market_id="de") == []


async def test_synonyms_count_in_a_market_too(shop: Record, columns: Columns) -> None:
    market = MarketValues("en", title="Red blouse")
    await shop.write("default", [write("top", title="Oberteil", markets=(market,))])
    rules = Synonyms((SynonymRule(("tunic",), ("red blouse",)),))

    async def found(market_id: str) -> list[str]:
        query = KeywordQuery("default", "tunic", market_id=market_id)
        answer = await keywords.search(query, shop, columns=columns, synonyms=rules)
        return answer.candidates.product_ids

    assert await found("en") == ["top"]
    assert await found("") == []


async def test_excluded_products_and_near_duplicates_are_left_out(
    shop: Record, found: Found
) -> None:
    assert await found("barolo", excluded=("barolo",)) == ["glass"]
    variants = [ProductWrite(ProductContent(n, "Chianti", parent_id="c"), {}) for n in "ab"]
    await shop.write("default", variants)
    assert await found("chianti") == ["a"]
    assert await found("chianti", collapse=Collapse.MARK) == ["a", "b"]
    assert await found("chianti", collapse=Collapse.OFF) == ["a", "b"]


async def test_an_answer_is_filled_although_most_are_near_duplicates(
    shop: Record, found: Found
) -> None:
    alike = [ProductWrite(ProductContent(f"v{n:03}", "Gin", parent_id="v"), {}) for n in range(120)]
    other = ProductWrite(ProductContent("x", "A gin of another kind, much further down"), {})
    await shop.write("default", [*alike, other])
    assert await found("gin", top_k=2) == ["v000", "x"]


async def test_common_words_select_nothing_beside_rarer_ones(
    monkeypatch: pytest.MonkeyPatch, found: Found
) -> None:
    for module in (domain, stored, indexed):
        monkeypatch.setattr(module, "MOST_COUNTED", 2)
    assert await found("wine serralunga") == ["barolo"]
    assert await found("wine red") == ["barolo", "rioja", "glass"]


async def test_what_was_typed_is_1_to_4096_characters(found: Found) -> None:
    for text in ("", "x" * 4_097):
        with pytest.raises(KeywordsInvalid):
            await found(text)
    with pytest.raises(RequestInvalid):
        await found("x", top_k=1_001)
    with pytest.raises(RequestInvalid):
        await found("x", excluded=("x",) * 1_001)


# What a search costs


async def _fill(record: Record) -> None:
    """Add a catalog of many products that all have the shop's words."""
    await record.write("large", [write(f"l{n}", title=f"Barolo red {n} 酒") for n in range(2_000)])


@pytest.fixture
async def large(shop: Record) -> Record:
    await _fill(shop)
    return shop


@pytest.mark.full
async def test_the_store_reads_the_postings_of_the_own_catalog_alone(
    large: Record, db: Database
) -> None:
    """Count the read rows: two of its products have the word, and so have 2,001 of other
    catalogs."""
    read = _in_sqlite if db.engine.name == SQLITE else _in_postgresql
    assert await db.write(read) == 2
    by_store = Columns(large, exact_rows=0, patience=None)
    assert set(await _found(large, by_store, "barolo 酒")) == {"barolo", "maotai", "glass"}


def _in_sqlite(connection: sa.Connection) -> int:
    """Return the postings of the searched word in SQLite's index."""
    statement = stored._SQLite("default").having(["barolo"])
    term = str(statement.compile().params["words"]).strip('"')
    connection.exec_driver_sql(
        "CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, keywords_index, 'row')"
    )
    docs = "SELECT doc FROM temp.terms WHERE term = ?"
    return int(connection.exec_driver_sql(docs, (term,)).scalar_one())


def _in_postgresql(connection: sa.Connection) -> int:
    """Return the maximum rows that any step of PostgreSQL's plan reads, discarded ones included."""
    connection.exec_driver_sql("DROP INDEX keywords_product")  # which reads the whole catalog
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    asked = stored._PostgreSQL("default").having(["barolo"]).compile(connection)
    explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {asked}"
    (plan,) = connection.exec_driver_sql(explained, asked.params).scalar_one()
    return max(map(_read, _nodes(plan["Plan"])))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def _read(node: dict[str, Any]) -> int:
    thrown = sum(rows for name, rows in node.items() if name.startswith("Rows Removed"))
    return int(node["Actual Rows"] + thrown)


@pytest.mark.full
async def test_what_another_catalog_holds_makes_a_search_no_longer(
    shop: Record, db: Database
) -> None:
    """Check the steps of SQLite's virtual machine: none for products of other catalogs."""
    if db.engine.name != SQLITE:
        return  # its rows are counted above
    ask = partial(
        stored.find_words,
        catalog_id="default",
        asked=("barolo", "red"),
        condition=keywords.EVERYTHING,
        excluded=(),
    )

    def steps(connection: sa.Connection) -> int:
        counted: list[None] = []
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.set_progress_handler(lambda: counted.append(None), 1)
        assert ask(connection)
        driver.set_progress_handler(None, 0)
        return len(counted)

    alone = await db.read(steps)
    await _fill(shop)
    assert await db.read(steps) < alone + 2_000


async def test_a_search_stops_when_nobody_waits_for_it(shop: Record) -> None:
    """Cancel the search in the store, in its loop over the selected products."""
    with deadlines.within(0.0), pytest.raises(DeadlineExceeded):
        await shop.find_words("default", ("barolo",), keywords.EVERYTHING, ())


async def test_words_in_memory_are_added_up_off_the_event_loop(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check also that writes meanwhile appear in the next search."""
    await record.write("default", [write(f"p{n}", title="Barolo") for n in range(20)])
    threads: set[int] = set()

    def noted(frequency: domain.Frequency) -> domain.Frequency:
        threads.add(threading.get_ident())
        return domain.saturated(frequency)

    monkeypatch.setattr(indexed, "saturated", noted)
    monkeypatch.setattr(off_loop, "INLINE_STEPS", -1)
    columns = Columns(record, patience=None)
    assert len(await _found(record, columns, "barolo")) == 20
    assert threads
    assert threading.get_ident() not in threads


# In memory against the store

WORDS = ("red", "dry", "oak", "fruit", "old", "vine", "cru", "rosé")


ALIKE = Synonyms(
    (
        SynonymRule(("red", "old vine", "nothing")),
        SynonymRule(("dry",), ("oak fruit", "cru")),
        SynonymRule(("wine", "red")),
    )
)


def product_of(random: np.random.Generator, product_id: str) -> ProductWrite:
    def some(most: int) -> list[str]:
        return [str(word) for word in random.choice(WORDS, int(random.integers(most + 1)))]

    content = ProductContent(
        product_id,
        " ".join(["wine", *some(4)]),
        brand=f"b{random.integers(3)}",
        tags=tuple(dict.fromkeys(some(2))),
        attributes=tuple(Attribute("note", word) for word in dict.fromkeys(some(2))),
    )
    return ProductWrite(content, {})


@pytest.mark.first(2)
@pytest.mark.parametrize("seed", range(6))
async def test_words_in_memory_say_what_the_store_says(
    seed: int, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(seed)
    for module in (domain, stored, indexed) if seed % 2 else ():
        monkeypatch.setattr(module, "MOST_COUNTED", 4)
    monkeypatch.setattr(indexed, "LEAST_DEAD", 8)  # so that the index is rebuilt too
    columns = Columns(record, patience=None)
    for _ in range(8):
        ids = [f"p{number}" for number in random.permutation(40)[: int(random.integers(1, 20))]]
        await record.write("default", [product_of(random, each) for each in ids])
        await record.delete("default", ids[: int(random.integers(3))])
        text = " ".join(random.choice([*WORDS, "wine", "nothing"], int(random.integers(1, 5))))
        brand: Filter = Comparison("brand", Operator.EQUAL, "b1")
        query = KeywordQuery(
            "default",
            text,
            condition=brand if random.random() < 0.5 else keywords.EVERYTHING,
            excluded=tuple(ids[-2:]),
            collapse=Collapse.OFF,
        )
        rules = ALIKE if random.random() < 0.5 else Synonyms()
        memory = await keywords.search(query, record, columns=columns, synonyms=rules)
        store = await keywords.search(query, record, synonyms=rules)
        assert memory.uses == store.uses
        assert memory.candidates.product_ids == store.candidates.product_ids
        assert memory.candidates.similarities == store.candidates.similarities
        assert memory.plan == store.plan


async def test_the_store_answers_while_words_are_read_for_the_first_time(shop: Record) -> None:
    columns = Columns(shop)
    assert await columns.view("default") is not None
    assert await columns.words("default") is None
    await until(partial(columns.words, "default"))
    await shop.write("default", [write("rioja", title="Ribera")])
    held = await columns.words("default")
    assert held is not None, "a refresh is waited for"
    assert len(held[1]) == len(SHOP)


async def test_words_of_too_large_a_catalog_are_left_to_the_store(shop: Record) -> None:
    few = Columns(shop, exact_rows=4, patience=None)
    assert await few.words("default") is None
    held = await few.words("other")
    assert held is not None
    assert len(held[1]) == 1
