"""The form of a column's values, decided by the column and not by the cell.

All rows of a file are looked at before the first is read: they show whether a point or a comma is
the decimal sign of a column, whether day or month comes first, and whether an attribute is a number
or text. What no row decides is rejected with the option that does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from decimal import Decimal

from sightline_client.errors import SightlineError
from sightline_client.files import cells, dumping, instants, lines, market_cells, numerals
from sightline_client.files.instants import ORDERS
from sightline_client.files.model import FileRefused, Row, RowTable, Wrapped, bad
from sightline_client.files.notation import NUMBER, SECONDS, TEXT, Notation, Translated
from sightline_client.files.numerals import SIGNS
from sightline_client.files.survey import ATTRIBUTES, AttributeColumn, Survey, is_code, parts

AS_SHOWN = Notation()
_REPORTED = 1_000
"""Rows between two reports of how much was looked at."""


@dataclass(frozen=True, slots=True)
class ColumnForms:
    """Notation of the columns of a file."""

    signs: Mapping[str, str] = field(default_factory=dict)
    """Column of numbers → its decimal sign; "" = unknown."""
    orders: Mapping[str, str] = field(default_factory=dict)
    """Column of times → order of day and month; "" = unknown."""
    seconds: frozenset[str] = frozenset()
    """Columns of times with seconds since 1970."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Attribute → `TEXT`, or the decimal sign of its numbers."""
    currencies: tuple[str, ...] = ()
    """Currencies that the rows name."""
    found: Mapping[str, str] = field(default_factory=dict)
    """Return the `Notation.forms` by which some of the rows, read alone, mean the same."""


class Formed(Wrapped):
    """A table of our columns, with the values of each column read in one form."""

    def __init__(
        self,
        table: RowTable,
        again: Callable[[], RowTable],
        notation: Notation = AS_SHOWN,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`again`: opens the table once more, to look at all its rows. `check`: is called after the
        last row; FileRefused if the file is not the one that was opened."""
        super().__init__(table)
        self.columns = table.columns
        self._again, self.notation, self._check = again, notation, check
        self._types: Mapping[str, str] = getattr(table, "attribute_types", {})
        self.how = getattr(table, "how", "") + notation.how
        self._forms: ColumnForms | None = None

    def forms(self, report: Callable[[int], None] | None = None) -> ColumnForms:
        """Look at all rows, once. `report` is called with the amount read, in the unit of
        `total`."""
        if self._forms is None:
            self._forms = self._looked(report)
        return self._forms

    def rows(self) -> Iterator[Row]:
        """Yield the rows; one with a value that contradicts what is said of its column has an
        error."""
        forms = self.forms()
        for row in self._table.rows():
            if row.error is not None:
                yield row
                continue
            try:
                yield self._formed(row, forms)
            except SightlineError as error:
                yield replace(row, error=error)
        self._check()

    def _looked(self, report: Callable[[int], None] | None) -> ColumnForms:
        survey, table = Survey(), self._again()
        try:
            with suppress(FileRefused):  # said where the rows are read
                for count, row in enumerate(table.rows()):
                    if row.error is None:
                        survey.add(_opened(row.cells), self._types)
                    if report is not None and count % _REPORTED == 0:
                        report(table.done)
        finally:
            table.close()
        notation = self.notation
        attributes = {
            key: form
            for key, column in survey.attributes.items()
            if (form := self._attribute_form(key, column))
        }
        signs = {n: notation.decimal or each.sign for n, each in survey.numbers.items()}
        orders = {n: notation.order or each.order for n, each in survey.times.items()}
        made = ColumnForms(
            {name: sign or self._told(name, SIGNS) for name, sign in signs.items()},
            {name: order or self._told(name, ORDERS) for name, order in orders.items()},
            frozenset(
                name
                for name, column in survey.times.items()
                if column.seconds or self._told(name, (SECONDS,))
            ),
            attributes,
            tuple(sorted(survey.all_currencies)),
        )
        return replace(made, found=self._found(survey, made))

    def _told(self, name: str, forms: Collection[str]) -> str:
        """Return what is said of a column that its rows may not show; "" = nothing."""
        told = self.notation.forms.get(name, "")
        return told if told in forms else ""

    def _attribute_form(self, key: str, column: AttributeColumn) -> str:
        """Return `TEXT`, or the decimal sign of an attribute's numbers; "" = as its values are."""
        said, decimal = self._types.get(key), self.notation.decimal
        name, several = f"{ATTRIBUTES}.{key}", len(column.kinds) + bool(column.texts) > 1
        if said == NUMBER:
            return decimal or column.shown or self._told(name, SIGNS) or "."
        told = self._told(name, (TEXT, NUMBER, *SIGNS))
        if TEXT in (said, told) or several or (said is not None and is_code(key)):
            return TEXT
        return (column.number_sign(decimal, told) or TEXT) if column.texts else ""

    def _found(self, survey: Survey, made: ColumnForms) -> Mapping[str, str]:
        """Return what a part of the rows has to be told, as it may show less than all."""
        notation = self.notation
        found = {} if notation.decimal else {n: sign for n, sign in made.signs.items() if sign}
        if not notation.order:
            found |= {name: order for name, order in made.orders.items() if order}
        found |= dict.fromkeys(made.seconds, SECONDS)
        for key, form in made.attributes.items():
            if named := self._found_of(key, survey.attributes[key], form):
                found[f"{ATTRIBUTES}.{key}"] = named
        return found

    def _found_of(self, key: str, column: AttributeColumn, form: str) -> str:
        """Return what to say of an attribute's form; "" = a part of its values shows it as well."""
        said = self._types.get(key)
        if form == TEXT:
            sure = said == TEXT or (said is not None and is_code(key))
            return TEXT if not sure and (column.numeric or not column.kinds <= {TEXT}) else ""
        if not self.notation.decimal and (column.shown or self._told(f"{ATTRIBUTES}.{key}", SIGNS)):
            return form
        return "" if said == NUMBER else NUMBER

    def _formed(self, row: Row, forms: ColumnForms) -> Row:
        own = _opened(row.cells)
        changed: dict[str, object] = {}
        for name, sign in forms.signs.items():
            value = own.get(name)
            if isinstance(value, str) and value:
                changed[name] = _number(name, value, sign)
        for name in forms.orders:
            value = own.get(name)
            if value is not None and value != "":
                changed[name] = self._time(name, value, forms)
        attributes = own.get(ATTRIBUTES)
        if isinstance(attributes, Mapping) and not forms.attributes.keys().isdisjoint(attributes):
            changed[ATTRIBUTES] = {
                key: _attribute(key, value, forms.attributes.get(key, ""))
                for key, value in attributes.items()
            }
        new = {name: value for name, value in changed.items() if own[name] != value}
        return replace(row, cells=_with(row.cells, new)) if new else row

    def _time(self, name: str, value: object, forms: ColumnForms) -> object:
        """Return the instant of a local time, and anything else as it is."""
        zone = self.notation.zone
        if isinstance(value, str) and instants.is_exact(value):
            return value
        with suppress(instants.NoTime):  # said where the value is read
            found = _local(value, forms.orders[name])
            if isinstance(found, Decimal):
                if zone is None or name in forms.seconds or not instants.is_day_number(found):
                    return value
                found = instants.day_number(found)
            if isinstance(found, datetime) and found.tzinfo is not None:
                return found
            if isinstance(found, datetime) and zone is None and isinstance(value, str):
                raise cells.without_zone(name, value)
            if isinstance(found, datetime) and zone is not None:
                try:
                    return instants.placed(found, zone)
                except instants.NoTime as error:
                    raise bad(name, f"{value!s:.60} {error}") from None
        return value


def _local(value: object, order: str) -> object:
    """Return the instant, local time or number of a cell, or the cell itself."""
    if isinstance(value, str):
        return instants.instant(value.strip(), order)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if not Decimal(value).is_finite():
            return value
        return Decimal(repr(value) if isinstance(value, float) else value)
    return value


def unformed(table: RowTable) -> RowTable:
    """Return the table that reads or converts a file's rows, before their values are read."""
    while isinstance(table, Formed | Translated):
        table = table.inner
    return table


def _opened(own: Mapping[str, object]) -> Mapping[str, object]:
    """Return cells with JSON texts of attributes parsed, and values of markets as columns."""
    text = own.get(ATTRIBUTES)
    if isinstance(text, str) and text.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError, ArithmeticError):  # said where it is read
            own = {**own, ATTRIBUTES: lines.parse(text)}
    return market_cells.as_columns(own)


