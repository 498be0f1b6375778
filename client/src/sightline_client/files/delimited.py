"""CSV, TSV and similar files: the separator is inferred from the header, quotes follow RFC 4180."""

import codecs
import csv
import io
from collections.abc import Collection, Iterator
from pathlib import Path
from textwrap import shorten
from typing import BinaryIO

from sightline_client.files.formulas import unescape
from sightline_client.files.model import MAX_CELL, RAGGED, FileRefused, Row, bad

SEPARATORS = ",;\t|"
_LONGEST_LINE = 4 * 1024 * 1024
"""Maximum characters of a line, which bounds the memory. A longer line is cut, its row rejected."""
_LONGEST_FIELD = 8 * 1024 * 1024
"""Maximum characters of a field; the csv module rejects a row with a longer one."""


class Delimited:
    """A CSV file. UTF-8, with or without a byte order mark, or UTF-16 with one."""

    def __init__(self, path: Path, known: Collection[str], encoding: str = "") -> None:
        """``known``: column names that show the separator; if none is found, the character that
        separates the most cells is used. ``encoding``: empty = UTF-8, or UTF-16 with a mark.
        FileRefused for an unknown encoding, and for columns of one name.
        """
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
        given = _known(encoding) if encoding else ""
        self.total = path.stat().st_size
        self._file: BinaryIO = path.open("rb")
        self._text = io.TextIOWrapper(
            self._file,
            encoding=given or _encoding(self._file),
            errors="surrogateescape",
            newline="",
        )
        self._lines = _Lines(self._text)
        self._path = path
        try:
            self.separator, self.columns = self._header(known)
        except FileRefused:
            self.close()
            raise
        self._escaped = RAGGED in self.columns
        """True for a file of rejected rows, whose cells are escaped (formulas.py)."""
        if self._escaped:
            self.columns = tuple(map(unescape, self.columns))

    @property
    def done(self) -> int:
        """Bytes read."""
        return self._file.tell()

    def rows(self) -> Iterator[Row]:
        """Yield the rows; blank lines are skipped."""
        reader = csv.reader(self._lines, delimiter=self.separator)
        number = 0
        while True:
            self._lines.cut = False
            line = self._lines.count + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                text = f"line {line}: {error}; is a quote left open?"
                yield Row(number, {RAGGED: "the cells could not be read"}, bad("", text))
                continue
            if not cells:
                continue
            number += 1
            yield self._row(number, line, [*map(unescape, cells)] if self._escaped else cells)

    def close(self) -> None:
        """Close the file."""
        self._text.close()

    def _row(self, number: int, line: int, cells: list[str]) -> Row:
        values = dict(zip(self.columns, cells, strict=False))
        wanted = len(self.columns)
        if self._lines.cut:
            values = {name: cell for name, cell in values.items() if len(cell) <= MAX_CELL}
            text = f"line {line} is longer than {_LONGEST_LINE:,} characters"
            return Row(
                number, values | {RAGGED: "the line was too long: cells are cut"}, bad("", text)
            )
        if len(cells) != wanted:
            text = (
                f"line {line} has {len(cells)} cells, the header has {wanted}: write"
                f" every cell, empty ones too, and quote one that holds {self.separator!r}"
            )
            note = f"{len(cells)} cells of {wanted}"
            if len(cells) > wanted:
                note += f"; too many: {self._joined(cells[wanted:])}"
            return Row(number, values | {RAGGED: note[:MAX_CELL]}, bad("", text))
        if values.get(RAGGED, "").strip():
            text = (
                f"says what was wrong with the cells ({shorten(values[RAGGED], 60)}): correct"
                " them, then empty this one"
            )
            return Row(number, values, bad(RAGGED, text))
        return Row(number, values)

    def _joined(self, cells: list[str]) -> str:
        """Return the cells joined as in the line."""
        line = io.StringIO()
        csv.writer(line, delimiter=self.separator, lineterminator="").writerow(cells)
        return line.getvalue()

    def _header(self, known: Collection[str]) -> tuple[str, tuple[str, ...]]:
        line = next(self._lines, "")
        found = [(sep, _names(line, sep)) for sep in SEPARATORS]
        separator, names = max(
            found, key=lambda item: (sum(name in known for name in item[1]), len(item[1]))
        )
        if not any(names):
            raise FileRefused(
                f"{self._path} has no header: its first line names no column",
                f"name the columns in the first line, e.g. {','.join(list(known)[:4])}",
            )
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise FileRefused(
                f"{self._path} names the column {min(twice)!r} twice", "give each column one name"
            )
        return separator, names


class _Lines:
    """The lines of a text, none longer than the cap."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.count = 0
        """Lines returned so far."""
        self.cut = False
        """A line since this was last reset was longer than the cap."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(_LONGEST_LINE)
        if not line:
            raise StopIteration
        self.count += 1
        if len(line) == _LONGEST_LINE and not line.endswith(("\n", "\r")):
            self.cut = True
            rest = line
            while rest and not rest.endswith(("\n", "\r")):
                rest = self._text.readline(_LONGEST_LINE)
        return line


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise FileRefused(
            f"{encoding!r} is not a known encoding",
            "name one such as utf-8, cp1252, latin-1 or shift_jis",
        ) from None


def _encoding(file: BinaryIO) -> str:
    mark = file.read(2)
    file.seek(0)
    return "utf-16" if mark in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"


def _names(line: str, separator: str) -> tuple[str, ...]:
    try:
        cells = next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return ()
    return tuple(cell.strip().lower() for cell in cells)
