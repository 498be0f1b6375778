"""Random products and filters of every field and kind, driven by the table of fields."""

from __future__ import annotations

import dataclasses
from typing import Any as Anything

from hypothesis import strategies as st

from retriever.domain.product import Attribute, Product, ProductContent
from sightline_rules import kinds
from sightline_rules.fields import BY_FILTER, FIELDS, Field
from sightline_rules.filters import (
    ATTRIBUTES,
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
)
from sightline_rules.markets import MarketValues

WORDS = ("red", "Red", "it's", 'say "hi"', "红", "a > b", "Wine", "Straße")
PATHS = ((), ("Wine",), ("Wine", "Red"), ("Wine", "Red", "Dry"), ("Winery",), ("红", "葡萄"))
MICROS = (0, 1, 5_000_000, 5_000_001, 2**63 - 1)
TIMES = (0, 1, 1_700_000_000_000_000)
NUMBERS = (0.0, 0.1, -1.5, 3.0, 4.25, 4.3, 5.0, 7.0, 1e300)
KEYS = ("grape", "abv", "organic")

MONEY = st.builds(Money, st.sampled_from(["EUR", "USD"]), st.sampled_from(MICROS))
MARKET = st.builds(
    MarketValues,
    market_id=st.sampled_from(["de", "fr", "ch-fr"]),
    price=st.none() | MONEY,
    availability=st.none() | st.sampled_from(list(Availability)),
    title=st.sampled_from(["", *WORDS]),
)
ATTRIBUTE = st.one_of(
    st.builds(Attribute, st.just("grape"), st.sampled_from(WORDS)),
    st.builds(Attribute, st.just("abv"), st.sampled_from(NUMBERS)),
    st.builds(Attribute, st.just("organic"), st.booleans()),
)


def contents(field: Field) -> st.SearchStrategy[Anything]:  # noqa: C901 - a case for each kind
    """Return values that a product may have in a field."""
    match field.kind:
        case kinds.TextKind(least=least):
            return st.sampled_from(WORDS if least else ("", *WORDS))
        case kinds.TextsKind():
            return st.lists(st.sampled_from(WORDS), max_size=3, unique=True).map(tuple)
        case kinds.CategoryKind():
            return st.sampled_from(PATHS)
        case kinds.MoneyKind():
            return st.none() | MONEY
        case kinds.TimeKind():
            return st.sampled_from(TIMES)
        case kinds.NumberKind(most, decimals):
            within = [n for n in NUMBERS if 0 <= n <= most and round(n, decimals) == n]
            return st.none() | st.sampled_from([*within, float(most)])
        case kinds.FlagKind():
            return st.none() | st.booleans()
        case kinds.ChoiceKind(choices):
            return st.sampled_from(list(choices))
        case kinds.AttributesKind():
            several = st.lists(ATTRIBUTE, max_size=4, unique_by=lambda a: (a.key, str(a.value)))
            return several.map(_possible)
        case kinds.MarketsKind():
            several = st.lists(MARKET, max_size=3, unique_by=lambda each: each.market_id)
            return several.map(lambda given: tuple(sorted(given, key=lambda m: m.market_id)))
        case kind:
            raise AssertionError(f"say here what values a {kind.name} may have")


def _possible(given: list[Attribute]) -> tuple[Attribute, ...]:
    """Return valid attributes: only texts may repeat."""
    found = {a.key: a for a in given if not isinstance(a.value, str)}
    return (*(a for a in given if isinstance(a.value, str)), *found.values())


PRODUCTS = st.fixed_dictionaries({field.name: contents(field) for field in FIELDS})


def product(name: str, values: dict[str, Anything]) -> Product:
    """Return a product of the record with these values by field name."""
    said = {f.wire: values[f.name] for f in FIELDS if f.written} | {"parent_id": ""}
    times = {f.wire: values[f.name] for f in FIELDS if not f.written}
    content = ProductContent(product_id=name, **said)
    return Product(content, (), etag="", seq=1, **times)


def literals(literal: kinds.Literal) -> st.SearchStrategy[Anything]:
    """Return values that a filter may compare with."""
    if dataclasses.is_dataclass(literal):
        return MONEY if literal is Money else st.sampled_from(TIMES).map(Time)
    if literal is str:
        return st.sampled_from([*WORDS, "Wine > Red", "wine", "r", "de", "fr"])
    if literal is bool:
        return st.booleans()
    return st.sampled_from(NUMBERS) if literal is float else st.sampled_from(list(literal))  # type: ignore[arg-type]


def conditions(name: str, kind: kinds.FieldKind) -> st.SearchStrategy[Filter]:
    """Return every condition that a field accepts."""
    found: list[st.SearchStrategy[Filter]] = [st.just(Existence(name))]
    for literal, operators in kind.operators.items():
        values = literals(literal)
        found.append(
            st.builds(Comparison, st.just(name), st.sampled_from(sorted(operators)), values)
        )
    if Operator.EQUAL in kind.all_operators:
        either = st.one_of(*map(literals, kind.operators))
        several = st.lists(either, max_size=3).map(tuple)
        found.append(st.builds(Membership, st.just(name), several))
    return st.one_of(*found)


NAMES = [
    *((name, field) for name, field in BY_FILTER.items() if name != ATTRIBUTES),
    *((f"{ATTRIBUTES}{key}", BY_FILTER[ATTRIBUTES]) for key in KEYS),
]
LEAVES = st.one_of(*(conditions(name, field.kind) for name, field in NAMES))
FILTERS = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.builds(Not, parts),
        st.builds(All, st.lists(parts, max_size=3).map(tuple)),
        st.builds(Any, st.lists(parts, max_size=3).map(tuple)),
    ),
    max_leaves=5,
)
