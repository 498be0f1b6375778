"""Queries in another language than the titles, by a small dictionary."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Any, Protocol

import pytest

from retriever.columns.column_cache import Columns
from retriever.domain.dictionaries import NO_DICTIONARIES, Dictionaries, Dictionary
from retriever.domain.index_values import Collapse
from retriever.record import Record
from retriever.search import keywords
from retriever.search.keywords import KeywordAnswer, KeywordQuery
from tests.stores import each_engine
from tests.unit.retriever.conftest import write

pytestmark = each_engine

TITLES = {
    "pan": "Frying pan",
    "bread": "White bread",
    "knife": "Bread knife",
    "watch": "Wristwatch",
    "bag": "Backpack",
    "gloves": "Rubber gloves",
    "hand": "Hand cream",
    "wine": "红葡萄酒",
}


def dictionary(terms: dict[str, str]) -> Dictionary:
    lines = sorted(f"{headword}\t{each}\n".encode() for headword, each in terms.items())
    return Dictionary(b"".join(lines))


DICTIONARIES = Dictionaries(
    {
        "en": dictionary(dict.fromkeys(["bread", "knife", "glove", "pan", "scissors"], "")),
        "zh": dictionary(
            {
                **{"平底锅": "frying pan", "锅": "pot|pan", "手": "hand", "面包": "bread"},
                **{"手表": "wrist watch", "手套": "mitten", "刀": "knife", "葡萄酒": "bread"},
                "手袋": "backpack",
            }
        ),
        "es": dictionary(
            {"pan": "bread", "guant": "glove", "gom": "rubber", "cuchill": "knife", "de": "of"}
        ),
        "fr": dictionary(
            {"sac a dos": "backpack", "sac": "bag", "dos": "back", "bread knif": "backpack"}
        ),
        "ja": dictionary({"手袋": "glove"}),
    }
)


class Ask(Protocol):
    """A search of the shop."""

    def __call__(self, text: str, **fields: Any) -> Awaitable[KeywordAnswer]: ...


@pytest.fixture
async def ask(record: Record) -> Ask:
    await record.write("default", [write(name, title=it) for name, it in TITLES.items()])
    columns = Columns(record, exact_rows=100_000, patience=None)
    return partial(_ask, record, columns)


async def _ask(
    record: Record,
    columns: Columns,
    text: str,
    dictionaries: Dictionaries = DICTIONARIES,
    **fields: Any,
) -> KeywordAnswer:
    query = KeywordQuery("default", text, collapse=Collapse.OFF, **fields)
    return await keywords.search(query, record, columns=columns, dictionaries=dictionaries)


@pytest.mark.parametrize(
    ("text", "code", "first"),
    [
        ("平底锅", "", "pan"),  # the longest headword
        ("面包刀", "", "knife"),  # two words without a space
        ("手表", "", "watch"),  # written as one word in the title
        ("guantes de goma", "es", "gloves"),  # stems of the query, plural of the title
        ("guantes de goma", "", "gloves"),  # the language is guessed
        ("sac à dos", "fr", "bag"),  # a phrase
    ],
)
async def test_a_product_is_found_by_its_name_in_another_language(
    ask: Ask, text: str, code: str, first: str
) -> None:
    found = await ask(text, language_code=code, correct=True)
    assert found.candidates.product_ids[0] == first
    assert not found.corrected
    assert not (await ask(text, NO_DICTIONARIES, language_code=code)).candidates.product_ids


async def test_a_character_of_a_longer_word_does_not_count(ask: Ask) -> None:
    assert not (await ask("手套")).candidates.product_ids
    assert (await ask("手")).candidates.product_ids == ["hand"]


async def test_words_of_the_catalog_s_own_language_are_not_translated(ask: Ask) -> None:
    assert (await ask("葡萄酒")).candidates.product_ids == ["wine"]


async def test_a_title_in_the_language_of_a_query_does_not_end_its_translation(ask: Ask) -> None:
    assert (await ask("葡萄酒手表")).candidates.product_ids[:2] == ["wine", "watch"]


async def test_japanese_in_chinese_characters_is_japanese_if_said(ask: Ask) -> None:
    assert (await ask("手袋", language_code="ja")).candidates.product_ids == ["gloves"]
    assert (await ask("手袋", language_code="zh")).candidates.product_ids == ["bag"]


async def test_words_of_a_phrase_that_products_have_are_searched_as_typed(ask: Ask) -> None:
    found = (await ask("bread knife", language_code="fr")).candidates.product_ids
    assert {"knife", "bag"} <= {*found}


async def test_an_english_query_is_not_translated(ask: Ask) -> None:
    assert (await ask("pan", language_code="en")).candidates.product_ids == ["pan"]
    assert not (await ask("scissors", language_code="en")).candidates.product_ids


@pytest.mark.parametrize("code", ["en", "nl", "en-GB"])
async def test_a_said_language_decides_alone(ask: Ask, code: str) -> None:
    assert not (await ask("guantes de goma", language_code=code)).candidates.product_ids


async def test_a_default_language_does_not_decide(ask: Ask) -> None:
    found = await ask("guantes de goma", language_code="en", guess_language=True)
    assert found.candidates.product_ids[0] == "gloves"


async def test_a_brand_beside_an_english_word_does_not_make_a_query_spanish(ask: Ask) -> None:
    found = await ask("tefal pan", language_code="en", guess_language=True)
    assert found.candidates.product_ids == ["pan"]


async def test_a_word_as_typed_comes_before_its_translation(ask: Ask) -> None:
    found = (await ask("pan", language_code="es")).candidates.product_ids
    assert found[0] == "pan"
    assert {*found[1:]} == {"bread", "knife"}


async def test_a_long_text_is_not_translated(ask: Ask) -> None:
    assert not (await ask("平底锅" * 50)).candidates.product_ids
