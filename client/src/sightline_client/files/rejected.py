"""Rejected rows, in a file that can be fixed and imported again.

They come back as they came: the rows of a CSV file with its columns, separator and encoding, those
of JSON Lines with their keys. Rows of other files are lines of JSON with our columns.
"""

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from sightline_client.errors import SightlineError
from sightline_client.files import dumping
from sightline_client.files.formulas import escape
from sightline_client.files.model import RAGGED, Row, RowTable, Wrapped

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
    """Write bytes that could not be read as they were, and others as question marks."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - the file is only written
    wrong = error.object[error.start : error.end]
    if all("\udc80" <= each <= "\udcff" for each in wrong) and "16" not in error.encoding:
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
    return bool(getattr(file_of(table), "separator", "")) or source.suffix.lower() in _LINES


class Rejected:
    """File of rejected rows, created with the first row: FILE.rejected.csv for a CSV file, else
    FILE.rejected.jsonl.
    """

    def __init__(self, source: Path, table: RowTable) -> None:
        file = file_of(table)
        self._separator = str(getattr(file, "separator", ""))
        self._names = [name for name in file.columns if name not in NOTES]
        spelled: Sequence[str] = getattr(file, "spelled", file.columns)
        self._header = [name for name in spelled if name.lower() not in NOTES]
        self._encoding = _encoding(source, str(getattr(file, "encoding", "")))
        self._as_it_came = comes_back(source, table)
        stem = source.name.removesuffix(source.suffix) if source.is_file() else source.name
        suffix = source.suffix if self._as_it_came else ".jsonl"
        self.path = source.parent / f"{stem}{MARK}{suffix}"
        self._file: IO[str] | None = None
        self._writer: Any = None
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
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        for number in sorted(self._waiting):
            row, error = self._waiting[number]
            if error is None and number in self._there:
                continue
            if error is None:
                self._there.add(number)
            self._write(row, error)
        self._waiting = {}

    def _write(self, row: Row, error: SightlineError | None) -> None:
        reason = (error.reason, problem(error)) if error is not None else ("", "")
        notes: dict[str, object] = dict(zip(NOTES, (row.number, *reason), strict=False))
        file = self._open()
        if self._writer is not None:
            cells = [row.cells.get(name) for name in self._names]
            self._line([*cells, *notes.values(), row.cells.get(RAGGED)])
        else:
            if row.place:
                notes[PLACE] = row.place
            own = {key: value for key, value in row.cells.items() if key not in notes}
            file.write(dumping.line(own | notes) + "\n")

    def _open(self) -> IO[str]:
        if self._file is None:
            self._file = self.path.open("w", encoding=self._encoding, errors=_BYTES, newline="")
            if self._separator:
                self._writer = csv.writer(self._file, delimiter=self._separator)
                self._line([*self._header, *NOTES])
        return self._file

    def _line(self, cells: Sequence[object]) -> None:
        """Write a row that no spreadsheet program runs; `Delimited` reads it back."""
        self._writer.writerow([escape(_text(cell)) for cell in cells])


def _encoding(source: Path, read: str) -> str:
    """Return the encoding of a file, with a byte order mark where it has one."""
    if read.replace("_", "-").lower() not in ("utf-8-sig", "utf-8"):
        return read or "utf-8"
    with source.open("rb") as file:
        return "utf-8-sig" if file.read(3) == codecs.BOM_UTF8 else "utf-8"


def problem(error: SightlineError) -> str:
    """Say what is wrong, field by field, on one line."""
    fields: Sequence[str] = [f"{item.field}: {item.description}" for item in error.violations]
    return "; ".join(fields) or error.message


def _text(value: object) -> str:
    return "" if value is None else str(value)
