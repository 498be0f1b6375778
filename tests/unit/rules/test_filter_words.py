"""Filters in files have the same meaning as on the command line."""

import pytest
from hypothesis import given

from sightline_client.convert import to_wire
from sightline_client.convert.filter_text import parse_filter
from sightline_rules.facts import Facts, passes
from sightline_rules.filter_checks import check
from sightline_rules.filter_words import parsed
from sightline_rules.filters import Availability, FilterInvalidError, Money, Time
from sightline_rules.messages import read
from sightline_rules.rejections import words
from tests.unit.rules.test_rejections import WINE, conditions

PRODUCTS = [
    WINE,
    Facts(),
    Facts(brand="A", category="Red", tags=frozenset("ab"), price=Money("EUR", 3_000_000)),
    Facts(brand="Aurora", tags=frozenset({"Beef", "c"}), price=Money("USD", 13_000_000)),
    Facts(brand="NOT", title="ab", price=Money("EUR", 500_000), category="Wine > White"),
    Facts(brand="7Up", availability=Availability.PREORDER, create_time=Time(2 * 10**15)),
    Facts(brand="*", attributes={"vintage": (2015.0,), "organic": (True,), "grape": ("2015",)}),
]


def same(text: str) -> None:
    meant = read(to_wire.filter_(parse_filter(text)))
    found = check(parsed(text))
    assert [passes(found, each) for each in PRODUCTS] == [passes(meant, each) for each in PRODUCTS]


@pytest.mark.slow
@given(conditions)
def test_what_a_rejection_says_can_be_read(condition):
    same(words(condition))


@pytest.mark.parametrize(
    "text",
    [
        'category = "Red" AND price < 3 EUR',
        "price >= 12.50USD",
        "price<=3 eur AND tags:a",
        "price>.5 EUR",
        'price = "30 EUR"',
        "brand = Aurora OR brand = 'Miolo'",
        "(brand = A OR (brand = B)) AND tags:Beef",
        "brand = A AND tags = x OR tags = b",
        "((brand != Aurora))",
        "availability = IN_STOCK",
        'create_time > "2026-03-01T12:00:00Z" AND update_time <= "2026-03-01"',
        "brand = 30 OR brand = 7Up OR brand = NOT OR brand = NOTE",
        "brand = A OR (brand = B AND tags = c)",
        "-brand = A AND NOT(tags:a AND tags:c)",
        "NOT brand = A OR brand = B",
        'brand:* AND NOT price:* OR brand:"*"',
        "category:wine OR title:AB",
        "attributes.vintage >= 2015 OR attributes.vintage < 1e3 OR attributes.vintage != -13.5",
        'attributes.grape = "2015" OR attributes.grape:merl OR attributes.organic = true',
        "NOT attributes.organic:*",
        "NOT NOT tags:a",
        'brand = "say \\"A\\"" OR brand = A',
    ],
)
def test_what_a_text_means_to_the_command_line_it_means_here(text):
    same(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "brand",
            "brand =",
            "brand = A brand = B",
            "brand = A AND",
            "(brand = A",
            "brand = A)",
        ),
        *("colour = red", "price < 30", "price < 30 EURO", 'create_time > "now"', "OR brand = A"),
        *('create_time > "2026-03-01T12:00:00"', "availability = SOLD", "brand = 'A", "title = a"),
        "(" * 5000,
        *("price:3", "brand < A", "attributes.a < x", "price < 1.2.3 EUR"),
    ],
)
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(FilterInvalidError):
        check(parsed(text))
