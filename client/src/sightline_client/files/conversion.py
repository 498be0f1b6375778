"""Conversion of another system's rows to rows of our columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal

from sightline_client.errors import SightlineError
from sightline_client.files import choices
from sightline_client.files.export_columns import ExportColumns
from sightline_client.files.instants import NoTime, instant
from sightline_client.files.mapping import fill, put
from sightline_client.files.model import NOTE, Row, RowTable, Wrapped, bad

Cells = dict[str, object]


@dataclass(frozen=True, slots=True)
class ExportDates:
    """Reads the dates of an export, such as those of a sale."""

    zone: tzinfo = UTC
    """Zone of dates that name none."""
    order: str = ""
    """Order of day and month, one of `instants.ORDERS`. Empty: as each date shows."""

    def past(self, value: object, name: str) -> bool:
        """Return whether a time is over; False if none is given. A day is over when it ends.
        SightlineError for a text that is no time."""
        moment = self._moment(value, name)
        if moment is None:
            return False
        with suppress(OverflowError):  # the last day of the year 9999 does not end
            end = moment + timedelta(days=":" not in str(value))
            return self._placed(end) <= datetime.now(UTC)
        return False

    def has_come(self, value: object, name: str) -> bool:
        """Return whether a time has come; False if none is given. SightlineError for a text that is
        no time."""
        moment = self._moment(value, name)
        return moment is not None and self._placed(moment) <= datetime.now(UTC)

    def _moment(self, value: object, name: str) -> datetime | None:
        """Read a time or the start of a day."""
        text = str(value or "").strip()
        if not text:
            return None
        with suppress(NoTime):
            moment = instant(text, self.order)
            if isinstance(moment, datetime):
                return moment
        raise bad(name, f"{text[:40]!r} is no date such as 2026-03-01")

    def _placed(self, moment: datetime) -> datetime:
        return moment if moment.tzinfo else moment.replace(tzinfo=self.zone)


ReadRows = Callable[[Iterator[Row], ExportDates], Iterator[Row]]
_DATES = ExportDates()


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of export."""

    name: str
    of: str
    """Name of the exporting system."""
    marks: frozenset[str]
    """Columns, in lower case, that identify the shape."""
    read: ReadRows
    """Converter of its rows to rows of our columns."""
    columns: ExportColumns
    """All columns that the exporting system documents."""
    typed: bool = False
    """It has no cells but values with types: JSON or a page."""


class Shaped(Wrapped):
    """Table of a known shape, read as our columns."""

    columns: tuple[str, ...] = ()

    def __init__(
        self,
        table: RowTable,
        shape: Shape,
        constants: Mapping[str, str],
        dates: ExportDates = _DATES,
    ) -> None:
        """`constants`: values of our columns that the export lacks, such as `currency`."""
        super().__init__(table)
        self.shape, self.constants, self._dates = shape, constants, dates
        self.how = repr((shape.name, sorted(constants.items())))
        """Text that identifies the conversion of rows."""
        self.left_out: Counter[str] = Counter()
        """Rows that were intended to become nothing, by the reason."""
        self.foreign: dict[str, None] = {}
        """Columns with values that no table of the export names, in the order of the file."""
        self._known: set[str] = set()
        self._pending: dict[int, Row] = {}
        """Rows of the file that have become nothing yet, by number."""
        self._spared = 0

    @property
    def records(self) -> int:
        """Records read, without those that were left out."""
        return self._table.records - self._spared

    def rows(self) -> Iterator[Row]:
        """Yield the rows by our columns, numbered as in the file. A row that the converter passes
        over is yielded with an error at the end."""
        for row in self.shape.read(self._source(), self._dates):
            records = self._settle((row.number, *row.also))
            if row.left_out:
                self._spared += records
                self.left_out[row.left_out] += 1
                continue
            cells = {**_notes(row), **row.cells}
            if not self.shape.typed and "attributes" in cells:
                own = object_of(cells["attributes"])
                cells["attributes"] = {key: _decimals(value) for key, value in own.items()}
            if row.error is None:
                fill(cells, self.constants)
            yield replace(row, cells=cells, records=records)
        for row in [*self._pending.values()]:
            text = "was read and became nothing: this is a defect of Sightline; please report it"
            yield replace(row, error=bad("row", text))

    def _source(self) -> Iterator[Row]:
        """Yield the rows of the file, by the names of the export's tables."""
        form = self.shape.columns.form
        for row in self._table.rows():
            self._pending[row.number] = row
            of = (lambda value: value) if self.shape.typed else as_text
            cells = {form(name): of(value) for name, value in row.cells.items()}
            if row.error is None:
                self._look(cells)
            yield replace(row, cells=cells)

    def _look(self, cells: Mapping[str, object]) -> None:
        """Note columns that the export does not document."""
        for name in cells.keys() - self._known:
            if cells[name] in (None, "", []):
                continue
            self._known.add(name)
            if not name.startswith((NOTE, "@")) and not self.shape.columns.knows(name):
                self.foreign[name] = None

    def _settle(self, numbers: Iterable[int]) -> int:
        """Return the number of records of these rows; 0 for those that had become something."""
        gone = [self._pending.pop(number, None) for number in numbers]
        return sum(row.records for row in gone if row is not None)


