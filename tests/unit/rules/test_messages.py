"""Filters and products read from messages have the same meaning as in the record."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.domain.product import Attribute, Product, ProductContent
from retriever.servicer.product_messages import row
from sightline.common.v1 import filter_pb2, product_pb2
from sightline_rules import categories, messages
from sightline_rules.facts import Facts, passes
from sightline_rules.fields import FILTERED
from sightline_rules.filter_checks import check
from sightline_rules.filters import FilterInvalidError
from sightline_rules.kinds import NumberKind
from tests.fuzz.conditions import message
from tests.live.random_filters import condition
from tests.live.random_filters import facts as random_facts

NUMBERS = tuple(field.name for field in FILTERED if isinstance(field.kind, NumberKind))


def product(facts: Facts) -> product_pb2.Product:
    """Return such a product as the retriever returns it."""
    content = ProductContent(
        product_id="p",
        title=facts.title,
        category_path=tuple(categories.split(facts.category)),
        brand=facts.brand,
        price=facts.price,
        availability=facts.availability,
        tags=tuple(facts.tags),
        attributes=tuple(
            Attribute(key, value) for key, values in facts.attributes.items() for value in values
        ),
        markets=facts.market,
        **{name: getattr(facts, name) for name in NUMBERS},
    )
    return row(Product(content, (), facts.create_time.micros, facts.update_time.micros, "", 1))


@given(st.integers())
def test_a_product_that_was_read_passes_what_it_passes_in_the_record(seed: int) -> None:
    chance = random.Random(seed)
    facts = random_facts(chance)
    read = messages.facts(product(facts))

    assert read == facts
    for _ in range(5):
        asked = condition(chance, depth=4)
        try:
            check(asked)
        except FilterInvalidError:
            continue
        assert passes(messages.condition(message(asked)), read) == passes(asked, facts)
        assert filter_pb2.Filter(**messages.written(asked)) == message(asked)


def test_numbers_are_those_of_the_contract() -> None:
    operators = filter_pb2.Comparison.Operator
    assert {number: f"OPERATOR_{of.name}" for number, of in messages.OPERATORS.items()} == {
        number: name for name, number in operators.items() if number
    }
    assert {number: f"AVAILABILITY_{of}" for number, of in messages.AVAILABILITIES.items()} == {
        number: name for name, number in product_pb2.Availability.items() if number
    }


def test_nothing_is_said_of_a_product_that_is_not_understood() -> None:
    with pytest.raises(ValueError, match="availability is not one of"):
        messages.facts(product_pb2.Product(availability=9))  # type: ignore[arg-type]
