"""Rows of files, and errors of files and rows."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from textwrap import shorten
from typing import Protocol

from sightline_client.errors import SightlineError, invalid

MAX_CELL = 131_072
"""Maximum characters of a cell, far above the limits of the contract's fields."""
NOTE = "_"
"""Prefix of columns of notes, such as those in a file of rejected rows."""
RAGGED = "_ragged"
"""Column of notes on rows with too few or too many cells. A row is rejected while it is not empty,
because its cells may belong to other columns."""


class FileRefused(Exception):
    """File that can't be used. The message names the fault, ``fix`` the remedy."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Row:
    """Row of a file."""

    number: int
    """Number of the row, from 1, without the header."""
    cells: Mapping[str, object] = field(default_factory=dict)
    """Values by column: text in CSV, typed in other files."""
    error: SightlineError | None = None
    """Error of an invalid row; None = the row is valid."""
    place: str = ""
    """Place of a row in a file without rows, such as `line 203`. Empty: its number says it."""
    records: int = 1
    """Number of the file's records that the row stands for; see `RowTable.records`."""
    also: tuple[int, ...] = ()
    """Numbers of other rows of an export that are part of this one, such as those with one more
    photo."""
    left_out: str = ""
    """Why the row of an export is intended to become nothing. Empty: it becomes something."""
    source: tuple["Row", ...] = ()
    """Rows as they are in the file: this one, and those with what it inherits, such as the row of
    its parent. Empty: the row itself."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """Description of a value that Python can't represent. Every column rejects it."""

    words: str


class RowTable(Protocol):
    """A file of rows, open for reading."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns; empty if every row names its own."""
        ...

    @property
    def total(self) -> int:
        """Size of the file, in the unit of `done`."""
        ...

    @property
    def done(self) -> int:
        """Amount read so far, in the unit of `total`."""
        ...

    @property
    def records(self) -> int:
        """Number of records read so far, counted before they are understood: lines that are not
        blank, items, rows of Parquet, photos. Each row says how many it stands for."""
        ...

    def rows(self) -> Iterator[Row]:
        """Yield the rows in order, once. Read them through `accounts.accounted`."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def bad(column: str, description: str, *, reason: str = "ROW_INVALID") -> SightlineError:
    """Return the error for a column of a row; column "" = the row as a whole."""
    return invalid(column or "row", description, reason=reason)


def checked(row: Row, known: Collection[str], ignore: Collection[str]) -> Row:
    """Return the row, with an error if it has a column that is not read and that is neither
    ignored nor a note, because its value would be lost silently. `known`: () = any."""
    if not known or row.error is not None:
        return row
    for name in row.cells:
        if name not in known and name not in ignore and not name.startswith(NOTE):
            return replace(row, error=bad(name, unread(name, known)))
    return row


def still_ragged(cells: Mapping[str, object]) -> SightlineError | None:
    """Return the error of a row whose note says that its cells were lost or shifted."""
    noted = str(cells.get(RAGGED) or "").strip()
    if not noted:
        return None
    text = f"says what was wrong with the cells ({shorten(noted, 60)}): correct"
    return bad(RAGGED, f"{text} them, then empty this one")


def unread(name: str, known: Collection[str]) -> str:
    """Say what to do about a column that is not read."""
    near = difflib.get_close_matches(name, list(known), 1)
    guess = f"did you mean {near[0]!r}? Else " if near else ""
    return f"{guess}leave it out, or pass --ignore {name}; known ones are {', '.join(known)}"


class Wrapped:
    """A table that is read through another one."""

    how = ""
    """Text that identifies the conversion of rows. Empty = rows are as in the file."""
    separator = ""
    """Separator of the file's cells, if rows are as in the file."""

    def __init__(self, table: RowTable) -> None:
        self._table = table

    @property
    def inner(self) -> RowTable:
        """Return the table that is read."""
        return self._table

    @property
    def total(self) -> int:
        return self._table.total

    @property
    def done(self) -> int:
        return self._table.done

    @property
    def records(self) -> int:
        return self._table.records

    def close(self) -> None:
        self._table.close()
