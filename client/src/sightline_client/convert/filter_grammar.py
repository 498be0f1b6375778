"""The grammar of filters, and how its tree becomes a filter."""

import difflib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from math import isfinite
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from sightline_client.convert.filter_errors import FilterSyntaxError
from sightline_client.values.catalog import Availability, Money
from sightline_client.values.fields import FieldKind, ProductField
from sightline_client.values.filters import (
    ATTRIBUTES,
    Comparison,
    Existence,
    Filter,
    Membership,
    Operator,
    Value,
    all_of,
    any_of,
)
from sightline_client.values.products import FILTERED

_GRAMMAR = r"""
start: [conjunction]
conjunction: disjunction (AND disjunction)*
disjunction: negatable (OR negatable)*
?negatable: (NOT | MINUS) negatable -> negation | term
?term: comparison | "(" conjunction ")" -> group
comparison: FIELD OPERATOR value
value: QUOTED -> quoted | AMOUNT -> amount | WORD -> word

AND.3: /AND(?![\w.-])/
OR.3: /OR(?![\w.-])/
NOT.3: /NOT(?![\w.-])/
MINUS: "-"
OPERATOR: "!=" | "<=" | ">=" | "=" | "<" | ">" | ":"
QUOTED: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/s
AMOUNT.2: /[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[ \t]*(?!AND\b|OR\b)[A-Za-z]{3}(?![\w.-]))?(?![\w.-])/
FIELD.1: /[A-Za-z_][A-Za-z0-9_.-]*(?=\s*(?:[!<>]=?|=|:))/
WORD: /[^\s"'()=!<>:,]+/
%ignore /\s+/
"""

_OPERATORS = {
    "=": Operator.EQUAL,
    "!=": Operator.NOT_EQUAL,
    "<": Operator.LESS,
    "<=": Operator.LESS_OR_EQUAL,
    ">": Operator.GREATER,
    ">=": Operator.GREATER_OR_EQUAL,
}
_FIELDS = {field.name: field for field in FILTERED if field.kind is not FieldKind.ATTRIBUTES}
_ORDERED = frozenset({Money, datetime, float})
_FLAGS = {"true": True, "false": False}
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_STATES = {state.value: state for state in Availability if state is not Availability.UNSPECIFIED}


def read_filter(text: str, currency: str) -> Filter:
    """Parse a filter and convert it. Raise FilterSyntaxError for invalid text."""
    try:
        tree = _grammar().parse(text)
        reader = _Reader(text, currency)
        return all_of(
            *(
                part
                for child in tree.children
                if isinstance(child, Tree)
                for part in reader.read(child)
            )
        )
    except UnexpectedInput as error:
        raise _unexpected(error, text) from None
    except RecursionError:
        raise FilterSyntaxError("parentheses are nested too deep", text, 0) from None


@cache
def _grammar() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer="contextual", maybe_placeholders=False)


