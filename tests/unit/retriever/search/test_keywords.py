"""Searches by words, on a real record on either engine."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from retriever.domain.errors import KeywordsInvalid
from retriever.domain.index_values import Collapse
from retriever.domain.product import Attribute, Offer, ProductChange, ProductContent, ProductWrite
from retriever.record import Record
from retriever.record import keywords as stored
from retriever.record.tables import keywords as table
from retriever.search import keywords
from retriever.search.keywords import Query
from servicekit.requests import RequestInvalid
from servicekit.sql import Database
from sightline_rules.filters import Availability, Comparison, Filter, Money, Operator
from tests.stores import each_engine
from tests.unit.retriever.conftest import write

pytestmark = each_engine

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


async def found(record: Record, text: str, **fields: Any) -> list[str]:
    answer = await keywords.search(Query("default", text, **fields), record)
    similarities = list(answer.candidates.similarities)
    assert similarities == sorted(similarities, reverse=True)
    assert all(0 < value < 1 for value in similarities)
    return answer.candidates.product_ids


async def test_titles_count_most_then_names_then_details(shop: Record) -> None:
    assert await found(shop, "barolo") == ["barolo", "glass"]
    assert await found(shop, "organic") == ["rioja"]
    assert await found(shop, "RED rossi") == ["barolo", "rioja", "glass"]
    assert await found(shop, "nothing of this kind") == []


async def test_accents_and_case_are_one(shop: Record) -> None:
    assert await found(shop, "ROSE") == ["sancerre"]
    assert await found(shop, "rosé") == ["sancerre"]


async def test_chinese_is_found_without_spaces(shop: Record) -> None:
    assert await found(shop, "茅台") == ["maotai"]
    assert await found(shop, "酒") == ["maotai"]
    assert await found(shop, "台茅") == []


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
async def test_a_query_is_text_and_no_language(shop: Record, text: str) -> None:
    names = await found(shop, text)
    assert ("barolo" in names) == ("barolo" in keywords.asked_words(text))


async def test_filters_are_exact_at_once(shop: Record) -> None:
    cheap: Filter = Comparison("price", Operator.LESS, Money("EUR", 5))
    assert await found(shop, "barolo", condition=cheap) == []
    await shop.offer("default", [Offer("glass", Money("EUR", 4), Availability.IN_STOCK)])
    assert await found(shop, "barolo", condition=cheap) == ["glass"]
    titled = Comparison("title", Operator.CONTAINS, "Serra")
    assert await found(shop, "barolo red", condition=titled) == ["barolo"]
    within = Comparison("category", Operator.EQUAL, "Wine")
    assert await found(shop, "red", condition=within) == ["barolo", "rioja"]


async def test_words_follow_the_product(shop: Record, db: Database) -> None:
    await shop.write("default", [write("rioja", title="Ribera")])
    assert await found(shop, "rioja") == []
    assert await found(shop, "ribera") == ["rioja"]
    tags = ("dry", "red", "barolo")
    change = ProductChange(ProductContent("rioja", "", tags=tags), frozenset({"tags"}), {})
    await shop.change("default", [change])
    assert await found(shop, "barolo") == ["barolo", "rioja", "glass"]
    await shop.delete("default", ["barolo"])
    assert await found(shop, "barolo") == ["rioja", "glass"]
    with db.engine.connect() as connection:
        held = connection.execute(sa.select(table.c.product_id)).scalars().all()
    assert sorted(held) == ["elsewhere", "glass", "maotai", "rioja", "sancerre"]


async def test_products_that_were_there_before_get_their_words(shop: Record, db: Database) -> None:
    before = await found(shop, "barolo red wine 酒")
    config = Config()
    config.set_main_option("script_location", str(files("retriever.record.migrations")))
    with db.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0009")
    db.migrate()
    assert await found(shop, "barolo red wine 酒") == before


async def test_excluded_products_and_near_duplicates_are_left_out(shop: Record) -> None:
    assert await found(shop, "barolo", excluded=("barolo",)) == ["glass"]
    variants = [ProductWrite(ProductContent(n, "Chianti", parent_id="c"), {}) for n in "ab"]
    await shop.write("default", variants)
    assert await found(shop, "chianti") == ["a"]
    assert await found(shop, "chianti", collapse=Collapse.MARK) == ["a", "b"]
    assert await found(shop, "chianti", collapse=Collapse.OFF) == ["a", "b"]


async def test_an_answer_is_filled_although_most_are_near_duplicates(shop: Record) -> None:
    alike = [ProductWrite(ProductContent(f"v{n:03}", "Gin", parent_id="v"), {}) for n in range(120)]
    other = ProductWrite(ProductContent("x", "A gin of another kind, much further down"), {})
    await shop.write("default", [*alike, other])
    assert await found(shop, "gin", top_k=2) == ["v000", "x"]


async def test_common_words_select_nothing_beside_rarer_ones(
    shop: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MOST_COUNTED", 2)
    assert await found(shop, "wine serralunga") == ["barolo"]
    assert await found(shop, "wine red") == ["barolo", "rioja", "glass"]


async def test_what_was_typed_is_1_to_4096_characters(shop: Record) -> None:
    for text in ("", "x" * 4_097):
        with pytest.raises(KeywordsInvalid):
            await found(shop, text)
    with pytest.raises(RequestInvalid):
        await found(shop, "x", top_k=1_001)
    with pytest.raises(RequestInvalid):
        await found(shop, "x", excluded=("x",) * 1_001)
