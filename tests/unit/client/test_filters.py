"""Filters have the meaning of their expressions."""

import pytest

from sightline_client import Availability, F, all_of, any_of, money
from sightline_client.values.filters import (
    All,
    Any,
    Comparison,
    Existence,
    Membership,
    Not,
    Operator,
)


def test_each_operator_means_itself() -> None:
    limit = money(30, "USD")
    assert [
        (F.price < limit).operator,
        (F.price <= limit).operator,
        (F.price > limit).operator,
        (F.price >= limit).operator,
        (F.price == limit).operator,
        (F.price != limit).operator,
    ] == [
        Operator.LESS,
        Operator.LESS_OR_EQUAL,
        Operator.GREATER,
        Operator.GREATER_OR_EQUAL,
        Operator.EQUAL,
        Operator.NOT_EQUAL,
    ]


def test_joined_conditions_stay_flat_and_in_order() -> None:
    red, cheap, beef = F.category == "Red", F.price < money(9, "EUR"), F.tags == "Beef"
    assert red & cheap & beef == All((red, cheap, beef))
    assert red & (cheap & beef) == All((red, cheap, beef))
    assert all_of(red, cheap & beef) == All((red, cheap, beef))
    assert all_of() == All(())


def test_or_stays_flat_and_not_turns_round_once() -> None:
    red, cheap, beef = F.category == "Red", F.price < money(9, "EUR"), F.tags == "Beef"
    assert red | cheap | beef == Any((red, cheap, beef))
    assert any_of(red, cheap | beef) == Any((red, cheap, beef))
    assert red | (cheap & beef) == Any((red, All((cheap, beef))))
    assert any_of() == Any(())
    assert ~(red | beef) == Not(Any((red, beef)))
    assert ~~red == red


def test_attributes_are_named_and_fields_can_be_looked_into() -> None:
    vintage = F.attribute("vintage")
    assert (vintage >= 2015) == Comparison("attributes.vintage", Operator.GREATER_OR_EQUAL, 2015)
    assert vintage.in_("a", 2.5, True) == Membership("attributes.vintage", ("a", 2.5, True))
    assert vintage.contains("a") == Comparison("attributes.vintage", Operator.CONTAINS, "a")
    assert F.title.contains("a") == Comparison("title", Operator.CONTAINS, "a")
    assert F.price.exists() == Existence("price")


def test_in_takes_several_values_or_none() -> None:
    assert F.brand.in_("a", "b") == Membership("brand", ("a", "b"))
    assert F.availability.in_() == Membership("availability", ())
    assert (F.availability == Availability.IN_STOCK) == Comparison(
        "availability", Operator.EQUAL, Availability.IN_STOCK
    )


def test_and_or_not_and_chains_are_refused_instead_of_dropping_a_condition() -> None:
    red, cheap = F.category == "Red", F.price < money(9, "EUR")
    with pytest.raises(TypeError, match="&"):
        red and cheap  # noqa: B018
    with pytest.raises(TypeError, match="&"):
        not red  # noqa: B018
    with pytest.raises(TypeError, match="&"):
        money(1, "EUR") < F.price < money(9, "EUR")  # noqa: B015
