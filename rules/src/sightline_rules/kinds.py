"""Kinds of product fields: the literals and operators that each takes, and what conditions mean.

A kind is bound to a field once, in the table of fields (fields.py). The value that a filter
compares is a field's fact: a category is one path, tags are a set, attributes are values by key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from operator import eq, ge, gt, le, lt, ne
from typing import Any, ClassVar

from sightline_rules import categories
from sightline_rules.filters import (
    AttributeValue,
    Availability,
    Comparison,
    Existence,
    FilterInvalidError,
    Leaf,
    Membership,
    Money,
    Operator,
    Time,
    Value,
)
from sightline_rules.markets import MarketList, sold
from sightline_rules.texts import composed

Literal = type[str] | type[Money] | type[Availability] | type[Time] | type[float] | type[bool]

LITERAL_NAMES: Mapping[Literal, str] = {
    str: "text",
    Money: "money",
    Availability: "availability",
    Time: "time",
    float: "number",
    bool: "flag",
}
EQUALITY = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})
CONTAINS = frozenset({Operator.CONTAINS})
ORDER = frozenset(Operator) - CONTAINS
MAX_ATTRIBUTES = 128
"""Attributes of a product, and so texts of one attribute key."""
MOST_NUMBER = 2**53
"""Steps of a number, at most: what a 64-bit float holds exactly."""
UNKNOWN = "unknown"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_WHOLE: Mapping[Literal, frozenset[Operator]] = {str: EQUALITY | CONTAINS}
_PART: Mapping[Literal, frozenset[Operator]] = {str: CONTAINS}
_ORDERS: Mapping[Operator, Callable[[float, float], bool]] = {
    Operator.EQUAL: eq,
    Operator.NOT_EQUAL: ne,
    Operator.LESS: lt,
    Operator.LESS_OR_EQUAL: le,
    Operator.GREATER: gt,
    Operator.GREATER_OR_EQUAL: ge,
}


class FieldKind:
    """Kind of a field. Subclasses say what its conditions mean."""

    name: ClassVar[str]
    sortable: ClassVar[bool] = False
    searchable: ClassVar[bool] = False
    """True if the field has words, for keyword search and for the text that is embedded."""
    looks: ClassVar[int] = 1
    """Maximum number of texts that `contains` compares in one product."""
    by_parts: ClassVar[bool] = True
    """True if CONTAINS passes a part of a text; False: it passes a whole one."""

    @property
    def unknown(self) -> Any:
        """Return the fact of a product that does not have the field."""
        return None

    @property
    def operators(self) -> Mapping[Literal, frozenset[Operator]]:
        """Return the operators by type of the literal; other types never compare."""
        raise NotImplementedError

    @property
    def countable(self) -> bool:
        """Return whether a facet can count the field's values."""
        return False

    @property
    def literal_names(self) -> str:
        """Return the types of literal that the kind takes, in words."""
        return " or ".join(LITERAL_NAMES[literal] for literal in self.operators)

    @property
    def all_operators(self) -> frozenset[Operator]:
        """Return the operators that the kind takes with some type of literal."""
        return frozenset().union(*self.operators.values())

    def columns(self, name: str) -> tuple[str, ...]:
        """Return the SQL columns of a field that does not name its own."""
        return (name,)

    def passes(self, fact: Any, leaf: Leaf) -> bool:
        """Return whether a fact passes a condition that was checked."""
        match leaf:
            case Existence():
                return self.knows(fact)
            case Membership():
                return self.is_among(fact, leaf)
            case Comparison(_, Operator.CONTAINS, str() as text):
                return self.contains(fact, text)
            case Comparison(name, operator, value):
                if operator not in self.operators.get(type(value), ()):
                    raise FilterInvalidError("filter", f"{name} can't be evaluated; check() first")
                return self.compares(fact, operator, value)

    def judge(self, leaves: Sequence[Leaf]) -> Callable[[Any], list[bool]]:
        """Return the function that says of a fact which of these conditions it passes.

        As `passes` for each of them, but a fact's texts are folded once for all CONTAINS.
        """
        parts = [(place, part) for place, leaf in enumerate(leaves) if (part := self._part(leaf))]
        known = {place for place, _ in parts}
        others = [(place, leaf) for place, leaf in enumerate(leaves) if place not in known]
        passes, texts, count = self.passes, self.texts, len(leaves)

        def judge(fact: Any) -> list[bool]:
            found = [False] * count
            if parts:
                whole = _folded(_BETWEEN.join(texts(fact)))
                for place, part in parts:
                    found[place] = part in whole
            for place, leaf in others:
                found[place] = passes(fact, leaf)
            return found

        return judge

    def _part(self, leaf: Leaf) -> str:
        """Return the part of a text that a condition asks for, folded; "" for other conditions, and
        for a part that could reach from one text into the next."""
        if not self.by_parts or not isinstance(leaf, Comparison):
            return ""
        contains = leaf.operator is Operator.CONTAINS and _BETWEEN not in str(leaf.value)
        return fold(str(leaf.value)) if contains else ""

    def looks_of(self, leaf: Leaf) -> int:
        """Return the texts or values of one product that a condition compares, at most."""
        contains = isinstance(leaf, Comparison) and leaf.operator is Operator.CONTAINS
        return self.looks if contains else 1

    def knows(self, fact: Any) -> bool:
        """Return whether the product has the field."""
        return bool(fact != self.unknown)

    def is_among(self, fact: Any, asked: Membership) -> bool:
        """Return whether EQUAL holds for one of the values."""
        return self.knows(fact) and fact in asked.distinct

    def contains(self, fact: Any, text: str) -> bool:
        """Return whether a text of the fact contains `text`, ignoring case."""
        asked = fold(text)
        return any(asked in fold(held) for held in self.texts(fact))

    def texts(self, fact: Any) -> Iterable[str]:
        """Yield the texts that CONTAINS looks at."""
        return (fact,)

    def compares(self, fact: Any, operator: Operator, value: Any) -> bool:
        """Return whether `fact operator value` holds, for any operator but CONTAINS."""
        return self.knows(fact) and (fact == value) == (operator is Operator.EQUAL)

    def shown(self, fact: Any) -> str:
        """Return the fact for people."""
        return literal(fact) if self.knows(fact) else UNKNOWN


