"""Parser of filters as text, after AIP-160 (https://google.aip.dev/160).

    category = "Wine > Red" AND price < 30 EUR
    (brand = Aurora OR brand = "Château d'Yquem") AND tags:Beef AND availability = IN_STOCK
    attributes.vintage >= 2015 AND NOT attributes.grape = Merlot
    brand:* AND title:réserve OR -price:*
    create_time >= "2026-01-01T00:00:00Z"

    filter      = [conjunction]
    conjunction = disjunction {"AND" disjunction}
    disjunction = negatable {"OR" negatable}
    negatable   = ("NOT" | "-") negatable | "(" conjunction ")" | field operator value
    operator    = "=" | "!=" | "<" | "<=" | ">" | ">=" | ":"
    value       = quoted text | amount [currency] | word

- Fields are those that message Filter names, and attributes.<key>.
- ``:`` means "has". ``tags:Beef`` tests for that tag. ``:`` with a text field tests for a part of
  the text, case-insensitively: ``title:wine``. ``price:*`` tests whether the field has a value.
- OR binds tighter than AND, as in AIP-160. NOT or - negates a condition. ``NOT brand = A`` accepts
  a product without a brand, ``brand != A`` does not.
- A text is one word, or quoted with " or ', with a backslash before a quote or a backslash in it.
- In conditions on attributes, 2015 and 13.5 are numbers, true and false are flags, and all other
  values are texts, as is "2015".
- Money is an amount and its ISO 4217 code: ``30 EUR``, ``12.50USD``.
- A time is RFC 3339 in quotes; a date alone is midnight, UTC.

The gateway and the client both use it. Its time is linear in the length of the text.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from sightline.common.v1.filter_pb2 import Comparison, Filter
from sightline.common.v1.product_pb2 import Availability

MAX_LENGTH = 65_536
"""Maximum number of characters, which take up to 75 ms (2026-11)."""
MAX_DEPTH = 32
"""Maximum number of open parentheses and negations. Of a message, only 8 levels are accepted."""
MAX_TEXT = 1_024
"""Maximum number of characters of a value."""
ATTRIBUTES = "attributes."
"""Prefix of an attribute's field name."""

