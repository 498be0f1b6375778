"""Columns of the index, one class for each kind: the numbers of a fact, and expressions on them.

An expression passes every row whose fact passes the condition, and may pass more. `negated` asks
for the rows that the condition does not pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, ClassVar

from retriever.adapters.milvus.expressions import (
    EVERYTHING,
    NONE,
    NOTHING,
    OPPOSITE,
    SYMBOL,
    among,
    both,
    code,
    either,
)
from sightline_rules import categories, kinds
from sightline_rules.fields import Field
from sightline_rules.filters import Comparison, Existence, Leaf, Membership, Operator

SEVERAL = 1
"""Number of a tag column in which several of the product's tags belong."""
NO_NUMBER = -1
"""Number of a product without an amount, or without a number."""
LEVELS = categories.MAX_LEVELS
TAG_COLUMNS = 16
"""Number of tag columns. A tag's code determines its column, so that one comparison finds it."""


class Indexed:
    """Columns of one field. The base class has no columns: the index cannot evaluate the field."""

    names: tuple[str, ...] = ()
    """Names of the columns; all hold 64-bit integers."""
    lacks: ClassVar[frozenset[Operator]] = frozenset({Operator.CONTAINS})
    """Operators for which an expression only tests that the field is known."""

    def numbers(self, fact: Any) -> dict[str, int]:  # noqa: ARG002
        """Return the numbers of a fact, by column; columns that are left out hold NONE."""
        return {}

    def expression(self, leaf: Leaf, *, negated: bool) -> str:
        """Return the expression of a condition on the field."""
        match leaf:
            case Existence():
                return self.known(negated=negated)
            case Membership(_, values):
                return self.member(values, negated=negated)
            case Comparison(_, operator) if operator in self.lacks:
                return EVERYTHING if negated else self.known(negated=False)
            case Comparison(_, Operator.EQUAL | Operator.CONTAINS, value):
                return self.member((value,), negated=negated)
            case Comparison(_, operator, value):
                return self.compare(operator, value, negated=negated)

    def known(self, *, negated: bool) -> str:
        """Return the expression of existence: here of a field that every product has."""
        return NOTHING if negated else EVERYTHING

    def member(self, values: Iterable[Any], *, negated: bool) -> str:
        """Return the expression of membership in some values."""
        groups: defaultdict[str, set[int]] = defaultdict(set)
        for value in values:
            for column, number in self.places(value):
                groups[column].add(number)
        parts = [
            among(column, numbers, negated=negated) for column, numbers in sorted(groups.items())
        ]
        return both(parts) if negated else either(parts)

    def places(self, value: Any) -> Iterable[tuple[str, int]]:  # noqa: ARG002
        """Return column and number of products that have the value. Empty if no product has it."""
        return ()

    def compare(self, operator: Operator, value: Any, *, negated: bool) -> str:  # noqa: ARG002
        """Return the expression of an operator that is neither EQUAL nor CONTAINS; here of
        NOT_EQUAL for a field that every product has."""
        return self.member((value,), negated=not negated)


class IndexedElsewhere(Indexed):
    """Field that the engine cannot evaluate: every row passes, and the search checks again."""

    def expression(self, leaf: Leaf, *, negated: bool) -> str:  # noqa: ARG002
        return EVERYTHING


class IndexedCategory(Indexed):
    """Code of the path to each level, in a column of its own."""

    def __init__(self, field: Field) -> None:
        self.names = tuple(f"{field.name}_{level}" for level in range(1, LEVELS + 1))

    def numbers(self, fact: str) -> dict[str, int]:
        return dict(zip(self.names, map(code, categories.ancestors(fact)), strict=False))

    def known(self, *, negated: bool) -> str:
        return among(self.names[0], (NONE,), negated=not negated)

    def places(self, value: str) -> Iterable[tuple[str, int]]:
        depth = len(categories.split(value))
        return [(self.names[depth - 1], code(value))] if 1 <= depth <= LEVELS else []

    def compare(self, operator: Operator, value: str, *, negated: bool) -> str:  # noqa: ARG002
        parts = [self.known(negated=negated)]
        parts += [among(column, (n,), negated=not negated) for column, n in self.places(value)]
        return either(parts) if negated else both(parts)


class IndexedText(Indexed):
    """Code of the text."""

    def __init__(self, field: Field) -> None:
        self.names = (field.name,)

    def numbers(self, fact: str) -> dict[str, int]:
        return {self.names[0]: code(fact)}

    def known(self, *, negated: bool) -> str:
        return among(self.names[0], (NONE,), negated=not negated)

    def places(self, value: str) -> Iterable[tuple[str, int]]:
        return [(self.names[0], code(value))] if value else []

    def compare(self, operator: Operator, value: str, *, negated: bool) -> str:  # noqa: ARG002
        return among(self.names[0], (NONE, code(value)), negated=not negated)