@dataclass(frozen=True, slots=True)
class TextKind(FieldKind):
    """One text. An empty text means unknown."""

    most: int
    """Characters, at most."""
    least: int = 0
    """Minimum number of characters. If it is 1 or more, the field is required."""
    whole: bool = True
    """False: filters ask for a part of the text only (CONTAINS)."""

    name: ClassVar[str] = "text"
    unknown: ClassVar[str] = ""
    searchable: ClassVar[bool] = True
    sortable: ClassVar[bool] = True

    @property
    def operators(self) -> Mapping[Literal, frozenset[Operator]]:
        return _WHOLE if self.whole else _PART

    @property
    def countable(self) -> bool:
        return self.whole

    def knows(self, fact: str) -> bool:
        return fact != "" or self.least > 0

    def shown(self, fact: str) -> str:
        return fact if self.knows(fact) else UNKNOWN


@dataclass(frozen=True, slots=True)
class TextsKind(FieldKind):
    """Several texts without an order. No text is also a known value."""

    most: int
    """Texts, at most."""
    most_characters: int
    """Maximum number of characters of one text, 1 or more."""

    name: ClassVar[str] = "texts"
    by_parts: ClassVar[bool] = False
    unknown: ClassVar[frozenset[str]] = frozenset()
    operators: ClassVar[Mapping[Literal, frozenset[Operator]]] = {str: EQUALITY | CONTAINS}
    countable: ClassVar[bool] = True
    searchable: ClassVar[bool] = True

    def is_among(self, fact: frozenset[str], asked: Membership) -> bool:
        return not asked.distinct.isdisjoint(fact)

    def contains(self, fact: frozenset[str], text: str) -> bool:
        return text in fact

    def compares(self, fact: frozenset[str], operator: Operator, value: Any) -> bool:
        return (value in fact) == (operator is Operator.EQUAL)

    def shown(self, fact: frozenset[str]) -> str:
        return ", ".join(sorted(fact)) or "none"


@dataclass(frozen=True, slots=True)
class CategoryKind(FieldKind):
    """Path of categories (categories.py): EQUAL passes the category and all below it."""

    name: ClassVar[str] = "category path"
    unknown: ClassVar[str] = ""
    operators: ClassVar[Mapping[Literal, frozenset[Operator]]] = {str: EQUALITY | CONTAINS}
    countable: ClassVar[bool] = True
    searchable: ClassVar[bool] = True
    looks: ClassVar[int] = categories.MAX_LEVELS

    def is_among(self, fact: str, asked: Membership) -> bool:
        return not asked.distinct.isdisjoint(categories.ancestors(fact))

    def texts(self, fact: str) -> Iterable[str]:
        return categories.split(fact)

    def compares(self, fact: str, operator: Operator, value: Any) -> bool:
        within = categories.is_within(fact, value)
        return fact != "" and within == (operator is Operator.EQUAL)

    def shown(self, fact: str) -> str:
        return fact or UNKNOWN


