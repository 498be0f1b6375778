"""Parser of filters as the command line writes them; rejections.py writes them.

For files of a service, which can't ask the client: docs/integrate/filters.md has the language, and
a test holds both readers to the same meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from sightline_rules.filter_checks import kind_of
from sightline_rules.filters import (
    All,
    Any,
    Comparison,
    Existence,
    Filter,
    FilterInvalidError,
    Membership,
    Not,
    Operator,
    Value,
)
from sightline_rules.kinds import FieldKind

_TOKEN = re.compile(
    r"""\s*(?:(?P<sign>[()])
    |(?P<word>AND|OR|NOT)(?![\w.-])
    |(?P<minus>-)(?=[A-Za-z_(])
    |(?P<field>[A-Za-z_][\w.-]*)\s*(?P<operator>!=|<=|>=|=|<|>|:)\s*
     (?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'
      |[+-]?[\d.]+(?:[ \t]*(?!AND\b|OR\b)[A-Za-z]{3})?(?![\w.-])|[^\s"'()=!<>:,]+))""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)


def parsed(text: str, path: str = "filter") -> Filter:
    """Return the filter that a text means, not yet checked (filter_checks.check). Raises
    FilterInvalidError."""
    try:
        return _Reader(text, path).whole()
    except RecursionError:
        raise FilterInvalidError(path, "parentheses are nested too deep") from None


class _Reader:
    def __init__(self, text: str, path: str) -> None:
        self._path, self._place = path, 0
        self._tokens = [*self._split(text.rstrip())]

    def _split(self, text: str) -> Iterator[re.Match[str]]:
        place = 0
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise FilterInvalidError(self._path, f"can't be read from {text[place:][:40]!r} on")
            yield found
            place = found.end()

    def _bad(self, what: str) -> FilterInvalidError:
        return FilterInvalidError(self._path, what)

    def _take(self, *kinds: str) -> re.Match[str] | None:
        """Consume and return the next token if it is one of these words, signs or groups."""
        if self._place < len(self._tokens):
            token = self._tokens[self._place]
            if token["sign"] in kinds or token["word"] in kinds or token.lastgroup in kinds:
                self._place += 1
                return token
        return None

    def whole(self) -> Filter:
        found = self._conjunction()
        if self._place < len(self._tokens):
            raise self._bad(f"unexpected {self._tokens[self._place][0].strip()!r}")
        return found

    def _joined(self, word: str, part: Callable[[], Filter]) -> list[Filter]:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return parts

    def _conjunction(self) -> Filter:
        parts = self._joined("AND", self._disjunction)
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _disjunction(self) -> Filter:
        """Return one of several parts; equalities of one field become one membership, as in the
        client."""
        parts = self._joined("OR", self._negatable)
        equal = [
            each
            for each in parts
            if isinstance(each, Comparison) and each.operator is Operator.EQUAL
        ]
        if len(parts) == 1:
            return parts[0]
        if len(equal) == len(parts) and len({each.field for each in equal}) == 1:
            return Membership(equal[0].field, tuple(each.value for each in equal))
        return Any(tuple(parts))

    def _negatable(self) -> Filter:
        if self._take("NOT", "minus"):
            return Not(self._negatable())
        return self._term()

    def _term(self) -> Filter:
        if self._take("("):
            inner = self._conjunction()
            if not self._take(")"):
                raise self._bad("a parenthesis is left open")
            return inner
        token = self._take("value")
        if token is None:
            raise self._bad("a condition is missing, such as brand = Aurora")
        return self._comparison(token["field"], token["operator"], token["value"])

    def _comparison(self, field: str, sign: str, literal: str) -> Filter:
        kind = kind_of(field, self._path)
        if sign == ":" and literal == "*":
            return Existence(field)
        value = self._value(field, kind, literal)
        if sign != ":":
            return Comparison(field, Operator(sign), value)
        operator = kind.colon(value)
        if operator is None:
            raise self._bad(f"{field} takes ':' only as {field}:*, write {field} =")
        return Comparison(field, operator, value)

    def _value(self, field: str, kind: FieldKind, literal: str) -> Value:
        quoted = literal[0] in "\"'"
        text = re.sub(r"\\(.)", r"\1", literal[1:-1], flags=re.DOTALL) if quoted else literal
        try:
            return kind.parsed(text, quoted=quoted)
        except ValueError as error:
            raise self._bad(f"{field}: {text!r} is none: {error}") from None
