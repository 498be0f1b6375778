"""A filter's text means an expression, whose own words mean the same expression."""

import random
from dataclasses import replace

import pytest
from hypothesis import example, given

from gateway.model.filters import FIELDS, expression, of_words
from sightline.filter_text import FilterSyntaxError
from sightline_client.convert.filter_text import FIELDS as CLIENTS
from sightline_rules.facts import Facts, passes
from sightline_rules.filters import All, Any, Comparison, Filter, Membership, Money, Not, Operator
from sightline_rules.messages import read
from sightline_rules.rejections import words
from sightline_rules.texts import composed
from tests.fuzz.conditions import BRANDS, TAGS, sent
from tests.fuzz.conditions import condition as random_condition
from tests.unit.rules.test_rejections import conditions


def plain(condition: Filter) -> Filter:
    """Return the form that the parser gives a condition."""
    match condition:
        case All(parts) | Any(parts):
            kind, flat = type(condition), list[Filter]()
            read_parts = tuple(map(plain, parts))
            if kind is Any and (joined := membership(read_parts)):
                return joined
            for given_part, part in zip(parts, read_parts, strict=True):
                in_brackets = isinstance(given_part, Not)
                if isinstance(part, kind):
                    flat += part.filters
                else:
                    flat += [part] if in_brackets else written(part, kind)
            return kind(tuple(flat))
        case Not(inner):
            inner = plain(inner)
            return inner.filter if isinstance(inner, Not) else Not(inner)
        case Comparison(value=str(value)):
            return replace(condition, value=composed(value))
        case Membership(field, values):
            return Membership(field, tuple(map(composed, values)))
    return condition


def written(part: Filter, within: type[All] | type[Any]) -> list[Filter]:
    """Return a condition as it is written in a list: OR does not group a membership's values."""
    if within is Any and isinstance(part, Membership):
        return [Comparison(part.field, Operator.EQUAL, value) for value in part.values]
    return [part]


def membership(parts: tuple[Filter, ...]) -> Membership | None:
    fields, values = set[str](), []
    for part in parts:
        match part:
            case Membership(field, several):
                values += several
            case Comparison(field, Operator.EQUAL, value):
                values.append(value)
            case _:
                return None
        fields.add(field)
    return Membership(fields.pop(), tuple(values)) if len(fields) == 1 else None


IN_BRACKETS = Any(
    (Comparison("category", Operator.EQUAL, "Wine"), Not(Not(Membership("brand", ("0", "1")))))
)


@pytest.mark.slow
@example(IN_BRACKETS)
@example(Comparison("brand", Operator.EQUAL, "\uf900"))
@given(conditions)
def test_the_words_of_a_filter_are_parsed_to_the_same_filter(condition: Filter) -> None:
    assert read(expression(words(condition))) == plain(condition)


def test_a_text_of_hostile_values_finds_what_its_filter_finds() -> None:
    chance, texts = random.Random(1), 0
    products = [
        Facts(brand=brand, tags=frozenset(TAGS[:3]), price=Money("EUR", 1)) for brand in BRANDS
    ]
    for _ in range(2_000):
        condition = random_condition(chance, (0, 10**15))
        if text := sent(condition, chance).text:
            texts += 1
            meant = read(expression(text))
            assert [passes(meant, each) for each in products] == [
                passes(condition, each) for each in products
            ]
    assert texts > 500


def test_the_client_and_the_gateway_know_the_same_fields() -> None:
    assert FIELDS == CLIENTS


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (" AND ".join(["tags:a"] * 65), "has 65 parts; at most 64"),
        (" OR ".join(["tags:a"] * 1_001), "has 1001 values; at most 1000"),
        (" OR ".join(f"attributes.a:x{n}" for n in range(33)), "looks at up to"),
        ("NOT(brand:* AND tags:a OR " * 5 + "price:*" + ")" * 5, "nested deeper than 8 levels"),
    ],
)
def test_a_text_has_the_limits_of_a_filter(text: str, problem: str) -> None:
    with pytest.raises(FilterSyntaxError, match=problem):
        expression(text)


def test_a_file_has_no_empty_filter() -> None:
    with pytest.raises(ValueError, match="has no condition"):
        of_words(" ")