@dataclass(frozen=True, slots=True)
class MoneyKind(FieldKind):
    """Amount in a currency. Amounts in different currencies never compare."""

    name: ClassVar[str] = "money"
    sortable: ClassVar[bool] = True
    operators: ClassVar[Mapping[Literal, frozenset[Operator]]] = {Money: ORDER}
    countable: ClassVar[bool] = True

    def columns(self, name: str) -> tuple[str, ...]:
        return f"{name}_micros", f"{name}_currency"

    def compares(self, fact: Money | None, operator: Operator, value: Any) -> bool:
        same = fact is not None and fact.currency == value.currency
        return same and _ORDERS[operator](fact.micros if fact else 0, value.micros)


@dataclass(frozen=True, slots=True)
class TimeKind(FieldKind):
    """Instant that the service sets: always known."""

    name: ClassVar[str] = "time"
    unknown: ClassVar[Time] = Time(0)
    operators: ClassVar[Mapping[Literal, frozenset[Operator]]] = {Time: ORDER}
    sortable: ClassVar[bool] = True

    def knows(self, fact: Time) -> bool:  # noqa: ARG002
        return True

    def shown(self, fact: Time) -> str:
        return _time(fact)

    def compares(self, fact: Time, operator: Operator, value: Any) -> bool:
        return _ORDERS[operator](fact.micros, value.micros)


class StepsKind(FieldKind):
    """Field that is stored as a whole number of steps from 0 on, such as a number or a flag."""

    plain: ClassVar[type[Any]]
    """Type of its facts, which makes one of a value in a message."""
    countable: ClassVar[bool] = True

    @property
    def largest(self) -> int:
        """Return the largest number of steps."""
        return 1

    @property
    def steps(self) -> int:
        """Return the steps in one unit."""
        return 1

    def place(self, value: Any) -> float:
        """Return a fact or a literal in steps, which may lie between two of them."""
        return float(value * self.steps)

    def scaled(self, steps: Any) -> Any:
        """Return what literals are compared with; `steps`: a number, or an array of them."""
        return steps / self.steps

    def fact(self, steps: int) -> Any:
        """Return the fact that is stored as this number of steps."""
        return self.plain(self.scaled(steps))

    def problem(self, fact: Any) -> str:  # noqa: ARG002
        """Return why a product can't have a fact; "" if it can."""
        return ""


@dataclass(frozen=True, slots=True)
class NumberKind(StepsKind):
    """Number from 0 on with a fixed number of decimals."""

    most: float
    decimals: int = 0

    name: ClassVar[str] = "number"
    plain: ClassVar[type[Any]] = float
    operators: ClassVar[Mapping[Literal, frozenset[Operator]]] = {float: ORDER}
    sortable: ClassVar[bool] = True

    @property
    def largest(self) -> int:
        return int(self.most * self.steps)

    @property
    def steps(self) -> int:
        """Return the steps in one unit: 10 for one decimal."""
        return int(10**self.decimals)

    def problem(self, fact: float) -> str:
        if not 0 <= fact <= self.most:
            return f"must be from 0 to {self.most:,.15g}"
        exact = round(fact, self.decimals) == fact
        return "" if exact else f"must have at most {self.decimals} decimals"

    def compares(self, fact: float | None, operator: Operator, value: Any) -> bool:
        return fact is not None and _ORDERS[operator](fact, value)


@dataclass(frozen=True, slots=True)
class FlagKind(StepsKind):
    """True, false or unknown."""

    name: ClassVar[str] = "flag"
    plain: ClassVar[type[Any]] = bool
    operators: ClassVar[Mapping[Literal, frozenset[Operator]]] = {bool: EQUALITY}


@dataclass(frozen=True, slots=True)
class ChoiceKind(FieldKind):
    """One of the values of an enum, of which one is the default: always known."""

    choices: type[Availability]
    default: Availability

    name: ClassVar[str] = "choice"
    countable: ClassVar[bool] = True

    @property
    def unknown(self) -> Availability:
        return self.default

    @property
    def operators(self) -> Mapping[Literal, frozenset[Operator]]:
        return {self.choices: EQUALITY}

    def knows(self, fact: StrEnum) -> bool:  # noqa: ARG002
        return True

    def shown(self, fact: StrEnum) -> str:
        return fact.value


