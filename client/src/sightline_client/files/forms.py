"""The form of a column's values, decided by the column and not by the cell.

The first rows of a table are looked at before any is read: they show whether a point or a comma is
the decimal sign of a column, and whether an attribute is a number. What a later row contradicts is
rejected there, and what no row decides is rejected with the option that does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import chain

from sightline_client.errors import SightlineError
from sightline_client.files import numerals
from sightline_client.files.model import FileRefused, Row, RowTable, Wrapped, bad
from sightline_client.values.fields import FieldKind
from sightline_client.values.products import WRITTEN

SAMPLE = 1_000
"""Maximum number of rows that are looked at."""
_SAMPLED = 1024 * 1024
"""Maximum characters that are looked at."""
_KINDS = (FieldKind.MONEY, FieldKind.NUMBER)
AMOUNTS = frozenset(
    {"unit_price", *(field.column for field in WRITTEN if field.kind is FieldKind.MONEY)}
)
"""Our columns with amounts, which may name their currency."""
NUMBERS = AMOUNTS | {
    *("value", "quantity", "position"),
    *(field.column for field in WRITTEN if field.kind in _KINDS),
}
"""Our columns with numbers."""
_CODE = re.compile(r"\+|-?0\d")
"""Start of a code whose zeros or sign a number would lose."""
_MOST_DIGITS, _MOST_DECIMALS = 15, 6
"""Digits that a number of the contract keeps, and those after the decimal sign that are usual."""


def looked_at(rows: Iterator[Row]) -> tuple[list[Row], Iterator[Row]]:
    """Return the first rows, and all rows."""
    sample: list[Row] = []
    failure: list[FileRefused] = []
    left = _SAMPLED
    try:
        for row in rows:
            sample.append(row)
            left -= sum(len(value) for value in row.cells.values() if isinstance(value, str))
            if len(sample) == SAMPLE or left < 0:
                break
    except FileRefused as error:  # the rows before are whole
        failure.append(error)

    def after() -> Iterator[Row]:
        if failure:
            raise failure[0]
        yield from rows

    return sample, chain(sample, after())


class Formed(Wrapped):
    """A table of our columns, with the numbers of each column read in one form."""

    def __init__(self, table: RowTable, decimal: str = "") -> None:
        """`decimal`: the decimal sign of all columns; "" = as the columns show."""
        super().__init__(table)
        self.columns = table.columns
        self._decimal = decimal
        self.how = getattr(table, "how", "") + decimal
        self.separator = getattr(table, "separator", "")

    def rows(self) -> Iterator[Row]:
        """Yield the rows; one with a number that can be read in two ways, or against the others of
        its column, has an error."""
        sample, rows = looked_at(self._table.rows())
        signs: dict[str, str] = {}
        for name in {name for row in sample for name in row.cells if _base(name) in NUMBERS}:
            signs[name] = self._decimal or numerals.sign_of(_numbers(name, sample))
        for row in rows:
            yield self._formed(row, signs)

    @property
    def unformed(self) -> RowTable:
        """Return the table whose rows it reads, such as one that converts them."""
        return self._table

    def _formed(self, row: Row, signs: Mapping[str, str]) -> Row:
        changed: dict[str, object] = {}
        for name, value in row.cells.items():
            if not isinstance(value, str) or not value or _base(name) not in NUMBERS:
                continue
            sign = signs.get(name, self._decimal)
            if numerals.may_be_ambiguous(value):
                if sign:
                    changed[name] = numerals.settled(value, sign)
            elif sign and (error := _against(name, value, sign)) is not None:
                return row if row.error else replace(row, error=error)
        return replace(row, cells={**row.cells, **changed}) if changed else row


def unformed(table: RowTable) -> RowTable:
    """Return the table that reads or converts a file's rows, before their numbers are read."""
    return table.unformed if isinstance(table, Formed) else table


@lru_cache(1_000)
def _base(name: str) -> str:
    return name.partition("@")[0]


def _numbers(name: str, rows: Iterable[Row]) -> Iterator[str]:
    """Yield the numbers of a column, without currencies."""
    for row in rows:
        value = row.cells.get(name)
        if isinstance(value, str) and (found := numerals.amount(value)) is not None:
            yield found[0]


def _against(name: str, value: str, sign: str) -> SightlineError | None:
    """Return the error for a number with another decimal sign than those of its column."""
    other = "," if sign == "." else "."
    if other not in value and value.count(sign) < 2:
        return None
    found = numerals.amount(value)
    if found is None or sign in numerals.readings(found[0]):
        return None
    text = (
        f"{value[:60]!r} has {other!r} as its decimal sign, other rows of the column {sign!r}:"
        " write all alike"
    )
    return bad(name, text)


# Attributes


def is_number(text: str, sign: str) -> bool:
    """Return whether a text is a number that loses nothing as one: no code with leading zeros, and
    not longer than numbers are kept."""
    value = None if _CODE.match(text.strip()) else numerals.readings(text).get(sign or ".")
    if value is None or (not sign and len(set(numerals.readings(text).values())) > 1):
        return False
    digits, places = len(value.as_tuple().digits), value.as_tuple().exponent
    return digits <= _MOST_DIGITS and -_MOST_DECIMALS <= int(places) <= 0


def number_sign(texts: Collection[str], decimal: str) -> str:
    """Return the decimal sign by which all texts of a column are numbers; "" = they are texts. Two
    spellings of one number, such as 1.1 and 1.10, are texts."""
    sign = decimal or numerals.sign_of(texts) or "."
    ambiguous = not (decimal or numerals.sign_of(texts)) and any(
        len(set(numerals.readings(text).values())) > 1 for text in texts
    )
    if not texts or ambiguous or not all(is_number(text, sign) for text in texts):
        return ""
    spellings = {text.strip() for text in texts}
    return (
        sign if len({numerals.number(text, sign) for text in spellings}) == len(spellings) else ""
    )