def _with(cells: Mapping[str, object], new: Mapping[str, object]) -> Mapping[str, object]:
    """Return cells with new values, each where and as it stands in the file: a JSON text stays
    one."""
    made = dict(cells)
    markets = {name: value for name, value in new.items() if name not in cells}
    for name, value in new.items():
        if name == ATTRIBUTES and isinstance(cells[name], str) and isinstance(value, Mapping):
            made[name] = dumping.line(value)
        elif name in cells:
            made[name] = value
    return market_cells.with_columns(made, markets) if markets else made


def _number(name: str, value: str, sign: str) -> str:
    """Return a number so that it can be read in one way only. SightlineError for one with another
    decimal sign than its column's."""
    if not sign:
        return value
    value = numerals.usual(value)
    if numerals.may_be_ambiguous(value):
        return numerals.settled(value, sign)
    other = "," if sign == "." else "."
    if other in value or value.count(sign) > 1:
        found = numerals.amount(value)
        if found is not None and sign not in numerals.readings(found[0]):
            raise bad(name, f"{value[:60]!r} has {other!r} as its decimal sign, not {sign!r}")
    return value


def _attribute(key: str, value: object, form: str) -> object:
    """Return the value or values of an attribute in the form of its column."""
    if not form:
        return value
    made = [_typed(key, part, form) for part in parts(value)]
    return made if isinstance(value, list) else made[0] if made else value


def _typed(key: str, value: object, form: str) -> object:
    if form == TEXT:
        return _as_text(value)
    if not isinstance(value, str):
        return value
    number = numerals.number(value, form)
    if number is None:
        raise bad(f"attributes.{key}", f"{value[:60]!r} is not a number: map it with :text behind")
    return float(number)


def _as_text(value: object) -> object:
    """Write a number or a flag as text; return others as they are."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value) if isinstance(value, int | float | Decimal) else value
