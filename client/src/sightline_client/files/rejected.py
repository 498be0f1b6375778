"""Rejected rows, in a file that can be fixed and imported again.

They come back as they came: the rows of a CSV file with its columns, separator and encoding, those
of a workbook with its columns, those of JSON Lines with their keys. Rows of other files are lines
of JSON: with the names of the export for one in Parquet, else with our columns.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from sightline_client.errors import SightlineError
from sightline_client.files import dumping, encodings
from sightline_client.files.conversion import Shaped, as_text
from sightline_client.files.forms import unformed
from sightline_client.files.formulas import escape
from sightline_client.files.model import RAGGED, Row, RowTable, Wrapped
from sightline_client.files.parquet import Parquet
from sightline_client.files.workbook import NewSheet, Workbook

MARK = ".rejected"
PLACE = "_place"
"""Note on rows of files that have places instead of rows."""
NOTES = ("_row", "_reason", "_problem", RAGGED)
"""Columns added to every row. An unchanged row is rejected again: by RAGGED for lost or shifted
cells, by ``twice`` for a repeated id.
"""
_LINES = frozenset({".jsonl", ".ndjson"})
_MOST_WAITING = 1_000
_BYTES = "sightline-rejected"
"""Handler of characters that are not of the encoding."""


def _kept(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write bytes that could not be read as they were, and others as question marks.

    UTF-16 and UTF-32 have no single bytes.
    """
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - the file is only written
    wrong = error.object[error.start : error.end]
    wide = error.encoding.startswith(("utf-16", "utf-32"))
    if not wide and all("\udc80" <= each <= "\udcff" for each in wrong):
        return bytes(ord(each) - 0xDC00 for each in wrong), error.end
    return "?" * len(wrong), error.end


codecs.register_error(_BYTES, _kept)


class Kept(Wrapped):
    """A table whose rows keep their cells as they are in the file."""

    def __init__(self, table: RowTable) -> None:
        super().__init__(table)
        self.columns = table.columns

    def rows(self) -> Iterator[Row]:
        """Yield the rows. Quicker than `replace`: each of a million rows passes here."""
        for row in self._table.rows():
            yield Row(row.number, row.cells, row.error, row.place, row.records, source=(row,))


def file_of(table: RowTable) -> RowTable:
    """Return the table of a file that others are read through."""
    while isinstance(table, Wrapped):
        table = table.inner
    return table


def comes_back(source: Path, table: RowTable) -> bool:
    """Return whether rejected rows have the columns of the file, so that they are read as it is."""
    file = file_of(table)
    cells = bool(getattr(file, "separator", "")) or isinstance(file, Workbook)
    typed_export = isinstance(file, Parquet) and isinstance(unformed(table), Shaped)
    return cells or typed_export or source.suffix.lower() in _LINES


class Rejected:
    """File of rejected rows, created with the first row: FILE.rejected.csv for a CSV file, .xlsx
    for a workbook, else FILE.rejected.jsonl.
    """

    def __init__(self, source: Path, table: RowTable) -> None:
        self._source, self._table = source, file_of(table)
        self._as_it_came = comes_back(source, table)
        stem = source.name.removesuffix(source.suffix) if source.is_file() else source.name
        self.path = source.parent / f"{stem}{MARK}{self._suffix()}"
        self._writer: _Writer | None = None
        self._waiting: dict[int, tuple[Row, SightlineError | None]] = {}
        """Rows that are not written yet, as they share what they inherit."""
        self._there: set[int] = set()
        """Rows that were written because others inherit from them."""
        self.count = 0
        """Rejected rows."""
        if self.path.exists():  # from an earlier run; the user may be editing it
            self.path.replace(self.path.with_name(f"{self.path.name}~"))

    def add(self, row: Row, error: SightlineError) -> None:
        """Keep the row and its error, with the rows that it inherits from."""
        self.count += 1
        rows = (row.source if self._as_it_came else ()) or (row,)
        shared = any(each.number in self._waiting for each in rows)
        if not shared or len(self._waiting) > _MOST_WAITING:
            self._flush()
        for each in rows:
            self._waiting.setdefault(each.number, (each, None))
        own = next((each for each in rows if each.number == row.number), row)
        self._waiting[row.number] = (own, error)

    def close(self) -> None:
        """Write what is left, and close the file."""
        self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        for number in sorted(self._waiting):
            row, error = self._waiting[number]
            if error is None and number in self._there:
                continue
            if error is None:
                self._there.add(number)
            reason = (error.reason, problem(error)) if error is not None else ("", "")
            if self._writer is None:
                self._writer = self._opened()
            self._writer.write(row, dict(zip(NOTES, (row.number, *reason), strict=False)))
        self._waiting = {}

    def _suffix(self) -> str:
        if not self._as_it_came or isinstance(self._table, Parquet):
            return ".jsonl"
        return ".xlsx" if isinstance(self._table, Workbook) else self._source.suffix

    def _opened(self) -> _Writer:
        file = self._table
        spelled: Sequence[str] = getattr(file, "spelled", file.columns)
        names = {n: s for n, s in zip(file.columns, spelled, strict=True) if n not in NOTES}
        encoding = str(getattr(file, "encoding", ""))
        if isinstance(file, Workbook):
            return _Sheet(self.path, names, file.sheet)
        if separator := str(getattr(file, "separator", "")):
            encoding = _encoding(self._source, encoding, raw=True)
            return _Cells(self.path, names, separator, encoding)
        encoding = _encoding(self._source, encoding, raw=False) if encoding else "utf-8"
        typed = self._as_it_came and isinstance(file, Parquet)
        return _JsonLines(self.path, encoding, texts=typed)


