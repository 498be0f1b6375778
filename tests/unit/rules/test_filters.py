from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline_rules.filter_checks import check
from sightline_rules.filters import (
    All,
    Any,
    Availability,
    Comparison,
    Existence,
    Facts,
    Filter,
    FilterInvalidError,
    Membership,
    Money,
    Not,
    Operator,
    Time,
    by_key,
    conjunction,
    fields,
    passes,
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
    ("condition", "path"),
    [
        (Comparison("colour", E, "red"), "filter.comparison.field"),
        (Comparison("brand", Operator.LESS, "a"), "filter.comparison.operator"),
        (Comparison("price", E, "12"), "filter.comparison.value"),
        (Comparison("price", E, Money("euro", 1)), "filter.comparison.value"),
        (Comparison("price", E, Money("EUR", -1)), "filter.comparison.value"),
        (Comparison("brand", E, Availability.IN_STOCK), "filter.comparison.value"),
        (Comparison("brand", E, "x" * 1_025), "filter.comparison.value"),
        (Membership("tags", ("a", Money("EUR", 1))), "filter.membership.values[1]"),
        (Membership("tags", ("a",) * 1_001), "filter.membership.values"),
        (
            All((All(), All((Comparison("nope", E, "a"),)))),
            "filter.all.filters[1].all.filters[0].comparison.field",
        ),
        (All((All(),) * 65), "filter.all.filters"),
        (Any((All(),) * 65), "filter.any.filters"),
        (
            Any((All(), Not(Comparison("nope", E, "a")))),
            "filter.any.filters[1].not.comparison.field",
        ),
        (Existence("colour"), "filter.existence.field"),
        (Existence("attributes."), "filter.existence.field"),
        (Comparison("attributes.Grape", E, "a"), "filter.comparison.field"),
        (Comparison("attributes." + "x" * 65, E, "a"), "filter.comparison.field"),
        (Comparison("attributes.a\n", E, "a"), "filter.comparison.field"),
        (Comparison(GRAPE, Operator.LESS, "a"), "filter.comparison.operator"),
        (Comparison(ORGANIC, Operator.LESS, True), "filter.comparison.operator"),
        (Comparison(ABV, HAS, 1.0), "filter.comparison.operator"),
        (Comparison(ABV, E, float("nan")), "filter.comparison.value"),
        (Comparison(ABV, E, float("-inf")), "filter.comparison.value"),
        (Comparison(ABV, E, Time(1)), "filter.comparison.value"),
        (Comparison("brand", E, 1.0), "filter.comparison.value"),
        (Comparison("brand", HAS, ""), "filter.comparison.value"),
        (Comparison("title", E, "a"), "filter.comparison.operator"),
        (Comparison("price", HAS, Money("EUR", 1)), "filter.comparison.operator"),
        (Membership("title", ("a",)), "filter.membership.field"),
        (Membership(ABV, (1.0, Money("EUR", 1))), "filter.membership.values[1]"),
    ],
)
def test_a_bad_filter_is_refused_with_the_path_of_the_culprit(condition: Filter, path: str) -> None:
    with pytest.raises(FilterInvalidError) as caught:
        check(condition)
    assert caught.value.path == path


@pytest.mark.parametrize("wrap", [lambda f: All((f,)), lambda f: Any((f,)), Not])
def test_nesting_is_capped(wrap: Callable[[Filter], Filter]) -> None:
    condition: Filter = Existence("brand")
    for _ in range(7):
        condition = wrap(condition)
    check(condition)
    # The gateway adds a condition of its own to any filter: an `all` around it is no level.
    check(All((condition, Existence("price"))))
    with pytest.raises(FilterInvalidError) as caught:
        check(All((wrap(condition),)))
    assert "deeper than 8" in caught.value.description


@given(st.text(max_size=20), st.text(max_size=20))
def test_texts_are_compared_literally_whatever_they_hold(brand: str, asked: str) -> None:
    assert passes(Comparison("brand", E, asked), Facts(brand=brand)) is (brand == asked != "")


def test_fields_names_every_field_once() -> None:
    condition = conjunction([Membership("tags", ("a",)), Comparison("brand", E, "b")])
    assert fields(condition) == {"tags", "brand"}
    assert fields(All()) == frozenset()
    assert fields(Any((Not(Existence("price")), condition))) == {"price", "tags", "brand"}


def test_a_filter_is_limited_as_a_whole_and_not_only_in_each_part() -> None:
    """Each level takes 64 parts: without a limit in all, 262,144 would pass."""
    has = Comparison("brand", E, "Casa")
    assert check(All((All((has,) * 60), All((has,) * 60))))
    with pytest.raises(FilterInvalidError) as caught:
        check(All((All((has,) * 64),) * 64))
    assert (caught.value.path, "256" in caught.value.description) == ("filter", True)
    brands = Membership("brand", tuple(f"b{number}" for number in range(1_000)))
    assert check(All((brands,) * 4))
    with pytest.raises(FilterInvalidError) as caught:
        check(All((brands,) * 5))
    assert "values" in caught.value.description


TEXTS = ["", "A", "A > B", "A > B > C", "B", "C"]
FACTS = st.builds(
    Facts,
    category=st.sampled_from(TEXTS),
    brand=st.sampled_from(TEXTS),
    price=st.none() | st.builds(Money, st.sampled_from(["EUR", "USD"]), st.integers(0, 3)),
    availability=st.sampled_from(Availability),
    tags=st.frozensets(st.sampled_from(TEXTS[1:])),
    create_time=st.builds(Time, st.integers(0, 3)),
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
        st.just("create_time"),
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
