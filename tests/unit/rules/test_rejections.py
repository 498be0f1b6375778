"""The deciding condition is found, and described in the words of the command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline_client.convert import to_wire
from sightline_client.convert.filter_text import parse_filter
from sightline_rules.facts import Facts, passes
from sightline_rules.filters import (
    All,
    Any,
    Availability,
    Comparison,
    Existence,
    Membership,
    Money,
    Not,
    Operator,
    Time,
)
from sightline_rules.rejections import MOST_TEXT, rejection, words

WINE = Facts(
    category="Wine > Red",
    brand="Aurora",
    title="A wine",
    price=Money("EUR", 45_500_000),
    tags=frozenset({"Game", "Beef"}),
    attributes={"vintage": (2015.0,), "grape": ("Merlot", "Tannat"), "bio": (True,)},
    create_time=Time(1_790_000_000_000_000),
)
CHEAP = Comparison("price", Operator.LESS, Money("EUR", 30_000_000))
RED = Comparison("category", Operator.EQUAL, "Wine > Red")
MIOLO = Comparison("brand", Operator.EQUAL, "Miolo")


def test_what_passes_is_not_rejected():
    assert rejection(All((RED,)), WINE) is None


def test_of_all_the_first_that_does_not_hold_decides():
    found = rejection(All((RED, All((CHEAP, MIOLO)))), WINE)
    assert found.path == "filter.all.filters[1].all.filters[0].comparison"
    assert found.condition == "price < 30 EUR"
    assert found.held == ("price: 45.50 EUR",)


def test_alternatives_and_opposites_decide_as_a_whole():
    found = rejection(All((Any((CHEAP, MIOLO)),)), WINE)
    assert found.path == "filter.all.filters[0].any"
    assert found.condition == 'price < 30 EUR OR brand = "Miolo"'
    assert found.held == ("brand: Aurora", "price: 45.50 EUR")
    found = rejection(Not(All((RED, Existence("brand")))), WINE)
    assert found.path == "filter.not"
    assert found.condition == 'NOT (category = "Wine > Red" AND brand:*)'


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        (Existence("attributes.region"), "attributes.region: unknown"),
        (Membership("tags", ("Fish",)), "tags: Beef, Game"),
        (Comparison("attributes.vintage", Operator.LESS, 2000.0), "attributes.vintage: 2015"),
        (Comparison("attributes.bio", Operator.EQUAL, False), "attributes.bio: true"),
        (
            Comparison("availability", Operator.EQUAL, Availability.PREORDER),
            "availability: IN_STOCK",
        ),
        (Comparison("title", Operator.CONTAINS, "beer"), "title: A wine"),
        (
            Comparison("create_time", Operator.LESS, Time(0)),
            "create_time: 2026-09-21T14:13:20Z",
        ),
        (Any(), None),
    ],
)
def test_what_the_product_has_is_shown(condition, held):
    assert rejection(condition, WINE).held == ((held,) if held else ())


def test_without_facts_everything_is_unknown():
    found = rejection(Any((MIOLO, CHEAP, RED, Membership("tags", ("a",)))), Facts())
    assert found.held == ("brand: unknown", "category: unknown", "price: unknown", "tags: none")


def test_long_memberships_and_texts_are_cut():
    many = Membership("brand", tuple(f"b{number}" for number in range(9)))
    assert rejection(many, WINE).condition.endswith('brand = "b4" OR 4 more')
    long = Comparison("title", Operator.CONTAINS, "x" * MOST_TEXT)
    assert len(rejection(long, WINE).condition) == MOST_TEXT


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=8)
leaves = st.one_of(
    st.builds(
        Comparison,
        st.sampled_from(["brand", "category", "attributes.grape"]),
        st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL, Operator.CONTAINS]),
        texts,
    ),
    st.builds(
        Comparison,
        st.just("price"),
        st.sampled_from([Operator.LESS, Operator.GREATER_OR_EQUAL]),
        st.builds(Money, st.just("EUR"), st.integers(0, 10**12)),
    ),
    st.builds(
        Comparison,
        st.just("attributes.vintage"),
        st.sampled_from([Operator.LESS, Operator.EQUAL]),
        st.integers(-(10**6), 10**6).map(float),
    ),
    st.builds(
        Comparison,
        st.just("create_time"),
        st.just(Operator.LESS),
        st.integers(0, 2 * 10**15).map(Time),
    ),
    st.builds(Existence, st.sampled_from(["brand", "price", "attributes.grape"])),
    st.builds(Membership, st.just("brand"), st.lists(texts, min_size=2, max_size=4).map(tuple)),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Any, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=5,
)


@pytest.mark.slow
@given(conditions)
def test_words_mean_to_the_command_line_what_the_condition_means(condition):
    """Read as the command line reads filters, they say the same again."""
    from retriever.servicer.filter_messages import condition as of_message

    again = of_message(to_wire.filter_(parse_filter(words(condition))))
    for facts in (WINE, Facts(), Facts(brand="a", category="b", price=Money("EUR", 1))):
        assert passes(again, facts) == passes(condition, facts)
