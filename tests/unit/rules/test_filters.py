import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline_rules.facts import Facts, by_key, passes
from sightline_rules.filter_checks import check
from sightline_rules.filters import (
    All,
    Any,
    Availability,
    Comparison,
    Existence,
    Filter,
    Membership,
    Money,
    Not,
    Operator,
    Time,
    fields,
)

RED = Facts(
    category="Wine > Red",
    brand="Casa",
    price=Money("EUR", 12_500_000),
    availability=Availability.IN_STOCK,
    title="Château Été",
    tags=frozenset({"Beef", "Pasta"}),
    attributes=by_key(
        [("grape", "Merlot"), ("grape", "Cabernet Franc"), ("abv", 13.0), ("organic", True)]
    ),
    create_time=Time(10),
    update_time=Time(20),
)
BARE = Facts()
E, NE, HAS = Operator.EQUAL, Operator.NOT_EQUAL, Operator.CONTAINS
GRAPE, ABV, ORGANIC = "attributes.grape", "attributes.abv", "attributes.organic"


@pytest.mark.parametrize(
    ("condition", "red", "bare"),
    [
        (All(), True, True),
        (Comparison("category", E, "Wine"), True, False),
        (Comparison("category", E, "Wine > Red"), True, False),
        (Comparison("category", E, "Red"), False, False),
        (Comparison("category", NE, "Beer"), True, False),
        (Comparison("brand", E, "Casa"), True, False),
        (Comparison("brand", NE, "Casa"), False, False),
        (Comparison("tags", E, "Beef"), True, False),
        (Comparison("tags", NE, "Beef"), False, True),
        (Comparison("price", Operator.LESS, Money("EUR", 12_500_000)), False, False),
        (Comparison("price", Operator.LESS_OR_EQUAL, Money("EUR", 12_500_000)), True, False),
        (Comparison("price", Operator.GREATER, Money("USD", 0)), False, False),
        (Comparison("price", NE, Money("EUR", 0)), True, False),
        (Comparison("availability", E, Availability.IN_STOCK), True, True),
        (Comparison("create_time", Operator.GREATER_OR_EQUAL, Time(10)), True, False),
        (Comparison("update_time", Operator.LESS, Time(20)), False, True),
        (Membership("tags", ("Fish", "Pasta")), True, False),
        (Membership("tags", ()), False, False),
        (Membership("brand", ("x' OR 1 == 1", "Casa")), True, False),
        (All((Comparison("brand", E, "Casa"), Comparison("tags", E, "Fish"))), False, False),
        (Any(), False, False),
        (Any((Comparison("brand", E, "Casa"), Comparison("tags", E, "Fish"))), True, False),
        (Any((All(), Any())), True, True),
        (Not(All()), False, False),
        (Not(Any()), True, True),
        (Not(Comparison("brand", E, "Casa")), False, True),
        (Not(Comparison("brand", E, "Miolo")), True, True),
        (Not(Comparison("brand", NE, "Miolo")), False, True),
        (Not(Comparison("price", Operator.LESS, Money("USD", 1))), True, True),
        (Not(Not(Comparison("tags", E, "Beef"))), True, False),
        (Existence("category"), True, False),
        (Existence("brand"), True, False),
        (Existence("price"), True, False),
        (Existence("tags"), True, False),
        (Existence("title"), True, True),
        (Existence("availability"), True, True),
        (Existence(GRAPE), True, False),
        (Existence("attributes.colour"), False, False),
        (Comparison("tags", HAS, "Beef"), True, False),
        (Comparison("tags", HAS, "beef"), False, False),
        (Comparison("title", HAS, "ÉTÉ"), True, False),
        (Comparison("title", HAS, "e\N{COMBINING ACUTE ACCENT}t"), True, False),
        (Comparison("title", HAS, "ete"), False, False),
        (Comparison("brand", HAS, "AS"), True, False),
        (Comparison("category", HAS, "re"), True, False),
        (Comparison("category", HAS, "Wine > Red"), False, False),
        (Comparison(GRAPE, HAS, "franc"), True, False),
        (Comparison(GRAPE, E, "Merlot"), True, False),
        (Comparison(GRAPE, E, "merlot"), False, False),
        (Comparison(GRAPE, NE, "Merlot"), False, False),
        (Comparison(GRAPE, NE, "Malbec"), True, False),
        (Comparison(GRAPE, E, 13.0), False, False),
        (Comparison(GRAPE, Operator.LESS, 13.0), False, False),
        (Comparison(ABV, E, 13.0), True, False),
        (Comparison(ABV, NE, "13"), False, False),
        (Comparison(ABV, Operator.GREATER_OR_EQUAL, 13.0), True, False),
        (Comparison(ABV, Operator.LESS, 13.0), False, False),
        (Comparison(ABV, HAS, "1"), False, False),
        (Comparison(ORGANIC, E, True), True, False),
        (Comparison(ORGANIC, NE, True), False, False),
        (Comparison(ORGANIC, E, 1.0), False, False),
        (Membership(ORGANIC, (1.0, "True")), False, False),
        (Membership(ORGANIC, (1.0, True)), True, False),
        (Membership(GRAPE, ("Malbec", 13.0, "Merlot")), True, False),
        (Membership(GRAPE, ()), False, False),
    ],
)
def test_meaning(condition: Filter, red: bool, bare: bool) -> None:
    check(condition)
    assert passes(condition, RED) is red
    assert passes(condition, BARE) is bare


