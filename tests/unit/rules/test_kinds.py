"""Kinds of fields: how they read literals, and how they show facts."""

from __future__ import annotations

import pytest

from sightline_rules.filters import Money, Time
from sightline_rules.kinds import (
    AttributesKind,
    FieldKind,
    FlagKind,
    MoneyKind,
    NumberKind,
    TimeKind,
)

DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (FlagKind(), "true", True),
        (FlagKind(), "false", False),
        (NumberKind(5), "4.5", 4.5),
        (AttributesKind(), "true", True),
        (AttributesKind(), "2015", 2015.0),
        (AttributesKind(), "red", "red"),
        (MoneyKind(), "12.5 eur", Money("EUR", 12_500_000)),
        (TimeKind(), "1970-01-02", Time(DAY)),
        (TimeKind(), "1970-01-02T00:00:00Z", Time(DAY)),
        (TimeKind(), "1970-01-02T01:00:00+01:00", Time(DAY)),
        (TimeKind(), "1970-01-01T00:00:01.5Z", Time(1_500_000)),
    ],
)
def test_a_literal_without_quotes_is_a_value_of_the_kind(
    kind: FieldKind, text: str, expected: object
) -> None:
    found = kind.parsed(text, quoted=False)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("kind", "text"), [(FlagKind(), "yes"), (NumberKind(5), "many"), (TimeKind(), "1970-01-01T00")]
)
def test_another_word_is_no_literal_of_the_kind(kind: FieldKind, text: str) -> None:
    with pytest.raises(ValueError, match=r"write|append"):
        kind.parsed(text, quoted=False)


@pytest.mark.parametrize(("kind", "text"), [(FlagKind(), "true"), (NumberKind(5), "4.5")])
def test_a_text_in_quotes_is_neither_a_flag_nor_a_number(kind: FieldKind, text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        kind.parsed(text, quoted=True)


@pytest.mark.parametrize("text", ["true", "2015", "red"])
def test_an_attribute_in_quotes_is_a_text(text: str) -> None:
    assert AttributesKind().parsed(text, quoted=True) == text


@pytest.mark.parametrize(
    ("kind", "largest", "steps"),
    [(FlagKind(), 1, 1), (NumberKind(5), 5, 1), (NumberKind(5, 1), 5, 10)],
)
def test_values_of_steps_have_a_largest_one_and_a_number_of_steps_in_one(
    kind: FlagKind | NumberKind, largest: float, steps: int
) -> None:
    assert (kind.largest, kind.steps) == (largest, steps)
