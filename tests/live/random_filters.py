"""Random facts of products and filters, and filters that are as large as they may be, for tests of
engines."""

from __future__ import annotations

import random

from sightline_rules import kinds
from sightline_rules.facts import Facts
from sightline_rules.fields import FILTERED, Field
from sightline_rules.filter_checks import NAMES, kind_of
from sightline_rules.filters import (
    All,
    Any,
    AttributeValue,
    Comparison,
    Existence,
    Filter,
    Membership,
    Money,
    Not,
    Operator,
    Time,
    Value,
)
from sightline_rules.markets import MarketValues

TEXTS = ["red", "Red", "it's", 'say "hi"', "\\", '" or 1 == 1', "') or seq > 0 --", "红", "%", "_"]
PATHS = ["", "Wine", "Wine > Red", "Wine > Red > Dry", "Wine > White", "it's > \\", "红 > 葡萄"]
MICROS = [0, 1, 5_000_000, 2**63 - 1]
TIMES = [0, 1, 1_700_000_000_000_000]
NUMBERS = [0.0, -1.5, 13.0, 13.000000001, 2015.0, 1e300]
STEPS = [0.0, 0.1, 1.0, 4.3, 5.0]
"""Numbers of which products have some."""
KEYS = ["grape", "abv", "organic", *(f"key_{number}" for number in range(30))]


MARKETS = ["ch-fr", "de", "fr"]


def value(field: str, chance: random.Random) -> Value:
    match kind_of(field, "field"):
        case kinds.MoneyKind():
            return Money(chance.choice(["EUR", "USD"]), chance.choice(MICROS))
        case kinds.ChoiceKind(choices):
            return chance.choice(list(choices))
        case kinds.TimeKind():
            return Time(chance.choice([-1, *TIMES]))
        case kinds.CategoryKind():
            return chance.choice([*PATHS, *TEXTS])
        case kinds.NumberKind():
            return chance.choice([*NUMBERS, *STEPS])
        case kinds.MarketsKind():
            return chance.choice([*MARKETS, *TEXTS])
        case kinds.AttributesKind():
            return chance.choice([*TEXTS[:4], *NUMBERS, True, False])
        case _:
            return chance.choice(TEXTS)


def attributes(chance: random.Random) -> dict[str, tuple[AttributeValue, ...]]:
    """Return a few attributes for most products, more than there are columns for some."""
    found: dict[str, tuple[AttributeValue, ...]] = {}
    for key in chance.sample(KEYS, chance.choice([0, 2, 5, 30])):
        texts = tuple(chance.sample(TEXTS[:4], chance.choice([1, 1, 2, 4])))
        found[key] = chance.choice(
            [texts, (chance.choice(NUMBERS),), (chance.choice([True, False]),)]
        )
    return found


def facts(chance: random.Random) -> Facts:
    return Facts(**{field.name: _fact(field, chance) for field in FILTERED})


def _fact(field: Field, chance: random.Random) -> object:
    match field.kind:
        case kinds.CategoryKind():
            return chance.choice(PATHS)
        case kinds.TextsKind():
            return frozenset(chance.sample(TEXTS, chance.randrange(5)))
        case kinds.MoneyKind():
            price = Money(chance.choice(["EUR", "USD"]), chance.choice(MICROS))
            return chance.choice([None, price])
        case kinds.ChoiceKind(choices):
            return chance.choice(list(choices))
        case kinds.TimeKind():
            return Time(chance.choice(TIMES))
        case kinds.NumberKind(most, decimals):
            return chance.choice([None, *(n for n in STEPS if round(n, decimals) == n), most])
        case kinds.AttributesKind():
            return attributes(chance)
        case kinds.TextKind(least=least):
            return chance.choice(TEXTS if least else ["", *TEXTS])
        case kinds.MarketsKind():
            chosen = chance.sample(MARKETS, chance.choice([0, 0, 1, 3]))
            return tuple(MarketValues(each) for each in sorted(chosen))
        case kind:
            raise AssertionError(f"say here what a {kind.name} may hold")


def condition(chance: random.Random, depth: int = 0) -> Filter:
    if depth < 7 and chance.random() < 0.4:
        if chance.random() < 0.3:
            return Not(condition(chance, depth + 1))
        parts = tuple(condition(chance, depth + 1) for _ in range(chance.randrange(4)))
        return chance.choice([All, Any])(parts)
    field = chance.choice([*NAMES, *(f"attributes.{key}" for key in KEYS[:6])])
    if chance.random() < 0.1:
        return Existence(field)
    if chance.random() < 0.3 and field != "title":
        return Membership(field, tuple(value(field, chance) for _ in range(chance.randrange(4))))
    compared = value(field, chance)
    operators = kind_of(field, "field").operators[type(compared)]
    return Comparison(field, Operator(chance.choice(sorted(operators))), compared)


def nested(depth: int) -> Filter:
    """Return a filter of the maximum depth, negated at every other level."""
    made: Filter = Comparison("brand", Operator.EQUAL, "red")
    for level in range(depth - 1):
        made = Not(made) if level % 2 else Any((made, Existence("price")))
    return made


def many(field: str) -> Filter:
    """Return a filter with the maximum number of values in one list."""
    return Membership(field, (*(f'no "such" {number}' for number in range(999)), "red"))


EXTREME = [
    nested(8),
    Not(nested(7)),
    All((many("tags"), many("brand"))),
    Not(many("tags")),
    many("attributes.grape"),
    Any((many("brand"), many("tags"), many("attributes.grape"), many("attributes.key_1"))),
    All(tuple(Not(Comparison("tags", Operator.EQUAL, text)) for text in TEXTS * 6)),
    Any(
        tuple(
            All(tuple(Comparison(f"attributes.{key}", Operator.GREATER, 1.0) for key in KEYS[:30]))
            for _ in range(8)
        )
    ),
]