_SPACE = re.compile(r"\s*")
_WORDS = {word: re.compile(rf"{word}(?![\w.-])") for word in ("AND", "OR", "NOT")}
_CONDITION = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)\s*(!=|<=|>=|=|<|>|:)\s*")
_VALUE = re.compile(
    r"""(?P<quoted>"[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*')
    |(?P<amount>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)
      (?:[ \t]*(?!AND\b|OR\b)[A-Za-z]{3}(?![\w.-]))?(?![\w.-]))
    |(?P<word>[^\s"'()=!<>:,]+)""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MONEY = re.compile(r"\s*\+?([0-9]*)(?:\.([0-9]*))?\s*([A-Za-z]{3})?\s*")
_KEY = re.compile(r"[a-z0-9_.-]{1,64}")

_EQUAL = Comparison.OPERATOR_EQUAL
_CONTAINS = Comparison.OPERATOR_CONTAINS
_OPERATORS = {
    "=": _EQUAL,
    ":": _EQUAL,
    "!=": Comparison.OPERATOR_NOT_EQUAL,
    "<": Comparison.OPERATOR_LESS,
    "<=": Comparison.OPERATOR_LESS_OR_EQUAL,
    ">": Comparison.OPERATOR_GREATER,
    ">=": Comparison.OPERATOR_GREATER_OR_EQUAL,
}
_PREFIX = "AVAILABILITY_"
_STATES = {
    name.removeprefix(_PREFIX): number for name, number in Availability.items() if number > 0
}
_FLAGS = {"true": True, "false": False}
_ORDERED = frozenset({"money", "time", "number"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
"""Seconds since 1970 of the years 1 to 9999."""
_UNITS_DIGITS = 13
"""Digits of an amount before the point."""
_DECIMALS = 6

Node = dict[str, Any]
"""Fields of a message. Messages are made at the end, because each is copied into the one around."""


class FilterSyntaxError(ValueError):
    """Invalid filter text; ``column`` (from 0) is the position of the error."""

    def __init__(self, message: str, text: str, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        self.column = min(column, len(text))

    def __str__(self) -> str:
        return f"{self.message}\n{self.pointer}"

    @property
    def pointer(self) -> str:
        """The text with a caret under the error, up to 60 characters to either side."""
        start = max(0, self.column - 60)
        near = self.text[start : self.column + 60].encode("utf-8", "replace").decode()
        flat = re.sub(r"[\s\x00-\x1f\x7f-\x9f]", " ", near)
        before = flat[: self.column - start]
        width = sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in before)
        return f"  {flat}\n  {' ' * width}^"


def parse(text: str, fields: Mapping[str, str], currency: str = "") -> Filter:
    """Parse a filter; an empty text gives an empty filter, which every product passes.

    `fields`: by the name of a field but the attributes, its kind: TEXT, WORDS (text that is
    searched in), TEXTS, CATEGORY, MONEY, TIME, NUMBER, FLAG or AVAILABILITY. `currency`: of amounts
    without one; "": each amount must name its own. Raises FilterSyntaxError.
    """
    if len(text) > MAX_LENGTH:
        raise FilterSyntaxError(f"a filter has at most {MAX_LENGTH:,} characters", text, 0)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = "an unpaired surrogate is not valid UTF-8"
        raise FilterSyntaxError(message, text, error.start) from None
    return Filter(**_Parser(text, fields, currency.upper()).whole())


class _Parser:
    """Recursive-descent parser. Its place is at the beginning of a token, or at the end."""

    def __init__(self, text: str, fields: Mapping[str, str], currency: str) -> None:
        self._text, self._fields, self._currency = text, fields, currency
        self._place = self._depth = 0
        self._move(0)

    def whole(self) -> Node:
        if self._place == len(self._text):
            return {}
        found = self._conjunction()
        if self._place < len(self._text):
            raise self._unexpected("AND or OR")
        return found

    def _move(self, place: int) -> None:
        """Go on to the first token from a place on."""
        space = _SPACE.match(self._text, place)
        self._place = space.end() if space else place

    def _take(self, word: str) -> bool:
        """Move behind a word or sign, if it is next."""
        pattern = _WORDS.get(word)
        found = pattern.match(self._text, self._place) if pattern else None
        if found or (pattern is None and self._text.startswith(word, self._place)):
            self._move(self._place + len(word))
            return True
        return False

    def _conjunction(self) -> Node:
        parts = list[Node]()
        while not parts or self._take("AND"):
            part = self._disjunction()
            parts += part["all"]["filters"] if "all" in part else [part]
        return parts[0] if len(parts) == 1 else {"all": {"filters": parts}}

    def _disjunction(self) -> Node:
        parts = [self._negatable()]
        while self._take("OR"):
            parts.append(self._negatable())
        return parts[0] if len(parts) == 1 else _either(parts)

    def _negatable(self) -> Node:
        place = self._place
        if self._take("NOT") or self._take("-"):
            inner = self._nested(self._negatable, place)
            return inner.get("not", {"not": inner})
        if self._take("("):
            found = self._nested(self._conjunction, place)
            if not self._take(")"):
                raise self._unexpected("AND or OR, or a closing parenthesis")
            return found
        return self._condition()

    def _nested(self, parse: Callable[[], Node], place: int) -> Node:
        if self._depth == MAX_DEPTH:
            message = f"parentheses are nested too deep: at most {MAX_DEPTH} levels"
            raise self._at(place, message)
        self._depth += 1
        found = parse()
        self._depth -= 1
        return found

    def _condition(self) -> Node:
        start, found = self._place, _CONDITION.match(self._text, self._place)
        if found is None:
            raise self._unexpected("a field with an operator, such as brand =")
        name, sign = found.groups()
        kind = self._kind(name, start)
        self._place = found.end()
        literal = _VALUE.match(self._text, self._place)
        if literal is None:
            raise self._unexpected("a value")
        self._move(literal.end())
        if sign == ":" and literal["word"] == "*":
            return {"existence": {"field": name}}
        value = self._value(kind, literal)
        operator = self._operator(name, kind, value, found)
        return {"comparison": {"field": name, "operator": operator, "value": value}}

    def _kind(self, name: str, place: int) -> str:
        if name.startswith(ATTRIBUTES):
            if not _KEY.fullmatch(name, len(ATTRIBUTES)):
                message = "an attribute's key has 1 to 64 characters of a-z, 0-9, _, . and -"
                raise self._at(place, message)
            return "ATTRIBUTES"
        kind = self._fields.get(name)
        if kind is None:
            near = difflib.get_close_matches(name[:MAX_DEPTH], self._fields, 1)
            known = f"fields are {', '.join(self._fields)}, {ATTRIBUTES}<key>"
            hint = f"did you mean {near[0]}?" if near else known
            raise self._at(place, f"no field {name[:40]!r}: {hint}")
        return kind

    def _operator(self, name: str, kind: str, value: Node, found: re.Match[str]) -> int:
        """Return the operator of a sign. For a text ":" means CONTAINS, otherwise "="."""
        sign, place = found[2], found.start(2)
        if sign == ":" and "text" in value and kind != "TEXTS":
            if not value["text"]:
                raise self._at(place, f"{name}: needs at least one character, or * for any")
            return _CONTAINS
        attribute = kind == "ATTRIBUTES"
        if sign == ":" and kind != "TEXTS" and not attribute:
            raise self._at(place, f"{name} takes ':' only as {name}:*, write {name} =")
        if kind == "WORDS":
            raise self._at(place, f"{name} takes only ':', not {sign}")
        if sign in ("=", "!=", ":") or not _ORDERED.isdisjoint(value):
            return _OPERATORS[sign]
        other = " with a text or a flag" if attribute else ""
        raise self._at(place, f"{name} takes = and !=, not {sign}{other}")

    def _value(self, kind: str, literal: re.Match[str]) -> Node:
        """Return the fields of a FilterValue."""
        text, place = literal[0], literal.start()
        if quoted := literal["quoted"] is not None:
            text = re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
        if len(text) > MAX_TEXT:
            message = f"a value has at most {MAX_TEXT:,} characters, and this one {len(text):,}"
            raise self._at(place, message)
        if kind == "ATTRIBUTES":
            return {"text": text} if quoted else self._attribute(literal)
        read = {
            "MONEY": self._money,
            "AVAILABILITY": self._availability,
            "TIME": self._time,
            "NUMBER": self._number,
            "FLAG": self._flag,
        }.get(kind)
        return read(text, place) if read else {"text": text}

    def _attribute(self, literal: re.Match[str]) -> Node:
        text, place = literal[0], literal.start()
        if text in _FLAGS:
            return {"flag": _FLAGS[text]}
        if _NUMBER.fullmatch(text):
            if not isfinite(float(text)):
                raise self._at(place, f"{text[:40]} is too large")
            return {"number": float(text)}
        if literal["amount"] is not None:
            raise self._at(place, f"{text[:40]!r} is not a number; put a text into quotes")
        return {"text": text}

    def _availability(self, text: str, place: int) -> Node:
        if text not in _STATES:
            raise self._at(place, f"{text[:40]!r} is not one of {', '.join(_STATES)}")
        return {"availability": _STATES[text]}

    def _number(self, text: str, place: int) -> Node:
        if not _NUMBER.fullmatch(text) or not isfinite(float(text)):
            raise self._at(place, f"{text[:40]!r} is not a number: write 4.5")
        return {"number": float(text)}

    def _flag(self, text: str, place: int) -> Node:
        if text not in _FLAGS:
            raise self._at(place, f"{text[:40]!r} is neither true nor false")
        return {"flag": _FLAGS[text]}

    def _money(self, text: str, place: int) -> Node:
        found = _MONEY.fullmatch(text)
        whole, decimals = ((found[1] or "").lstrip("0"), (found[2] or "")) if found else ("", "")
        if found is None or not (found[1] or decimals):
            message = f"{text[:40]!r} is not an amount of money: write an amount and a code, 30 EUR"
            raise self._at(place, message)
        decimals = decimals.rstrip("0")
        if len(whole) > _UNITS_DIGITS or len(decimals) > _DECIMALS:
            message = f"an amount has at most {_UNITS_DIGITS} digits and {_DECIMALS} decimals"
            raise self._at(place, message)
        code = (found[3] or self._currency).upper()
        if not code:
            raise self._at(place, f"missing currency: write {text} EUR")
        nanos = int(decimals.ljust(9, "0"))
        return {"money": {"currency_code": code, "units": int(whole or 0), "nanos": nanos}}

    def _time(self, text: str, place: int) -> Node:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is None:
            if len(text) > 10:
                raise self._at(place, f"{text[:40]} must have a time zone: append Z for UTC")
            moment = moment.replace(tzinfo=UTC)
        since = None if moment is None else moment - _EPOCH
        seconds = 0 if since is None else since.days * 86_400 + since.seconds
        if since is None or not _FIRST_SECOND <= seconds <= _LAST_SECOND:
            message = f'{text[:40]!r} is not a time: write "2026-03-01T12:00:00Z" or "2026-03-01"'
            raise self._at(place, message)
        return {"time": {"seconds": seconds, "nanos": since.microseconds * 1_000}}

    def _unexpected(self, wanted: str) -> FilterSyntaxError:
        place, rest = self._place, self._text[self._place : self._place + 40]
        if not rest:
            return self._at(place, f"the filter ends too early: expected {wanted}")
        if rest[0] in "\"'" and not _VALUE.match(self._text, place):
            return self._at(place, "a quote is left open")
        word = re.match(r"[\w.-]+", rest)
        return self._at(place, f"unexpected {word[0] if word else rest[0]!r}: expected {wanted}")

    def _at(self, place: int, message: str) -> FilterSyntaxError:
        return FilterSyntaxError(message, self._text, place)


def _either(parts: list[Node]) -> Node:
    """Join conditions by OR. Equalities of one field become one membership, which costs less to
    evaluate."""
    names, values = set[str](), list[Node]()
    for part in parts:
        held = part.get("membership") or part.get("comparison")
        if not held or held.get("operator", _EQUAL) != _EQUAL:
            break
        names.add(held["field"])
        values += held["values"] if "values" in held else [held["value"]]
    else:
        if len(names) == 1:
            return {"membership": {"field": names.pop(), "values": values}}
    flat = list[Node]()
    for part in parts:
        flat += part["any"]["filters"] if "any" in part else [part]
    return {"any": {"filters": flat}}