class _Reader:
    """Converter from the parse tree to a filter."""

    def __init__(self, text: str, currency: str) -> None:
        self._text = text
        self._currency = currency.upper()

    def read(self, node: Tree[Token]) -> Iterator[Filter]:
        """Yield the conditions of a conjunction, without nesting."""
        for disjunction in _trees(node, "disjunction"):
            parts = [child for child in disjunction.children if isinstance(child, Tree)]
            if len(parts) == 1 and parts[0].data == "group":
                yield from self.read(_tree(parts[0].children[0]))
            else:
                yield _either([self._part(part) for part in parts])

    def _part(self, node: Tree[Token]) -> Filter:
        """Convert one of the conditions that OR joins, or that NOT negates."""
        if node.data == "negation":
            return ~self._part(_tree(node.children[-1]))
        if node.data == "group":
            inner = list(self.read(_tree(node.children[0])))
            return inner[0] if len(inner) == 1 else all_of(*inner)
        return self._comparison(node)

    def _comparison(self, node: Tree[Token]) -> Filter:
        name, sign, literal = node.children[0], node.children[1], _tree(node.children[2])
        if not isinstance(name, Token) or not isinstance(sign, Token):
            raise TypeError("the grammar has changed")
        field = None if name.startswith(ATTRIBUTES) else self._field(name)
        if sign == ":" and literal.data == "word" and _first(literal) == "*":
            return Existence(str(name))
        kind = FieldKind.ATTRIBUTES if field is None else field.kind
        value = self._attribute(literal) if field is None else self._value(kind, literal)
        return Comparison(str(name), self._operator(name, sign, value, kind), value)

    def _field(self, name: Token) -> ProductField:
        field = _FIELDS.get(name)
        if field is None:
            near = difflib.get_close_matches(name, _FIELDS, 1)
            known = f"fields are {', '.join(_FIELDS)}, {ATTRIBUTES}<key>"
            hint = f"did you mean {near[0]}?" if near else known
            raise self._at(name, f"no field {str(name)!r}: {hint}")
        return field

    def _operator(self, name: Token, sign: Token, value: Value, kind: FieldKind) -> Operator:
        """Return the operator of a sign. For a text ":" means CONTAINS, otherwise "="."""
        is_text = isinstance(value, str) and not isinstance(value, Availability)
        if sign == ":" and is_text and kind is not FieldKind.TEXTS:
            if not value:
                raise self._at(sign, f"{name}: needs at least one character, or * for any")
            return Operator.CONTAINS
        attribute = kind is FieldKind.ATTRIBUTES
        if sign == ":" and kind is not FieldKind.TEXTS and not attribute:
            raise self._at(sign, f"{name} takes ':' only as {name}:*, write {name} =")
        if kind is FieldKind.WORDS:
            raise self._at(sign, f"{name} takes only ':', not {sign}")
        operator = _OPERATORS.get(sign, Operator.EQUAL)
        if operator in {Operator.EQUAL, Operator.NOT_EQUAL} or type(value) in _ORDERED:
            return operator
        other = " with a text or a flag" if attribute else ""
        raise self._at(sign, f"{name} takes = and !=, not {sign}{other}")

    def _attribute(self, literal: Tree[Token]) -> Value:
        token = _first(literal)
        text = str(token)
        if literal.data == "quoted":
            return _unquoted(token)
        if text in _FLAGS:
            return _FLAGS[text]
        if not _NUMBER.fullmatch(text):
            if literal.data == "amount":
                raise self._at(token, f"{text!r} is not a number; put a text into quotes")
            return text
        if not isfinite(float(text)):
            raise self._at(token, f"{text} is too large")
        return float(text)

    def _value(self, kind: FieldKind, literal: Tree[Token]) -> Value:
        token = _first(literal)
        text = _unquoted(token) if literal.data == "quoted" else str(token)
        match kind:
            case FieldKind.MONEY:
                return self._money(token, text)
            case FieldKind.AVAILABILITY:
                if text not in _STATES:
                    raise self._at(token, f"{text!r} is not one of {', '.join(_STATES)}")
                return _STATES[text]
            case FieldKind.TIME:
                return self._time(token, text)
            case FieldKind.NUMBER:
                if not _NUMBER.fullmatch(text) or not isfinite(float(text)):
                    raise self._at(token, f"{text!r} is not a number: write 4.5")
                return float(text)
            case FieldKind.FLAG:
                if text not in _FLAGS:
                    raise self._at(token, f"{text!r} is neither true nor false")
                return _FLAGS[text]
            case _:
                return text

    def _money(self, token: Token, text: str) -> Money:
        found = re.fullmatch(r"\s*([+-]?[\d.]+)\s*([A-Za-z]{3})?\s*", text)
        try:
            amount = Decimal(found[1]) if found else None
        except InvalidOperation:
            amount = None
        if found is None or amount is None:
            raise self._at(
                token, f"{text!r} is not an amount of money: write an amount and a code, 30 EUR"
            )
        code = (found[2] or self._currency).upper()
        if not code:
            raise self._at(token, f"missing currency: write {text} EUR")
        return Money(amount, code)

    def _time(self, token: Token, text: str) -> datetime:
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            message = f'{text!r} is not a time: write "2026-03-01T12:00:00Z" or "2026-03-01"'
            raise self._at(token, message) from None
        if value.tzinfo is None and len(text) > 10:
            raise self._at(token, f"{text} must have a time zone: append Z for UTC")
        return value if value.tzinfo else value.replace(tzinfo=UTC)

    def _at(self, token: Token, message: str) -> FilterSyntaxError:
        return FilterSyntaxError(message, self._text, token.start_pos or 0)


def _either(parts: list[Filter]) -> Filter:
    """Join conditions by OR. Equalities of one field become one membership, which costs less to
    evaluate."""
    if len(parts) == 1:
        return parts[0]
    field = ""
    values: list[Value] = []
    for part in parts:
        if isinstance(part, Membership):
            name, more = part.field, part.values
        elif isinstance(part, Comparison) and part.operator is Operator.EQUAL:
            name, more = part.field, (part.value,)
        else:
            return any_of(*parts)
        if field not in {"", name}:
            return any_of(*parts)
        field = name
        values += more
    return Membership(field, tuple(values))


def _unexpected(error: UnexpectedInput, text: str) -> FilterSyntaxError:
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        token = error.token
        wanted = _wanted(error.accepts or error.expected)
        message = f"unexpected {str(token)[:40]!r}: {wanted}"
        return FilterSyntaxError(message, text, token.start_pos or 0)
    if isinstance(error, UnexpectedCharacters):
        place = error.pos_in_stream or 0
        char = text[place]
        if char in "\"'":
            return FilterSyntaxError("a quote is left open", text, place)
        word = re.match(r"[\w.-]+", text[place:])
        shown = word[0][:40] if word else char
        wanted = _wanted(error.allowed or ())
        return FilterSyntaxError(f"unexpected {shown!r}: {wanted}", text, place)
    accepts: Any = error.accepts if isinstance(error, UnexpectedToken) else ()
    missing = _wanted(accepts) if not isinstance(error, UnexpectedEOF) else "a condition is missing"
    return FilterSyntaxError(f"the filter ends too early: {missing}", text, len(text))


def _wanted(names: Any) -> str:
    words = {
        "FIELD": "a field with an operator, such as brand =",
        "OPERATOR": "an operator, such as =",
        "WORD": "a value",
        "AND": "AND or OR",
        "LPAR": "an opening parenthesis",
        "RPAR": "a closing parenthesis",
    }
    found = [words[name] for name in words if name in names]
    return "expected " + ", or ".join(found) if found else "not allowed here"


def _unquoted(token: Token) -> str:
    return re.sub(r"\\(.)", r"\1", str(token)[1:-1], flags=re.DOTALL)


def _trees(node: Tree[Token], data: str) -> Iterator[Tree[Token]]:
    return (c for c in node.children if isinstance(c, Tree) and c.data == data)


def _tree(node: object) -> Tree[Token]:
    if not isinstance(node, Tree):
        raise TypeError("the grammar has changed")
    return node


def _first(node: Tree[Token]) -> Token:
    return next(node.scan_values(lambda value: isinstance(value, Token)))
