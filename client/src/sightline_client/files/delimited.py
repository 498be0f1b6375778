"""CSV, TSV and similar files: the first lines show the separator, quotes follow RFC 4180.

A quote that is opened by mistake would make one cell of all lines to the next quote. So a record
of several lines is believed only if it is well quoted and its lines are no rows of their own; else
its first line is rejected, and reading goes on with the next line that has a row's cells. Where
neither reading is the likelier one, all of its lines are rejected: none becomes a row by mistake.
"""

import csv
import io
import re
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sightline_client.files import encodings
from sightline_client.files.formulas import unescape
from sightline_client.files.model import MAX_CELL, RAGGED, FileRefused, Row, bad, still_ragged

SEPARATORS = ",;\t|"
_NO_ROW = "a quote is opened, and the lines to the next quote are no whole row"
_ROWS = "a quote is opened, and the lines to the next quote are rows as well"
_UNCLEAR = "a quote is opened, and the lines to the next quote are one row or several"
_LONGEST_LINE = 4 * 1024 * 1024
"""Maximum characters of a line, which bounds the memory. A longer line is cut, its row rejected."""
MOST_COLUMNS = 20_000
"""More than spreadsheets have. A file without line ends has more."""
_AHEAD = 20
"""Lines below the header that show the separator as well."""
_LONGEST_RECORD = 8 * 1024 * 1024
"""Maximum characters of a record of several lines, and of a field."""
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""First line by which a file tells Excel its separator."""
_TWICE = frozenset({"交叉销售"})
"""Columns that an export writes twice, and that are not read: WooCommerce's upsells and cross-sells
have one name in Chinese."""
_TEXT_FORMULA = re.compile(r'="((?:[^"]|"")*)"')
"""Formula by which spreadsheets keep a code as text: ="00123"."""


class Delimited:
    """A CSV file, in the encoding that its bytes show."""

    def __init__(self, path: Path, known: Collection[str], encoding: str = "") -> None:
        """``known``: column names that show the separator; if none is found, the character that
        separates the most cells is used. ``encoding``: empty = as the bytes show.
        FileRefused for an unknown encoding, for a header that is not of it, and for columns of one
        name.
        """
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_RECORD))
        self.named = encoding
        """The encoding as it was named; empty: the bytes show it."""
        self.encoding = encodings.known(encoding) if encoding else encodings.found(path).name
        self.total = path.stat().st_size
        self._file: BinaryIO = path.open("rb")
        self._text = io.TextIOWrapper(
            self._file,
            encoding=self.encoding,
            errors=encodings.ESCAPE,
            newline="",
        )
        self._lines = _Lines(self._text)
        self._path = path
        try:
            self.separator, names = self._header(known)
            self._cells = len(names)
            """Cells of a line, with those of columns without a name at its end."""
            self.columns = self._named(names)
            self.spelled = self._spelled[: len(self.columns)]
            """The names as they are spelled."""
        except FileRefused:
            self.close()
            raise
        except UnicodeError as error:  # such as UTF-16 without a byte order mark
            self.close()
            raise FileRefused(
                f"{path} is not {self.encoding}: {error}", "name its encoding with --encoding"
            ) from None
        self._escaped = RAGGED in self.columns
        """True for a file of rejected rows, whose cells are escaped (formulas.py)."""
        if self._escaped:
            self.columns = tuple(map(unescape, self.columns))
            self.spelled = tuple(map(unescape, self.spelled))

    @property
    def done(self) -> int:
        """Bytes read."""
        return self._file.tell()

    @property
    def records(self) -> int:
        """Lines read below the header, without blank ones."""
        return self._lines.filled

    def rows(self) -> Iterator[Row]:
        """Yield the rows; blank lines are skipped."""
        reader = csv.reader(self._lines, delimiter=self.separator, strict=True)
        number = 0
        while True:
            cells, problem = self._record(reader)
            lines = self._lines.taken
            if not lines:
                return
            if not problem and not cells:
                continue
            number += 1
            yield self._broken(number, problem) if problem else self._row(number, cells)

    def close(self) -> None:
        """Close the file."""
        self._text.close()

    def _record(self, reader: Iterator[list[str]]) -> tuple[list[str], str]:
        """Read the next record: its cells, and what is wrong with its lines as a whole."""
        self._lines.taken = []
        try:
            cells = next(reader, [])
        except csv.Error as error:
            return [], f"a quote is opened that is not closed as it should be ({error})"
        lines = self._lines.taken
        if any(line.cut for line in lines):
            return cells, f"the line is longer than {_LONGEST_LINE:,} characters"
        if len(lines) > 1 and not self._escaped:
            return cells, self._doubt(cells, lines)
        return cells, ""

    def _doubt(self, cells: Sequence[str], lines: Sequence["_Line"]) -> str:
        """Return why a record of several lines is not believed; "" = it is."""
        first = _split(lines[0].text, self.separator)
        as_text = [*first[:-1], *first[-1].split(self.separator)] if first else []
        begins = self._are_a_row(as_text)
        """The first line is a row, if the quote that joins the lines is taken for text."""
        between = (line.text for line in lines[1:-1] if line.text.strip())
        goes_on = self._is_row(lines[-1]) and all(self.separator in text for text in between)
        if not self._wanted <= len(cells) <= self._cells:
            return _NO_ROW if begins else _UNCLEAR
        if not (begins and goes_on):
            return ""
        # The last cell of a row can hold lines that look like rows: `Sizes: S,M,L`.
        return _UNCLEAR if len(first) >= self._wanted else _ROWS

    def _is_row(self, line: "_Line") -> bool:
        """Return whether a line has the cells of a row."""
        return self._are_a_row(_split(line.text, self.separator))

    def _are_a_row(self, cells: Sequence[str]) -> bool:
        """Return whether cells are those of a row; text has blanks behind its commas."""
        return (
            len(cells) in (self._wanted, self._cells)
            and bool(cells[0].strip())
            and not any(cell.startswith(" ") for cell in cells[1:])
        )

    def _broken(self, number: int, problem: str) -> Row:
        """Return the rejected row of the lines before the next one that has the cells of a row;
        that one is read again, unless it may be a part of this one."""
        lines = self._lines.taken
        later = (
            at for at, line in enumerate(lines) if at and problem != _UNCLEAR and self._is_row(line)
        )
        own = lines[: next(later, len(lines))]
        self._lines.give_back(lines[len(own) :])
        cells = own[0].text.rstrip("\r\n").split(self.separator)
        values: dict[str, object] = {
            name: cell.strip().strip('"')
            for name, cell in zip(self.columns, cells, strict=False)
            if len(cell) <= MAX_CELL
        }
        place = f"line {own[0].number}"
        if len(own) > 1:
            place = f"lines {own[0].number} to {own[-1].number}"
        text, note = f"{place}: {problem}", "the line was too long: cells are cut"
        if not any(line.cut for line in own):
            text += ': close it, or write "" for a quote within quotes'
            note = f"a quote is not closed in: {''.join(line.text for line in own).strip()}"
        values[RAGGED] = note[:MAX_CELL]
        return Row(number, values, bad("", text), place=place, records=_filled(own))

    def _row(self, number: int, cells: list[str]) -> Row:
        lines = self._lines.taken
        line, records = lines[0].number, _filled(lines)
        cells = [*map(unescape if self._escaped else _kept_text, cells)]
        values: dict[str, object] = dict(zip(self.columns, cells, strict=False))
        surplus = [cell for cell in cells[self._wanted :] if cell.strip()]
        if not self._wanted <= len(cells) <= self._cells or surplus:
            text = (
                f"line {line} has {len(cells)} cells, the header has {self._wanted}: write"
                f" every cell, empty ones too, and quote one that holds {self.separator!r}"
            )
            note = f"{len(cells)} cells of {self._wanted}"
            if len(cells) > self._wanted:
                note += f"; too many: {self._joined(cells[self._wanted :])}"
            values[RAGGED] = note[:MAX_CELL]
            return Row(number, values, bad("", text), records=records)
        return Row(number, values, still_ragged(values), records=records)

    @property
    def _wanted(self) -> int:
        """Cells that every line has."""
        return len(self.columns)

    def _joined(self, cells: list[str]) -> str:
        """Return the cells joined as in the line."""
        line = io.StringIO()
        csv.writer(line, delimiter=self.separator, lineterminator="").writerow(cells)
        return line.getvalue()

    def _header(self, known: Collection[str]) -> tuple[str, tuple[str, ...]]:
        """Return the separator and the names of the first line that is not blank."""
        line = next(filter(str.strip, self._lines), "")
        given = _SEPARATOR_LINE.fullmatch(line.strip("\r\n"))
        if given is not None:
            line = next(filter(str.strip, self._lines), "")
        self._check_encoding(line)
        found = [(sep, _names(line, sep)) for sep in (given[1] if given else SEPARATORS)]
        below = self._lines.ahead()

        def agreement(item: tuple[str, tuple[str, ...]]) -> tuple[int, int, int, bool]:
            separator, names = item
            several = len(names) > 1
            alike = sum(len(_split(text, separator)) == len(names) for text in below)
            ours = sum(name in known for name in names)
            # Texts and numbers hold commas more often than the others.
            return ours, alike * several, len(names), several == (separator != ",")

        separator, names = max(found, key=agreement)
        if not any(names):
            raise FileRefused(
                f"{self._path} has no header: its first line names no column",
                f"name the columns in the first line, e.g. {','.join(list(known)[:4])}",
            )
        self._lines.filled = sum(bool(text.strip()) for text in below)
        self._spelled = tuple(cell.strip() for cell in _split(line, separator))
        return separator, names

    def _named(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names without empty ones at the end, whose cells must be empty."""
        count = max(at for at, name in enumerate(names, start=1) if name)
        columns = names[:count]
        if count > MOST_COLUMNS:
            raise FileRefused(
                f"{self._path}: the first line names {count:,} columns, {MOST_COLUMNS:,} at most",
                "write each row on a line of its own, the names of the columns on the first one",
            )
        if "" in columns:
            place = columns.index("") + 1
            raise FileRefused(
                f"{self._path}: column {place} of {count} has no name",
                "name it in the first line; a name that begins with _ is a note that is not read",
            )
        twice = {name for name, times in Counter(columns).items() if times > 1} - _TWICE
        if twice:
            raise FileRefused(
                f"{self._path} names the column {min(twice)!r} twice", "give each column one name"
            )
        return columns

    def _check_encoding(self, header: str) -> None:
        try:
            header.encode()
        except UnicodeEncodeError:
            raise FileRefused(
                f"{self._path}: the header is not {self._text.encoding.removesuffix('-sig')}",
                f"name the encoding of the file with --encoding: {encodings.HINT}",
            ) from None
        if "\0" in header:
            raise FileRefused(
                f"{self._path}: the header holds NUL characters",
                "name the encoding of the file with --encoding, such as utf-16-le",
            )


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    number: int
    """From 1, the header."""
    cut: bool


