"""Rules of synonyms: what is rejected, and what parts of a text also mean."""

from __future__ import annotations

import tracemalloc

import pytest

from sightline_rules.ids import SCENE_NAME, SYNONYMS_DOCUMENT
from sightline_rules.stems import stemmer_of
from sightline_rules.synonyms import (
    LONGEST_TERM,
    MOST_RULES,
    MOST_TERMS,
    MOST_USED,
    SynonymRule,
    Synonyms,
    check_rules,
    read_rules,
    rules_text,
)

SHOES = SynonymRule(("sneaker", "trainer", "running shoe"))
WINE = SynonymRule(("vino",), ("wine",))


TEXT = "# shoes\r\nsneaker, trainer ,running shoe\n\n vino => wine # one way\n"


def test_a_text_has_a_rule_a_line() -> None:
    assert read_rules(TEXT) == [(2, SHOES), (4, WINE)]
    assert not SCENE_NAME.fullmatch(SYNONYMS_DOCUMENT), "release 0.42 refuses it"
    assert rules_text([SHOES, WINE]) == "sneaker, trainer, running shoe\nvino => wine\n"
    assert [rule for _, rule in read_rules(rules_text([SHOES, WINE]))] == [SHOES, WINE]
    assert (read_rules(""), read_rules("#\n \n"), rules_text([])) == ([], [], "")


def problems(*rules: SynonymRule) -> dict[str, str]:
    found: dict[str, str] = {}
    check_rules(rules, found.__setitem__)
    return found


def meant(text: str, *rules: SynonymRule, language: str = "") -> list[str]:
    words = text.split()
    uses = Synonyms(rules).uses(words, stemmer_of(language))
    return [f"{' '.join(words[use.start : use.end])} = {use.written}" for use in uses]


def test_terms_of_a_rule_mean_one_another() -> None:
    assert meant("red trainer", SHOES) == ["trainer = sneaker", "trainer = running shoe"]
    assert meant("running shoe", SHOES) == ["running shoe = sneaker", "running shoe = trainer"]
    assert meant("shoe", SHOES) == []


def test_a_rule_with_replacements_holds_one_way() -> None:
    assert meant("vino", WINE) == ["vino = wine"]
    assert meant("wine", WINE) == []


def test_rules_are_not_chained() -> None:
    assert meant("vino", WINE, SynonymRule(("wine", "bottle"))) == ["vino = wine"]


def test_words_are_compared_by_their_stems() -> None:
    assert meant("trainers", SHOES) == []
    found = ["trainers = sneaker", "trainers = trainer", "trainers = running shoe"]
    assert sorted(meant("trainers", SHOES, language="en")) == sorted(found)


def test_letters_are_compared_without_case_and_accents() -> None:
    assert meant("rose", SynonymRule(("Rosé", "pink wine"))) == ["rose = pink wine"]


def test_scripts_without_spaces_are_found_within_a_text() -> None:
    uses = Synonyms((SynonymRule(("葡萄酒", "wine")),)).uses(["红葡", "葡萄", "萄酒"])
    assert [(use.start, use.end, use.written) for use in uses] == [(1, 3, "wine")]


def test_a_text_has_a_bounded_number_of_synonyms() -> None:
    rule = SynonymRule(tuple(f"t{number}" for number in range(MOST_TERMS)))
    assert len(meant(" ".join(rule.terms), rule)) == MOST_USED


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        (SynonymRule(()), ".terms"),
        (SynonymRule((), ("a",)), ".terms"),
        (SynonymRule(("alone",)), ".terms"),
        (SynonymRule(("a", " ")), ".terms[1]"),
        (SynonymRule(("a", "?!")), ".terms[1]"),
        (SynonymRule(("a", "b" * (LONGEST_TERM + 1))), ".terms[1]"),
        (SynonymRule(("a", "one two three four five")), ".terms[1]"),
        (SynonymRule(("a", "b,c")), ".terms[1]"),
        (SynonymRule(("a", "b\x00")), ".terms[1]"),
        (SynonymRule(("Rosé", "rose")), ".terms[1]"),
        (SynonymRule(("a",), ("A",)), ".replacements[0]"),
        (SynonymRule(tuple(f"t{number}" for number in range(MOST_TERMS + 1))), ""),
    ],
)
def test_a_wrong_rule_is_named(rule: SynonymRule, place: str) -> None:
    assert list(problems(SHOES, rule)) == [f"rules[1]{place}"]


def test_too_many_rules_are_rejected() -> None:
    assert list(problems(*[SHOES] * (MOST_RULES + 1))) == ["rules"]


def test_a_rule_that_says_the_same_is_a_duplicate() -> None:
    again = SynonymRule(("Trainer", "sneaker", "running-shoe"))
    assert problems(SHOES, WINE, again) == {"rules[2]": "says the same as rules[0]"}
    assert problems(SynonymRule(("a", "b")), SynonymRule(("a",), ("b",))) == {}


def test_a_loop_of_one_way_rules_is_rejected() -> None:
    def way(one: str, other: str) -> SynonymRule:
        return SynonymRule((one,), (other,))

    assert list(problems(way("a", "b"), way("b", "c"), way("c", "a"))) == ["rules[2]"]
    assert problems(way("a", "b"), way("a", "c"), way("b", "d"), way("c", "d")) == {}


def test_a_long_chain_of_rules_is_checked() -> None:
    rules = [SynonymRule((f"t{n}",), (f"t{n + 1}",)) for n in range(MOST_RULES)]
    assert problems(*rules) == {}
    assert list(problems(*rules[1:], SynonymRule((f"t{MOST_RULES}",), ("t1",)))) == [
        f"rules[{MOST_RULES - 1}]"
    ]


@pytest.mark.parametrize("text", ["ab\n" * 10**6, "ab," * 10**6, "\n" * 10**6])
def test_a_text_of_a_million_lines_or_terms_takes_little_memory(text: str) -> None:
    tracemalloc.start()
    try:
        rules = [rule for _, rule in read_rules(text)]
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()
    said = list[str]()
    check_rules(rules, lambda _place, description: said.append(description))
    assert len(said) == bool(rules)
