"""Dictionaries and what they say of a query."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from retriever.adapters import dictionaries as adapter_dictionaries
from retriever.adapters.dictionaries import read_dictionaries
from retriever.domain import dictionaries as domain_dictionaries
from retriever.domain.dictionaries import (
    NO_DICTIONARIES,
    Dictionaries,
    Dictionary,
    english_forms,
    headword_of,
    language_of_run,
)


def dictionary(terms: dict[str, str]) -> Dictionary:
    lines = sorted(f"{headword}\t{each}\n".encode() for headword, each in terms.items())
    return Dictionary(b"".join(lines))


def test_a_headword_has_its_terms_in_their_order() -> None:
    tools = dictionary({"pinza": "pliers|clothes peg", "pin": "pine", "pinzas": "tweezers"})
    assert tools.terms("pinza") == [("pliers",), ("clothes", "peg")]
    assert tools.terms("pin") == [("pine",)]
    assert "pinz" not in tools
    assert tools.terms("zzz") == ()
    assert len(tools) == 3


def test_an_empty_dictionary_knows_nothing() -> None:
    assert "a" not in Dictionary(b"")


def test_a_headword_without_terms_is_known() -> None:
    assert "gift" in Dictionary(b"gift\t\n")
    assert Dictionary(b"gift\t\n").terms("gift") == ()


@pytest.mark.parametrize(
    ("run", "language"),
    [("平底锅", "zh"), ("めん棒", "ja"), ("ミシン", "ja"), ("도마", "ko"), ("ไวน์", "")],
)
def test_a_script_tells_the_language(run: str, language: str) -> None:
    assert language_of_run(run) == language


def test_headwords_are_stemmed_in_a_language_with_stems() -> None:
    assert headword_of("Poêles à frire", "fr") == headword_of("poele a frire", "fr")
    assert headword_of("平底 锅", "zh") == "平底锅"


LANGUAGES = Dictionaries(
    {
        "en": dictionary({"red": "", "wine": "", "gift": "", "fish": ""}),
        "es": dictionary({"vino": "wine", "roj": "red", "gift": "poison"}),
        "it": dictionary({"vin": "wine", "ross": "red"}),
        "zh": dictionary({"酒": "wine"}),
    }
)


@pytest.mark.parametrize(
    ("words", "languages"),
    [
        (["vino", "rosso"], ["it"]),
        (["rosso"], ["it"]),
        (["gift", "fish"], []),
        (["gift", "qwertz"], []),
        (["merlot", "barolo", "rosso"], []),
        (["qwertz"], []),
    ],
)
def test_the_language_is_guessed_by_the_words_that_are_known(
    words: list[str], languages: list[str]
) -> None:
    assert LANGUAGES.guessed(words) == languages


@pytest.mark.parametrize("english", [{}, {"en": Dictionary(b"")}])
def test_no_language_is_guessed_without_a_dictionary_of_english(
    english: dict[str, Dictionary],
) -> None:
    others = {name: each for name, each in LANGUAGES.by_language.items() if name != "en"}
    assert not Dictionaries(others | english).guessed(["vino", "rosso"])


def test_a_said_language_counts_if_it_has_a_dictionary() -> None:
    assert LANGUAGES.said("it-CH") == ["it"]
    assert not LANGUAGES.said("en")
    assert not LANGUAGES.said("pl")
    assert not NO_DICTIONARIES.said("it")


@pytest.mark.parametrize(
    ("word", "form"),
    [("glove", "gloves"), ("battery", "batteries"), ("glasses", "glass"), ("ladies", "lady")],
)
def test_an_english_word_has_its_other_number(word: str, form: str) -> None:
    assert form in english_forms(word)


def test_a_folder_holds_a_file_for_each_language(tmp_path: Path) -> None:
    (tmp_path / "es.tsv").write_bytes(b"vin\twine\n")
    (tmp_path / "LICENCES.md").write_text("none")
    found = read_dictionaries(tmp_path)
    assert [*found.by_language] == ["es"]
    assert found.by_language["es"].terms("vin") == [("wine",)]
    assert not read_dictionaries(None).by_language


def test_a_file_of_too_many_bytes_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (domain_dictionaries, adapter_dictionaries):
        monkeypatch.setattr(module, "MOST_BYTES", 20)
    (tmp_path / "es.tsv").write_bytes(b"vin\twine\n" * 3)
    (tmp_path / "fr.tsv").write_bytes(b"vin\twine\n" * 2)
    assert [*read_dictionaries(tmp_path).by_language] == ["fr"]


@pytest.mark.parametrize(
    "broken",
    [
        *(b"vino\twine\nvin", b"vino\n", b"vino\twine\nbaso\tglass\n", b"\xff\twine\n"),
        *(b"vino\twine\r\n", b"vino\t||\n", b"Word\tTerm\n", b"\twine\n"),
        *(b"vino\ta wine of spain\n", b"vino\t" + b"|".join([b"wine"] * 9) + b"\n"),
    ],
)
def test_a_broken_file_is_left_out_alone(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "es.tsv").write_bytes(broken)
    (tmp_path / "fr.tsv").write_bytes(b"vin\twine\n")
    with capture_logs() as logs:
        assert [*read_dictionaries(tmp_path).by_language] == ["fr"]
    assert [(line["event"], line["file"]) for line in logs] == [("dictionary left out", "es.tsv")]