class _Writer(Protocol):
    """A file that rejected rows are written to."""

    def write(self, row: Row, notes: dict[str, object]) -> None:
        """Write a row, and what is noted of it."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class _Cells:
    """A CSV file that no spreadsheet program runs; `Delimited` reads it back."""

    def __init__(self, path: Path, names: Mapping[str, str], separator: str, encoding: str) -> None:
        self._names = [*names]
        self._file = path.open("w", encoding=encoding, errors=_BYTES, newline="")
        self._writer = csv.writer(self._file, delimiter=separator)
        self._line([*names.values(), *NOTES])

    def write(self, row: Row, notes: dict[str, object]) -> None:
        cells = [row.cells.get(name) for name in self._names]
        self._line([*cells, *notes.values(), row.cells.get(RAGGED)])

    def close(self) -> None:
        self._file.close()

    def _line(self, cells: Sequence[object]) -> None:
        self._writer.writerow([escape("" if cell is None else str(cell)) for cell in cells])


class _JsonLines:
    """Lines of JSON."""

    def __init__(self, path: Path, encoding: str, *, texts: bool) -> None:
        """`texts`: write values of other types as the texts that an export has for them."""
        self._file = path.open("w", encoding=encoding, errors=_BYTES, newline="")
        self._texts = texts

    def write(self, row: Row, notes: dict[str, object]) -> None:
        if row.place:
            notes[PLACE] = row.place
        own = {
            name: as_text(value) if self._texts else value
            for name, value in row.cells.items()
            if name not in notes
        }
        self._file.write(dumping.line(own | notes) + "\n")

    def close(self) -> None:
        self._file.close()


class _Sheet:
    """A workbook with one sheet."""

    def __init__(self, path: Path, names: Mapping[str, str], title: str) -> None:
        self._names = [*names]
        self._sheet = NewSheet(path, title)
        self._sheet.add([*names.values(), *NOTES])

    def write(self, row: Row, notes: dict[str, object]) -> None:
        cells = [row.cells.get(name) for name in self._names]
        self._sheet.add([*cells, *notes.values(), row.cells.get(RAGGED)])

    def close(self) -> None:
        self._sheet.close()


def _encoding(source: Path, read: str, *, raw: bool) -> str:
    """Return the encoding to write. UTF-8 has a byte order mark where the file has one, and where
    the rows alone would not show it: some bytes of the file are not UTF-8, and they are written as
    they are (`raw`)."""
    if read != encodings.UTF_8:
        return read
    with source.open("rb") as file:
        marked = file.read(3) == codecs.BOM_UTF8
    found = encodings.found(source)
    unclear = raw and (found.damaged or found.name != encodings.UTF_8)
    return encodings.UTF_8 if marked or unclear else "utf-8"


def problem(error: SightlineError) -> str:
    """Say what is wrong, field by field, on one line."""
    fields: Sequence[str] = [f"{item.field}: {item.description}" for item in error.violations]
    return "; ".join(fields) or error.message
