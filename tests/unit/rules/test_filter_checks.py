"""Filters that can be evaluated."""

from collections.abc import Callable

import pytest

from sightline_rules.filter_checks import MAX_LOOKS, check, looks
from sightline_rules.filters import (
    All,
    Any,
    Availability,
    Comparison,
    Existence,
    Filter,
    FilterInvalidError,
    Membership,
    Money,
    Not,
    Operator,
    Time,
)

E, HAS = Operator.EQUAL, Operator.CONTAINS
GRAPE, ABV, ORGANIC = "attributes.grape", "attributes.abv", "attributes.organic"


@pytest.mark.parametrize(
    ("condition", "path"),
    [
        (Comparison("colour", E, "red"), "filter.comparison.field"),
        (Comparison("brand", Operator.LESS, "a"), "filter.comparison.operator"),
        (Comparison("brand", Operator.LESS, Money("EUR", 1)), "filter.comparison.operator"),
        (Comparison("price", E, "12"), "filter.comparison.value"),
        (Comparison("price", E, Money("euro", 1)), "filter.comparison.value"),
        (Comparison("price", E, Money("EUR", -1)), "filter.comparison.value"),
        (Comparison("price", E, Money("EUR", 2**63)), "filter.comparison.value"),
        (Comparison("price", E, Money("eur", 1)), "filter.comparison.value"),
        (Comparison("price", E, Money("ÄÖÜ", 1)), "filter.comparison.value"),
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


@pytest.mark.parametrize(
    "condition",
    [
        Comparison("brand", E, "x" * 1_024),
        Comparison("price", E, Money("EUR", 0)),
        Comparison("price", E, Money("EUR", 2**63 - 1)),
        Existence("attributes." + "x" * 64),
        Membership("tags", ()),
        All((All((All(),) * 64), *(Any((All(),) * 61),) * 3, *(All(),) * 4)),  # 256 parts
        All((*(All((Not(All()),) * 60),) * 2, *(All(),) * 13)),  # 256, too
    ],
)
def test_what_is_just_within_a_limit_can_be_evaluated(condition: Filter) -> None:
    assert check(condition) is condition


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (Comparison("brand", Operator.LESS, "a"), "brand takes only != = contains"),
        (
            Comparison(GRAPE, Operator.LESS, "a"),
            "attributes.grape takes only != = contains with a text value",
        ),
        (Comparison("colour", E, "red"), "update_time or attributes.<key>"),
        (Comparison(GRAPE, E, Time(1)), "is compared with a text or number or flag value"),
    ],
)
def test_a_refusal_says_what_could_be_asked_instead(condition: Filter, words: str) -> None:
    with pytest.raises(FilterInvalidError) as caught:
        check(condition)
    assert caught.value.description.endswith(words)


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


@pytest.mark.parametrize("wrap", [lambda f: Any((f,)), Not])
def test_only_an_all_around_the_whole_is_no_level(wrap: Callable[[Filter], Filter]) -> None:
    condition: Filter = Existence("brand")
    for _ in range(8):
        condition = wrap(condition)
    with pytest.raises(FilterInvalidError, match="deeper than 8"):
        check(condition)


def test_a_filter_is_limited_as_a_whole_and_not_only_in_each_part() -> None:
    """Check a filter of 64 parts on each level: without a total limit, 262,144 would pass."""
    has = Comparison("brand", E, "Casa")
    assert check(All((All((has,) * 60), All((has,) * 60))))
    with pytest.raises(FilterInvalidError) as caught:
        check(All((All((has,) * 64),) * 64))
    assert (caught.value.path, "256" in caught.value.description) == ("filter", True)
    for nested in (All((All((Any((has,) * 60),)),) * 5), All((All((Not(has),) * 60),) * 3)):
        with pytest.raises(FilterInvalidError, match="at most 256"):
            check(nested)
    brands = Membership("brand", tuple(f"b{number}" for number in range(1_000)))
    assert check(All((brands,) * 4))
    with pytest.raises(FilterInvalidError) as caught:
        check(All((brands,) * 5))
    assert "values" in caught.value.description


def test_a_filter_costs_the_texts_that_it_looks_at() -> None:
    title, category = Comparison("title", HAS, "a"), Comparison("category", HAS, "a")
    grape, among = Comparison(GRAPE, HAS, "a"), Membership("brand", ("a",) * 1_000)
    assert [looks(each) for each in (title, category, grape, among, All())] == [1, 8, 128, 1, 0]
    assert looks(All((title, Any((Not(grape), category))))) == 1 + 128 + 8


def test_texts_times_parts_are_limited() -> None:
    """Check texts × conditions: a product may have 128 texts of 512 bytes, and 249 conditions on
    them took 51 ms a product."""
    grape = Comparison(GRAPE, HAS, "a")
    most = All((grape,) * 32)
    assert looks(check(most)) == MAX_LOOKS
    with pytest.raises(FilterInvalidError) as caught:
        check(All((most, Comparison("brand", E, "a"))))
    assert caught.value.path == "filter"
    assert "at most 4096" in caught.value.description
    assert "32 times contains" in caught.value.description