class _Lines:
    """The lines of a text, none longer than the cap. Lines can be given back to be read again."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._count = 0
        self._back: deque[_Line] = deque()
        self._size = 0
        self.filled = 0
        """Lines read so far that are not blank, each counted once."""
        self.taken: list[_Line] = []
        """Lines of the present record."""

    def give_back(self, lines: Sequence[_Line]) -> None:
        """Return lines that will be read again."""
        self._back.extendleft(reversed(lines))

    def ahead(self) -> list[str]:
        """Return the next lines, which are read again."""
        lines: list[_Line] = []
        with suppress(StopIteration):
            while len(lines) < _AHEAD and sum(len(line.text) for line in lines) < _LONGEST_LINE:
                lines.append(self._read())
        self.give_back(lines)
        return [line.text for line in lines]

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else self._read()
        self.taken.append(line)
        self._size = len(line.text) + (self._size if len(self.taken) > 1 else 0)
        if self._size > _LONGEST_RECORD:
            raise csv.Error(f"it is open for over {_LONGEST_RECORD:,} characters")
        return line.text

    def _read(self) -> _Line:
        text = self._text.readline(_LONGEST_LINE)
        if not text:
            raise StopIteration
        if not self._count:
            text = text.removeprefix("\ufeff")  # of an encoding that was named
        self._count += 1
        self.filled += bool(text.strip())
        cut = len(text) == _LONGEST_LINE and not text.endswith(("\n", "\r"))
        rest = text if cut else ""
        while rest and not rest.endswith(("\n", "\r")):
            rest = self._text.readline(_LONGEST_LINE)
        return _Line(text, self._count, cut)


def _filled(lines: Sequence[_Line]) -> int:
    return sum(bool(line.text.strip()) for line in lines)


def _kept_text(cell: str) -> str:
    """Return the text of a cell that a spreadsheet keeps as text by a formula."""
    found = _TEXT_FORMULA.fullmatch(cell.strip()) if '="' in cell else None
    return found[1].replace('""', '"') if found else cell


def _split(line: str, separator: str) -> list[str]:
    """Return the cells of one line, in which a quote may stay open."""
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []


def _names(line: str, separator: str) -> tuple[str, ...]:
    return tuple(cell.strip().lower() for cell in _split(line, separator))
