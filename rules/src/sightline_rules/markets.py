"""Markets: values that replace those of a product where it is sold.

A filter in a market is the same filter on names such as `price@de`, with the condition that the
product is sold there. Evaluators resolve these names; caches and page tokens hold them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any as Anything
from typing import TypeAlias

from sightline_rules.filters import (
    All,
    Any,
    Availability,
    Comparison,
    Existence,
    Filter,
    FilterInvalidError,
    Leaf,
    Membership,
    Money,
    Not,
    Operator,
)

MARKET = "market"
"""Field that names the markets in which a product is sold."""
SEPARATOR = "@"
"""Between a field's name and a market. No field and no attribute that has a market holds it."""
MOST_MARKETS = 64
"""Markets of a product, and of a catalog."""
MOST_ID = 16
"""Characters of a market's id."""
CONDITIONED = ("price", "availability", "title")
"""Fields whose conditions, orders and facets are those of the market."""
SHOWN = (*CONDITIONED, "description", "language_code", "uri")
"""Fields that results have of the market."""
_ID = re.compile(f"[a-z0-9-]{{1,{MOST_ID}}}")
Message: TypeAlias = Anything


@dataclass(frozen=True, slots=True)
class MarketValues:
    """Values of a product in one market."""

    market_id: str
    price: Money | None = None
    """None: the product's own."""
    availability: Availability | None = None
    """None: the product's own."""
    title: str = ""
    """Empty: the product's own; so are the texts below."""
    description: str = ""
    language_code: str = ""
    uri: str = ""


MarketList: TypeAlias = tuple[MarketValues, ...]
"""Markets of a product by id; empty: it is sold in all."""


def problem(market_id: str) -> str:
    """Return what is wrong with a market's id; empty if it is valid."""
    if _ID.fullmatch(market_id):
        return ""
    return f"must be 1 to {MOST_ID} of a-z, 0-9 and -"


def check(market_id: str, path: str = "filter.market_id") -> str:
    """Return a market's id, or "" for none. Raises FilterInvalidError for an invalid one."""
    if market_id and (wrong := problem(market_id)):
        raise FilterInvalidError(path, wrong)
    return market_id


def named(field: str, market_id: str) -> str:
    """Return the name of a field in a market; without one, and for a field that has none, its own
    name."""
    return f"{field}{SEPARATOR}{market_id}" if market_id and field in CONDITIONED else field


def split(name: str) -> tuple[str, str]:
    """Return field and market of a name; the market is empty if it has none."""
    field, _, market_id = name.partition(SEPARATOR)
    return (field, market_id) if field in CONDITIONED else (name, "")


def sold(markets: MarketList, market_id: str) -> bool:
    """Return whether a product with these markets is sold in a market."""
    return not markets or any(each.market_id == market_id for each in markets)


def value_of(field: str, own: Anything, markets: MarketList, market_id: str) -> Anything:
    """Return a product's value of a field in a market: `own` unless the market sets one."""
    for each in markets:
        if each.market_id == market_id:
            value = getattr(each, field)
            return own if value is None or value == "" else value
    return own


def within(condition: Filter, market_id: str) -> Filter:
    """Return a checked filter in a market; without a market it is unchanged.

    Parts of an `all` keep their places; that the product is sold there is the last part.
    """
    if not market_id:
        return condition
    inner = _named(condition, market_id)
    is_sold = Comparison(MARKET, Operator.EQUAL, market_id)
    return All((*inner.filters, is_sold)) if isinstance(inner, All) else All((inner, is_sold))


def _named(condition: Filter, market_id: str) -> Filter:
    match condition:
        case All(filters):
            return All(tuple(_named(part, market_id) for part in filters))
        case Any(filters):
            return Any(tuple(_named(part, market_id) for part in filters))
        case Not(inner):
            return Not(_named(inner, market_id))
        case Comparison(name, operator, value):
            return Comparison(named(name, market_id), operator, value)
        case Membership(name, values):
            return Membership(named(name, market_id), values)
        case Existence(name):
            return Existence(named(name, market_id))


def markets_of(leaves: Iterable[Leaf]) -> frozenset[str]:
    """Return the markets that conditions on the field `market` name."""
    found = set[str]()
    for leaf in leaves:
        match leaf:
            case Comparison(_, _, str() as market_id):
                found.add(market_id)
            case Membership(_, values):
                found.update(each for each in values if isinstance(each, str))
    return frozenset(found)


def localized(product: Message, market_id: str) -> Message:
    """Return a copy of a message Product with its values in a market, without markets and etag:
    it can't be written back by mistake. Without a market, the product itself."""
    if not market_id:
        return product
    made = type(product)()
    made.CopyFrom(product)
    made.ClearField("markets")
    made.ClearField("etag")
    for each in product.markets:
        if each.market_id == market_id:
            for field, value in each.ListFields():
                if field.name in SHOWN and field.message_type is None:
                    setattr(made, field.name, value)
                elif field.name in SHOWN:
                    getattr(made, field.name).CopyFrom(value)
    return made
