import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline_rules.filters import (
    All,
    Availability,
    Comparison,
    Facts,
    Filter,
    FilterInvalidError,
    Membership,
    Money,
    Operator,
    Time,
    check,
    conjunction,
    fields,
    passes,
)

RED = Facts(
    category="Wine > Red",
    brand="Casa",
    price=Money("EUR", 12_500_000),
    availability=Availability.IN_STOCK,
    tags=frozenset({"Beef", "Pasta"}),
    create_time=Time(10),
    update_time=Time(20),
)
BARE = Facts()
E, NE = Operator.EQUAL, Operator.NOT_EQUAL


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
    ],
)
def test_a_bad_filter_is_refused_with_the_path_of_the_culprit(condition: Filter, path: str) -> None:
    with pytest.raises(FilterInvalidError) as caught:
        check(condition)
    assert caught.value.path == path


def test_nesting_is_capped() -> None:
    condition: Filter = All()
    for _ in range(7):
        condition = All((condition,))
    check(condition)
    with pytest.raises(FilterInvalidError):
        check(All((condition,)))


@given(st.text(max_size=20), st.text(max_size=20))
def test_texts_are_compared_literally_whatever_they_hold(brand: str, asked: str) -> None:
    assert passes(Comparison("brand", E, asked), Facts(brand=brand)) is (brand == asked != "")


def test_fields_names_every_field_once() -> None:
    condition = conjunction([Membership("tags", ("a",)), Comparison("brand", E, "b")])
    assert fields(condition) == {"tags", "brand"}
    assert fields(All()) == frozenset()


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
