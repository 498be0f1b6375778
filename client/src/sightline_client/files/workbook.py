"""Excel workbooks (.xlsx), by openpyxl: read row by row, nothing is run. Rejected rows are written.

An archive can hold far more than its size shows, so what is unpacked has limits: for the workbook's
own parts before they are read, for a sheet row by row.
"""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, takewhile
from pathlib import Path
from typing import IO, Any

from sightline_client.files import workbook_parts
from sightline_client.files.model import MAX_CELL, RAGGED, FileRefused, Row, bad, still_ragged
from sightline_client.files.workbook_parts import PartLimits

SUFFIXES = frozenset({".xlsx", ".xlsm"})
LARGEST_SHEET = 2 * 1024**3
LARGEST_TEXTS = 256 * 1024**2
"""Maximum bytes of the texts of all cells, which are kept in memory."""
LARGEST_PART = 32 * 1024**2
"""Maximum bytes of each other part that is read: styles, names of sheets."""
LARGEST_ROW = 16 * 1024**2
"""Maximum bytes of a row."""
MOST_ROWS = 1_048_576
"""Rows that Excel allows."""
_MOST_PARTS = 10_000
_TITLES = 20
"""First rows among which the header is looked for, below a title."""
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)
_TEXTS = re.compile(r"xl/sharedStrings\.xml|.+\.(png|jpe?g|gif|emf|wmf|bin)", re.IGNORECASE)
"""Texts, and pictures, which are as large and are not read."""
_ZEROS = re.compile(r"0{2,}")
"""Number format of a code with leading zeros."""
_FAILURES: tuple[type[Exception], ...] = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, SyntaxError),
    *(LookupError, TypeError, AttributeError, NotImplementedError, RuntimeError),
)
"""What the library raises for a damaged file."""


