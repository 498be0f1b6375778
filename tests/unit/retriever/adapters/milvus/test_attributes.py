"""Attributes in columns: those with a column of their own, marked values, and order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retriever.adapters.milvus.attributes import ATTRIBUTE, CHOICES, SEVERAL, columns, place
from sightline_rules.filters import AttributeValue

FINITE = st.floats(allow_nan=False, allow_infinity=False)
WINE: dict[str, tuple[AttributeValue, ...]] = {
    "country": ("Italy",),
    "region": ("Toscana",),
    "grape": ("Sangiovese", "Merlot", "Syrah"),
    "body": ("full",),
    "acidity": ("high",),
    "abv": (13.5,),
    "vintage": (2015.0,),
    "organic": (True,),
}


def stands(key: str, value: AttributeValue, row: dict[str, int]) -> bool:
    at = place(key)
    return at.number(value) in {row.get(column) for column in at.columns}


def test_every_value_of_an_ordinary_product_has_a_column_of_its_own() -> None:
    row = columns(WINE)
    assert all(stands(key, value, row) for key, values in WINE.items() for value in values)
    assert len(row) == 10
    assert SEVERAL not in row.values()


def test_a_dozen_values_hardly_ever_share_a_column() -> None:
    crowded = 0
    for shop in range(200):
        row = columns({f"key {shop} {number}": ("a",) for number in range(12)})
        crowded += SEVERAL in row.values()
    assert crowded < 20


def test_a_key_of_more_texts_than_columns_is_marked_and_disturbs_no_other() -> None:
    row = columns({**WINE, "grape": tuple("abcd")})
    at = place("grape")
    assert at.base in {row.get(column) for column in at.columns}
    assert not any(stands("grape", text, row) for text in "abcd")
    assert all(stands(key, WINE[key][0], row) for key in WINE if key != "grape")
    assert SEVERAL not in row.values()


@given(st.dictionaries(st.text(max_size=3), FINITE, max_size=128))
def test_what_finds_no_room_is_marked(numbers: dict[str, float]) -> None:
    row = columns({key: (number,) for key, number in numbers.items()})
    assert set(row) <= set(ATTRIBUTE)
    for key, number in numbers.items():
        assert stands(key, number, row) or SEVERAL in {row.get(c) for c in place(key).columns}


@given(FINITE, FINITE, st.text(max_size=64))
def test_numbers_keep_their_order_and_stay_within_their_key(
    one: float, other: float, key: str
) -> None:
    at = place(key)
    low, high = sorted((one, other))
    assert at.number(low) <= at.number(high)
    assert at.numbers[0] <= at.number(low) <= at.numbers[1] < at.texts[0]
    assert at.all[0] < at.numbers[0]
    assert at.all[1] == at.texts[1] < 2**63


@given(st.text(max_size=64), st.text(max_size=20))
def test_texts_and_flags_stay_within_their_key(key: str, text: str) -> None:
    at = place(key)
    assert at.texts[0] <= at.number(text) <= at.texts[1]
    assert {at.number(False) - at.base, at.number(True) - at.base} == {1, 2}
    assert len(set(at.columns)) == CHOICES
    assert at.base > SEVERAL


def test_whole_numbers_that_shops_use_are_distinguished() -> None:
    at = place("vintage")
    numbers = [at.number(float(value)) for value in range(200_000)]
    assert len(set(numbers)) == len(numbers)