@pytest.mark.parametrize(
    ("operator", "holds"),
    [
        (Operator.LESS, "less"),
        (Operator.LESS_OR_EQUAL, "less equal"),
        (Operator.EQUAL, "equal"),
        (Operator.NOT_EQUAL, "less greater"),
        (Operator.GREATER_OR_EQUAL, "equal greater"),
        (Operator.GREATER, "greater"),
    ],
)
def test_an_order_is_that_of_numbers(operator: Operator, holds: str) -> None:
    for held, name in ((1, "less"), (2, "equal"), (3, "greater")):
        facts = Facts(
            price=Money("EUR", held),
            attributes={"abv": (float(held),)},
            create_time=Time(held),
            update_time=Time(held),
        )
        values = {
            "price": Money("EUR", 2),
            ABV: 2.0,
            "create_time": Time(2),
            "update_time": Time(2),
        }
        found = {
            field: passes(Comparison(field, operator, it), facts) for field, it in values.items()
        }
        assert found == dict.fromkeys(values, name in holds.split())


@given(st.text(max_size=20), st.text(max_size=20))
def test_texts_are_compared_literally_whatever_they_hold(brand: str, asked: str) -> None:
    assert passes(Comparison("brand", E, asked), Facts(brand=brand)) is (brand == asked != "")


def test_accents_are_composed_after_case_is_folded_too() -> None:
    """Compare "ΐ", whose lower case has three characters, and whose upper case has two."""
    upper, lower = "\N{GREEK CAPITAL LETTER IOTA WITH DIALYTIKA}\N{COMBINING ACUTE ACCENT}", "ΐ"
    assert passes(Comparison("title", HAS, lower), Facts(title=upper))


def test_fields_names_every_field_once() -> None:
    condition = All((Membership("tags", ("a",)), Comparison("brand", E, "b")))
    assert fields(condition) == {"tags", "brand"}
    assert fields(All()) == frozenset()
    assert fields(Any((Not(Existence("price")), condition))) == {"price", "tags", "brand"}


TEXTS = ["", "A", "A > B", "A > B > C", "B", "C"]
FACTS = st.builds(
    Facts,
    category=st.sampled_from(TEXTS),
    brand=st.sampled_from(TEXTS),
    price=st.none() | st.builds(Money, st.sampled_from(["EUR", "USD"]), st.integers(0, 3)),
    availability=st.sampled_from(Availability),
    tags=st.frozensets(st.sampled_from(TEXTS[1:])),
    create_time=st.builds(Time, st.integers(0, 3)),
    update_time=st.builds(Time, st.integers(0, 3)),
)
MEMBERSHIPS = st.one_of(
    st.builds(
        Membership,
        st.sampled_from(["category", "brand", "tags"]),
        st.lists(st.sampled_from(TEXTS)).map(tuple),
    ),
    st.builds(
        Membership,
        st.just("price"),
        st.lists(
            st.builds(Money, st.sampled_from(["EUR", "USD"]), st.integers(0, 3)), max_size=3
        ).map(tuple),
    ),
    st.builds(
        Membership,
        st.just("availability"),
        st.lists(st.sampled_from(Availability), max_size=2).map(tuple),
    ),
    st.builds(
        Membership,
        st.sampled_from(["create_time", "update_time"]),
        st.lists(st.builds(Time, st.integers(0, 3)), max_size=2).map(tuple),
    ),
)


@given(MEMBERSHIPS, FACTS)
def test_membership_is_equality_with_any_one_of_the_values(
    condition: Membership, facts: Facts
) -> None:
    one_by_one = any(
        passes(Comparison(condition.field, E, value), facts) for value in condition.values
    )
    assert passes(condition, facts) == one_by_one