class Workbook:
    """The first sheet of a workbook that has rows. Values come as Python's own types."""

    def __init__(self, path: Path) -> None:
        """Open the file. FileRefused for one that is no workbook, is too large when unpacked, or
        whose header is invalid."""
        self._path = path
        self.records = 0
        """Rows read below the header, without blank ones."""
        self._file = path.open("rb")
        try:
            self._check_size(LARGEST_TEXTS, LARGEST_SHEET, LARGEST_PART)
            self._book: Any = _opened(self._file)
            self._source, sheet, self.other_sheets = self._chosen()
            self.sheet: str = sheet.title
            self.total = self._source.total
            self._rows = self._numbered(sheet)
            self.columns = self._header()
        except FileRefused:
            self.close()
            raise
        except _FAILURES as error:
            self.close()
            raise self._refused(error) from error

    @property
    def done(self) -> int:
        """Bytes of the sheet that were read."""
        return self._source.done

    def rows(self) -> Iterator[Row]:
        """Yield the rows; blank ones are skipped. FileRefused if the file turns out to be damaged
        or too large."""
        try:
            for number, cells in self._rows:
                self.records += 1
                yield self._row(number, cells)
        except _FAILURES as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _row(self, number: int, cells: Sequence[object]) -> Row:
        place = f"row {number} of the sheet"
        values = dict(zip(self.columns, cells, strict=False))
        surplus = [str(cell) for cell in cells[len(self.columns) :] if cell not in (None, "")]
        if surplus:
            note = f"more cells than the header; too many: {', '.join(surplus)}"
            values[RAGGED] = note[:MAX_CELL]
            text = f"{place} has cells beyond the last column of the header: name it, or empty them"
            return Row(self.records, values, bad("", text), place=place)
        return Row(self.records, values, still_ragged(values), place=place)

    def _header(self) -> tuple[str, ...]:
        """Read the names of the columns: the first row, or the first below a title."""
        first: list[tuple[int, list[object]]] = []
        for row in self._rows:
            first.append(row)
            if len(first) == _TITLES or sum(cell not in (None, "") for cell in row[1]) > 1:
                break
        widest = first[-1] if sum(cell not in (None, "") for cell in first[-1][1]) > 1 else first[0]
        at = first.index(widest)
        self._rows = chain(first[at + 1 :], self._rows)
        spelled = [str(cell if cell is not None else "").strip() for cell in widest[1]]
        while spelled and not spelled[-1]:
            spelled.pop()
        self.spelled = tuple(spelled)
        names = [name.lower() for name in spelled]
        self._check_names(names)
        return tuple(names)

    def _check_names(self, names: Sequence[str]) -> None:
        if "" in names:
            raise FileRefused(
                f"{self._path.name}: column {names.index('') + 1} of {len(names)} has no name",
                "name it in the header; a name that begins with _ is a note that is not read",
            )
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            text = f"{self._path.name} names the column {min(twice)!r} twice"
            raise FileRefused(text, "give each column one name")

    def _numbered(self, sheet: Any) -> Iterator[tuple[int, list[object]]]:
        """Yield the rows that are not blank, with their numbers in the sheet."""
        for number, row in _rows(sheet):
            if number > MOST_ROWS:
                raise FileRefused(
                    f"{self._path.name} has over {MOST_ROWS:,} rows", "write a CSV file"
                )
            self._source.begin_row()
            cells = _values(row)
            if any(cell not in (None, "") for cell in cells):
                yield number, cells

    def _chosen(self) -> tuple[_Measured, Any, Sequence[str]]:
        """Return the first visible sheet with rows, and the names of further ones, which are not
        read."""
        sheets = [sheet for sheet in self._book.worksheets if sheet.sheet_state == "visible"]
        measured = [(_Measured(sheet), sheet) for sheet in sheets]
        filled = [(source, sheet) for source, sheet in measured if _has_rows(sheet)]
        if not filled:
            raise FileRefused(f"{self._path.name} has no visible sheet with rows", "fill one")
        source, sheet = filled[0]
        source.done = 0
        return source, sheet, [sheet.title for _, sheet in filled[1:]]

    @classmethod
    def check(
        cls, path: Path, *, texts: int, sheet: int, part: int, limits: PartLimits | None = None
    ) -> None:
        """Reject a workbook with larger parts than these, each in bytes, or that hold more than
        `limits`, before it is opened. Raises FileRefused."""
        book = cls.__new__(cls)
        book._path = path
        with path.open("rb") as book._file:
            try:
                book._check_size(texts, sheet, part)
                if limits is not None:
                    book._check_parts(limits)
            except _FAILURES as error:
                raise book._refused(error) from error

    def _check_size(self, texts: int, sheet: int, other: int) -> None:
        """Reject an archive that holds too much, by the sizes that it states, which bound what is
        unpacked."""
        archive = zipfile.ZipFile(self._file)
        parts = archive.infolist()
        if len(parts) > _MOST_PARTS:
            raise self._too_large(f"has over {_MOST_PARTS:,} parts")
        for part in parts:
            most = texts if _TEXTS.fullmatch(part.filename) else other
            most = sheet if _SHEET.fullmatch(part.filename) else most
            self._check_part(part, most)
        book, strings = _named_parts(archive)
        self._check_part(archive.getinfo(book), other)
        if strings:
            self._check_part(archive.getinfo(strings), texts)

    def _check_parts(self, limits: PartLimits) -> None:
        archive = zipfile.ZipFile(self._file)
        size = sum(part.file_size for part in archive.infolist())
        if size > limits.bytes:
            raise self._too_large(f"has {size:,} bytes unpacked")
        for part in archive.infolist():
            if found := workbook_parts.problem(archive, part, limits):
                raise self._too_large(f"{part.filename} {found}")

    def _check_part(self, part: zipfile.ZipInfo, most: int) -> None:
        if part.file_size > most:
            raise self._too_large(f"{part.filename} has {part.file_size:,} bytes unpacked")

    def _too_large(self, problem: str) -> FileRefused:
        return FileRefused(f"{self._path.name}: {problem}", "write a CSV file instead")

    def _refused(self, error: Exception) -> FileRefused:
        first = str(error).partition("\n")[0] or type(error).__name__
        return FileRefused(
            f"{self._path.name} is not a whole Excel workbook: {first}",
            "save it as .xlsx, without a password",
        )