class IndexedTexts(Indexed):
    """Codes of texts, spread over several columns."""

    lacks = frozenset()

    def __init__(self, field: Field) -> None:
        prefix = field.name.removesuffix("s")
        self.names = tuple(f"{prefix}_{number}" for number in range(TAG_COLUMNS))

    def numbers(self, fact: frozenset[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for number in map(code, fact):
            name = self._column(number)
            found[name] = SEVERAL if name in found else number
        return found

    def known(self, *, negated: bool) -> str:
        held = [among(column, (NONE,), negated=not negated) for column in self.names]
        return both(held) if negated else either(held)

    def member(self, values: Iterable[str], *, negated: bool) -> str:
        groups: defaultdict[str, set[int]] = defaultdict(set)
        for number in (code(value) for value in values if value):
            # A text that shares its column may be there; where it must not be, it may be missing.
            groups[self._column(number)] |= {number} if negated else {number, SEVERAL}
        parts = [among(name, held, negated=negated) for name, held in sorted(groups.items())]
        return both(parts) if negated else either(parts)

    def _column(self, number: int) -> str:
        return self.names[number % TAG_COLUMNS]


class IndexedChoice(Indexed):
    """Place of the value in its enum, from 1. Stored in the index: append values only."""

    def __init__(self, field: Field, kind: kinds.ChoiceKind) -> None:
        self.names = (field.name,)
        self._numbers = {value: number for number, value in enumerate(kind.choices, start=1)}

    def numbers(self, fact: Any) -> dict[str, int]:
        return {self.names[0]: self._numbers[fact]}

    def places(self, value: Any) -> Iterable[tuple[str, int]]:
        return [(self.names[0], self._numbers[value])]


class IndexedTime(Indexed):
    """Microseconds since 1970. Never negative, and some engines read no negative literal."""

    def __init__(self, field: Field) -> None:
        self.names = (field.name,)

    def numbers(self, fact: Any) -> dict[str, int]:
        return {self.names[0]: fact.micros}

    def places(self, value: Any) -> Iterable[tuple[str, int]]:
        return [(self.names[0], value.micros)] if value.micros >= 0 else []

    def compare(self, operator: Operator, value: Any, *, negated: bool) -> str:
        asked = OPPOSITE[operator] if negated else operator
        if value.micros >= 0:
            return f"{self.names[0]} {SYMBOL[asked]} {value.micros}"
        later = {Operator.GREATER, Operator.GREATER_OR_EQUAL, Operator.NOT_EQUAL}
        return EVERYTHING if asked in later else NOTHING


class IndexedNumber(Indexed):
    """Steps of a number, flag or the like; NO_NUMBER if it is unknown."""

    def __init__(self, field: Field, kind: kinds.StepsKind) -> None:
        self.names = (field.name,)
        self._kind = kind

    def numbers(self, fact: Any) -> dict[str, int]:
        return {self.names[0]: NO_NUMBER if fact is None else round(self._kind.place(fact))}

    def known(self, *, negated: bool) -> str:
        return f"{self.names[0]} < 0" if negated else f"{self.names[0]} >= 0"

    def places(self, value: Any) -> Iterable[tuple[str, int]]:
        number = self._nearest(value)
        exact = number is not None and self._kind.fact(number) == value
        return [(self.names[0], number)] if number is not None and exact else []

    def compare(self, operator: Operator, value: Any, *, negated: bool) -> str:
        asked = OPPOSITE[operator] if negated else operator
        known = self.known(negated=negated)
        return (either if negated else both)([known, self._compared(asked, value)])

    def _compared(self, operator: Operator, value: Any) -> str:
        number = self._nearest(value)
        less = operator in {Operator.LESS, Operator.LESS_OR_EQUAL}
        if operator in {Operator.EQUAL, Operator.NOT_EQUAL}:
            if self.places(value):
                return f"{self.names[0]} {SYMBOL[operator]} {number}"
            return EVERYTHING if operator is Operator.NOT_EQUAL else NOTHING
        if number is None:
            return EVERYTHING if less == (self._kind.place(value) > 0) else NOTHING
        # The literal may lie between two steps: the next one on the far side is passed as well.
        if less:
            return f"{self.names[0]} <= {number + 1}"
        return f"{self.names[0]} >= {max(number - 1, 0)}"

    def _nearest(self, value: Any) -> int | None:
        """Return the step nearest to a literal; None if it is out of the kind's range."""
        place = self._kind.place(value)
        return round(place) if 0 <= place <= self._kind.largest else None


class IndexedMoney(Indexed):
    """Amount in millionths, and code of its currency."""

    def __init__(self, field: Field) -> None:
        _, currency = field.stored
        self.names = (field.name, currency)

    def numbers(self, fact: Any) -> dict[str, int]:
        amount, currency = self.names
        if fact is None:
            return {amount: NO_NUMBER, currency: NONE}
        return {amount: fact.micros, currency: code(fact.currency)}

    def known(self, *, negated: bool) -> str:
        return among(self.names[1], (NONE,), negated=not negated)

    def member(self, values: Iterable[Any], *, negated: bool) -> str:
        amount, currency = self.names
        groups: defaultdict[int, set[int]] = defaultdict(set)
        for value in values:
            groups[code(value.currency)].add(value.micros)
        parts = [
            f"{among(currency, (held,), negated=negated)} "
            f"{'or' if negated else 'and'} {among(amount, micros, negated=negated)}"
            for held, micros in sorted(groups.items(), key=lambda item: str(item[0]))
        ]
        return both(parts) if negated else either(parts)

    def compare(self, operator: Operator, value: Any, *, negated: bool) -> str:
        amount, currency = self.names
        symbol = SYMBOL[OPPOSITE[operator] if negated else operator]
        currency_is = among(currency, (code(value.currency),), negated=negated)
        return f"{currency_is} {'or' if negated else 'and'} {amount} {symbol} {value.micros}"


def indexed(field: Field) -> Indexed:
    """Return the columns of a field that is no attribute."""
    match field.kind:
        case kinds.CategoryKind():
            return IndexedCategory(field)
        case kinds.TextsKind():
            return IndexedTexts(field)
        case kinds.ChoiceKind() as kind:
            return IndexedChoice(field, kind)
        case kinds.MarketsKind():
            return IndexedElsewhere()
        case kinds.MoneyKind():
            return IndexedMoney(field)
        case kinds.TimeKind():
            return IndexedTime(field)
        case kinds.StepsKind() as kind:
            return IndexedNumber(field, kind)
        case kinds.TextKind(whole=True):
            return IndexedText(field)
        case _:
            return Indexed()