@dataclass(frozen=True, slots=True)
class AttributesKind(FieldKind):
    """Values of one attribute key: several texts, or one number, or one flag.

    A condition compares with values of its literal's type alone.
    """

    name: ClassVar[str] = "attributes"
    unknown: ClassVar[tuple[AttributeValue, ...]] = ()
    operators: ClassVar[Mapping[Literal, frozenset[Operator]]] = {
        str: EQUALITY | CONTAINS,
        float: ORDER,
        bool: EQUALITY,
    }
    countable: ClassVar[bool] = True
    searchable: ClassVar[bool] = True
    looks: ClassVar[int] = MAX_ATTRIBUTES

    def judge(self, leaves: Sequence[Leaf]) -> Callable[[Any], list[bool]]:
        """Return the function that says of a fact which of these conditions it passes.

        Values are looked up in the conditions that ask for them, instead of each condition in all
        values: the time of many conditions on a product with many values is that of one.
        """
        asked = dict[tuple[type, Value], list[int]]()
        for place, leaf in enumerate(leaves):
            for value in _equal_values(leaf):
                asked.setdefault((type(value), value), []).append(place)
        unequal = [
            (place, type(leaf.value))
            for place, leaf in enumerate(leaves)
            if isinstance(leaf, Comparison) and leaf.operator is Operator.NOT_EQUAL
        ]
        others = [place for place, leaf in enumerate(leaves) if not _equal_values(leaf)]
        # Not super(): with slots, a dataclass is another class than the one that super() knows.
        rest = FieldKind.judge(self, [leaves[place] for place in others])
        count = len(leaves)

        def judge(fact: tuple[AttributeValue, ...]) -> list[bool]:
            found = [False] * count
            if others:
                for place, passed in zip(others, rest(fact), strict=True):
                    found[place] = passed
            for value in fact if asked else ():
                for place in asked.get((type(value), value), ()):
                    found[place] = True
            for place, literal in unequal:
                found[place] = not found[place] and any(type(each) is literal for each in fact)
            return found

        return judge

    def is_among(self, fact: tuple[AttributeValue, ...], asked: Membership) -> bool:
        return any(
            value in asked.distinct and (isinstance(value, str) or _has_typed(asked.values, value))
            for value in fact
        )

    def texts(self, fact: tuple[AttributeValue, ...]) -> Iterable[str]:
        return (value for value in fact if isinstance(value, str))

    def compares(self, fact: tuple[AttributeValue, ...], operator: Operator, value: Any) -> bool:
        held = [other for other in fact if type(other) is type(value)]
        match operator:
            case Operator.EQUAL:
                return value in held
            case Operator.NOT_EQUAL:
                return bool(held) and value not in held
            case _:
                return any(_ORDERS[operator](other, value) for other in held)  # type: ignore[arg-type]

    def shown(self, fact: tuple[AttributeValue, ...]) -> str:
        texts = (value if isinstance(value, str) else literal(value) for value in fact)
        return ", ".join(texts) or UNKNOWN


@dataclass(frozen=True, slots=True)
class MarketsKind(FieldKind):
    """Values by market. Conditions ask in which markets the product is sold; one without a list is
    sold in all, and EXISTS passes one with a list."""

    name: ClassVar[str] = "markets"
    unknown: ClassVar[MarketList] = ()
    operators: ClassVar[Mapping[Literal, frozenset[Operator]]] = {str: EQUALITY}

    def is_among(self, fact: MarketList, asked: Membership) -> bool:
        return bool(asked.values) and (
            not fact or any(each.market_id in asked.distinct for each in fact)
        )

    def compares(self, fact: MarketList, operator: Operator, value: Any) -> bool:
        return sold(fact, value) == (operator is Operator.EQUAL)

    def shown(self, fact: MarketList) -> str:
        return ", ".join(each.market_id for each in fact) or "all"


def _equal_values(leaf: Leaf) -> Sequence[Value]:
    """Return the values that a condition compares with by EQUAL or its opposite; else none."""
    match leaf:
        case Membership(_, values):
            return values
        case Comparison(_, Operator.EQUAL | Operator.NOT_EQUAL, value):
            return (value,)
        case _:
            return ()


def _has_typed(values: Iterable[Value], value: Value) -> bool:
    """Return whether a value of the same type is equal: in a set 1.0 and True are one."""
    return any(type(other) is type(value) and other == value for other in values)


@lru_cache(maxsize=4_096)
def fold(text: str) -> str:
    """Return the text as CONTAINS compares it: case folded, accents composed.

    Cached: a filter's text meets many products, and a product's text several conditions.
    """
    return _folded(text)


_BETWEEN = "\0"
"""Stands between texts that are folded together: accents do not compose across it."""


def _folded(text: str) -> str:
    return composed(composed(text).casefold())


def literal(value: Value) -> str:
    """Return a value as filters are written: 30 EUR, "red", 4.5, true."""
    match value:
        case bool():
            return str(value).lower()
        case StrEnum():
            return value.value
        case Money():
            return _money(value)
        case Time():
            return f'"{_time(value)}"'
        case float():
            return f"{value:.15g}"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'


def _money(value: Money) -> str:
    units, rest = divmod(value.micros, 1_000_000)
    cents = f"{rest:06}".rstrip("0")
    amount = f"{units}.{cents:0<2}" if cents else str(units)
    return f"{amount} {value.currency}"


def _time(value: Time) -> str:
    try:
        moment = EPOCH + timedelta(microseconds=value.micros)
    except OverflowError:
        return f"{value.micros} µs"
    return moment.isoformat().replace("+00:00", "Z")