def _notes(row: Row) -> Cells:
    """Return the notes on a row in the file, such as why it was rejected before."""
    own = (each.cells for each in row.source if each.number == row.number)
    return {name: value for name, value in next(own, {}).items() if name.startswith(NOTE)}


def by_row(read: Callable[[Mapping[str, object]], Iterator[Cells | str]]) -> ReadRows:
    """Make a reader of an export whose rows can be read one by one, each as any number of ours, or
    as the reason why it is left out."""
    return by_row_with_dates(lambda cells, _: read(cells))


def by_row_with_dates(
    read: Callable[[Mapping[str, object], ExportDates], Iterator[Cells | str]],
) -> ReadRows:
    """Make a reader as `by_row` does, of rows that have dates."""

    def each(rows: Iterator[Row], dates: ExportDates) -> Iterator[Row]:
        for row in rows:
            if row.error is not None:
                yield row
                continue
            try:
                for made in read(row.cells, dates):
                    if isinstance(made, str):
                        yield replace(row, left_out=made)
                    else:
                        yield replace(row, cells=made)
            except SightlineError as error:
                yield replace(row, error=error)

    return each


def as_text(value: object) -> object:
    """Write a cell that Excel or Parquet has given a type as it is in a CSV file. A number with
    decimals stays one: a text might be read in two ways."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal) and value % 1 == 0:
        return str(int(value))
    if isinstance(value, datetime) and value.tzinfo is None and value.time() == time():
        return value.date().isoformat()
    return str(value) if isinstance(value, date) else value


def _decimals(value: object) -> object:
    """Write a number of an attribute as text, as all values of an attribute are in a CSV file."""
    return str(value) if isinstance(value, float | Decimal) else value


def answered(value: object, *, default: bool) -> bool | None:
    """Read yes or no; None = it is neither, such as WooCommerce's -1 for a draft. `default`: what
    an empty cell means."""
    text = str(value or "").strip()
    return choices.answer(text) if text else default


def move(cells: Mapping[str, object], made: Cells, **columns: str) -> None:
    """Set our columns (names) from those of the export (values), where these have a value."""
    for ours, theirs in columns.items():
        value = cells.get(theirs)
        if value not in (None, ""):
            put(made, ours, value)


def object_of(value: object) -> Mapping[str, object]:
    """Return an object as it is, anything else as an empty one."""
    return value if isinstance(value, Mapping) else {}


def objects_of(value: object) -> list[Mapping[str, object]]:
    """Return the objects of a list; none of anything else."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
