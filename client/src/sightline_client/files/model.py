"""Rows of files, and errors of files and rows."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sightline_client.errors import SightlineError, invalid

MAX_CELL = 131_072
"""Characters of a cell; far more than any field of the contract takes."""
NOTE = "_"
"""Columns whose name begins so are notes, such as those in a file of rejected rows."""
RAGGED = "_ragged"
"""Note of a row that had cells too few or too many. While something stands there the row is
refused: its cells are not the ones that were meant."""


class FileRefused(Exception):
    """The file as a whole can't be used. The message says what is wrong, ``fix`` what to do."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the file has it."""

    number: int
    """From 1; a header is no row."""
    cells: Mapping[str, object] = field(default_factory=dict)
    """Column → what stands there. Text in CSV; whatever the file holds elsewhere."""
    error: SightlineError | None = None
    """Why it is no row of this table; None = it is one."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """A value that no cell can hold, in words. Every column refuses it."""

    words: str


class RowTable(Protocol):
    """A file of rows, open for reading."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns; empty where every row names its own."""
        ...

    @property
    def total(self) -> int:
        """How much there is to read, in units of its own."""
        ...

    @property
    def done(self) -> int:
        """How much of it has been read."""
        ...

    def rows(self) -> Iterator[Row]:
        """Yield the rows in order, once."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def bad(column: str, description: str, *, reason: str = "ROW_INVALID") -> SightlineError:
    """Return the error for a column of a row; column "" = the row as a whole."""
    return invalid(column or "row", description, reason=reason)


def unread(name: str, known: Collection[str]) -> str:
    """Say what to do about a column that is not read."""
    near = difflib.get_close_matches(name, list(known), 1)
    guess = f"did you mean {near[0]!r}? Else " if near else ""
    return f"{guess}leave it out, or pass --ignore {name}; known ones are {', '.join(known)}"


class Wrapped:
    """A table that is read through another one."""

    def __init__(self, table: RowTable) -> None:
        self._table = table

    @property
    def total(self) -> int:
        return self._table.total

    @property
    def done(self) -> int:
        return self._table.done

    def close(self) -> None:
        self._table.close()
