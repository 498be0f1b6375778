"""Texts as words, and the score of their matches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retriever.domain.product import Attribute, ProductContent
from retriever.domain.synonyms import AskedWords
from retriever.domain.words import (
    LABEL,
    Words,
    frequencies,
    in_market,
    labels_of,
    match,
    rarity,
    words_in,
)
from sightline_rules.markets import MarketValues
from sightline_rules.words import LONGEST, MOST_ASKED, asked_words, words_of

WINE = ProductContent(
    "barolo",
    "Château d'Yquem 2016",
    description="drowned",
    category_path=("Wine", "White"),
    brand="Lur-Saluces",
    tags=("organic",),
    attributes=(Attribute("alcohol_percent", 14.5), Attribute("sparkling", False)),
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CHÂTEAU château chateau", ["chateau"] * 3),
        ("Straße STRASSE", ["strasse"] * 2),
        ("smørrebrød, Œuvre", ["smorrebrod", "oeuvre"]),
        ("ﬁne ｗｉｎｅ №5", ["fine", "wine", "no5"]),
        ('"a" OR b* NEAR(c) -d {title}: ^e', ["a", "or", "b", "near", "c", "d", "title", "e"]),
        ("Вино Ёлка", ["вино", "елка"]),
        ("हिन्दी शराब", ["हिन्दी", "शराब"]),
        ("iPhone手机", ["iphone", "手", "机", "手机"]),
        ("か が", ["か", "が"]),
        ("さくら", ["さ", "く", "ら", "さく", "くら"]),
        ("カタカナ", ["カ", "タ", "カ", "ナ", "カタ", "タカ", "カナ"]),
        ("ไวน์", ["ไ", "ว", "น", "์", "ไว", "วน", "น์"]),
        ("\0 \u202e ' ; -- 💥", []),
        ("x" * 500, ["x" * LONGEST]),
    ],
)
def test_words_are_folded_and_have_nothing_but_letters(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_a_query_in_a_script_without_spaces_is_pairs_of_neighbours() -> None:
    assert asked_words("红葡萄酒") == ("红葡", "葡萄", "萄酒")
    assert asked_words("酒") == ("酒",)
    assert asked_words("さくらんぼ") == ("さく", "くら", "らん", "んぼ")
    assert asked_words("ไวน์แดง") == ("ไว", "วน", "น์", "์แ", "แด", "ดง")
    assert set(asked_words("ไวน์แดง")) <= set(words_of("ไวน์แดงจากชิลี"))
    assert set(asked_words("红葡萄酒")) <= set(words_of("智利红葡萄酒2016"))


TEN = "Red wine, Rotwein, vin léger, vino tinto, czerwone, красное вино, نبيذ, 레드, 赤ワイン, ไวน์"


def test_a_title_of_ten_languages_is_found_by_the_words_of_each() -> None:
    words = words_in(replace(WINE, title=TEN))
    for asked in TEN.split(", "):
        typed = dict.fromkeys(asked_words(asked), 1.0)
        assert match(typed, words) > match(typed, words_in(WINE)), asked


def test_of_a_query_the_first_words_count_each_once() -> None:
    assert asked_words("red red wine") == ("red", "wine")
    assert len(asked_words(" ".join(f"w{number}" for number in range(100)))) == MOST_ASKED


def test_a_product_has_words_by_what_they_say_of_it() -> None:
    words = words_in(WINE)
    assert words.title == "chateau d yquem 2016"
    assert words.names == "wine white lur saluces organic"
    assert words.details == "alcohol percent 14 5"


def test_a_match_grows_with_where_and_how_rare_the_words_are() -> None:
    def of(asked: dict[str, float], **changes: object) -> float:
        return match(asked, words_in(replace(WINE, **changes)))  # type: ignore[arg-type]

    title, name, detail = (of({word: 1.0}) for word in ("yquem", "organic", "percent"))
    assert 1 > title > name > detail > 0
    assert of({"rioja": 1.0}) == 0
    assert of({"yquem": 5.0, "rioja": 1.0}) > of({"yquem": 1.0, "rioja": 5.0})
    assert of({"yquem": 1.0}, title="Yquem") > title > of({"yquem": 1.0}, title="Yquem" + " x" * 30)
    assert rarity(0, 100) > rarity(1, 100) > rarity(99, 100) > rarity(100, 100) > 0


def test_a_word_of_labels_counts_by_the_share_of_photos_with_words_that_have_it() -> None:
    labels = labels_of(["Origem MERLOT\nMerlot 750 ml", "Origem", "", "8 ~"])
    assert frequencies(Words("", "", "", labels)) == {
        f"{LABEL}origem": 1.0,
        **dict.fromkeys((f"{LABEL}merlot", f"{LABEL}750", f"{LABEL}ml"), 0.5),
    }
    assert frequencies(Words("", "", "", labels_of(["", "8"]))) == {}


def test_a_markets_title_counts_in_its_market_as_the_own_one_does() -> None:
    rarities, asked = {"chateau": 2.0}, AskedWords(("chateau",))
    market = MarketValues("de", title=WINE.title)
    own = match(rarities, words_in(WINE))
    assert match(rarities, words_in(replace(WINE, markets=(market,)))) == own
    foreign = words_in(replace(WINE, title="Bordeaux", markets=(market, MarketValues("fr"))))
    found = {each: match(rarities, foreign, in_market(asked, each).others) for each in ("de", "fr")}
    assert found == {"de": pytest.approx(own), "fr": 0.0}
    assert match(rarities, foreign) == 0.0