class NewSheet:
    """A workbook with one sheet that is written row by row."""

    def __init__(self, path: Path, title: str) -> None:
        import openpyxl  # type: ignore[import-untyped]

        self._path = path
        self._book: Any = openpyxl.Workbook(write_only=True)
        self._sheet: Any = self._book.create_sheet(title)

    def add(self, values: Sequence[object]) -> None:
        """Add a row. Texts stay texts, also those that look like formulas."""
        self._sheet.append([self._cell(value) for value in values])

    def close(self) -> None:
        """Write the file."""
        self._book.save(self._path)

    def _cell(self, value: object) -> Any:
        from openpyxl.cell import WriteOnlyCell  # type: ignore[import-untyped]
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE  # type: ignore[import-untyped]

        if not isinstance(value, str):
            return value
        cell = WriteOnlyCell(self._sheet, ILLEGAL_CHARACTERS_RE.sub("\ufffd", value))
        cell.data_type = "s"
        return cell


class _Measured:
    """The unpacked bytes of a sheet, counted as they are read."""

    def __init__(self, sheet: Any) -> None:
        self.done = self._row = 0
        open_: Any = sheet._get_source
        with open_() as part:
            self.total = int(part._left)
        sheet._get_source = lambda: _Counted(open_(), self.count)

    def count(self, size: int) -> None:
        """Count bytes. ValueError if the present row has too many."""
        self.done += size
        self._row += size
        if self._row > LARGEST_ROW:
            raise ValueError(f"a row has over {LARGEST_ROW:,} bytes")

    def begin_row(self) -> None:
        """Note that a row was read."""
        self._row = 0


class _Counted:
    """A part of an archive whose reader is told of each byte."""

    def __init__(self, part: IO[bytes], count: Any) -> None:
        self._part, self._count = part, count

    def __enter__(self) -> _Counted:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def read(self, size: int = -1) -> bytes:
        """Read bytes."""
        found = self._part.read(size)
        self._count(len(found))
        return found

    def close(self) -> None:
        """Close the part."""
        self._part.close()


def _opened(file: IO[bytes]) -> Any:
    from sightline_client.files.sheet_reading import open_sheets

    warnings.filterwarnings("ignore", module="openpyxl")  # on styles and the like
    return open_sheets(file)


def _rows(sheet: Any) -> Iterator[tuple[int, Sequence[Any]]]:
    from sightline_client.files.sheet_reading import rows

    return rows(sheet)


def _values(row: Sequence[Any]) -> list[object]:
    """Return the values of a row's cells, each in its column."""
    found: list[object] = [None] * max((cell.column for cell in row), default=0)
    for cell in row:
        found[cell.column - 1] = _value(cell)
    return found


def _named_parts(archive: zipfile.ZipFile) -> tuple[str, str]:
    """Return the names of the parts that the library reads whole, wherever they are: that of the
    book, and that of texts; empty: there is none."""
    from openpyxl.packaging.manifest import Manifest  # type: ignore[import-untyped]
    from openpyxl.reader.excel import _find_workbook_part  # type: ignore[import-untyped]
    from openpyxl.xml.constants import (  # type: ignore[import-untyped]
        ARC_CONTENT_TYPES,
        SHARED_STRINGS,
    )
    from openpyxl.xml.functions import fromstring  # type: ignore[import-untyped]

    package = Manifest.from_tree(fromstring(archive.read(ARC_CONTENT_TYPES)))
    book, strings = _find_workbook_part(package), package.find(SHARED_STRINGS)
    return str(book.PartName)[1:], str(strings.PartName)[1:] if strings is not None else ""


def _has_rows(sheet: Any) -> bool:
    """Return whether a value is in the first rows of a sheet."""
    first = takewhile(lambda row: row[0] <= _TITLES, _rows(sheet))
    return any(cell.value not in (None, "") for _number, row in first for cell in row)


def _value(cell: Any) -> object:
    """Return the value of a cell; a code as the cell shows it."""
    value: object = cell.value
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    shown = str(cell.number_format)
    if isinstance(value, int) and _ZEROS.fullmatch(shown):
        return str(value).zfill(len(shown))
    return value
