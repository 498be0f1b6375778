"""Rejected rows, in a file that can be fixed and imported again."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from sightline_client.errors import SightlineError
from sightline_client.files import dumping
from sightline_client.files.formulas import escape
from sightline_client.files.model import RAGGED, Row, RowTable

MARK = ".rejected"
PLACE = "_place"
"""Note on rows of files that have places instead of rows."""
NOTES = ("_row", "_reason", "_problem", RAGGED)
"""Columns added to every row. An unchanged row is rejected again: by RAGGED for lost or shifted
cells, by ``twice`` for a repeated id.
"""


class Rejected:
    """File of rejected rows, created with the first row: FILE.rejected.csv for a CSV file, else
    FILE.rejected.jsonl.
    """

    def __init__(self, source: Path, table: RowTable) -> None:
        self._separator = str(getattr(table, "separator", ""))
        self._delimited = bool(self._separator)  # else the rows have other columns than the file
        self._columns = [name for name in table.columns if name not in NOTES]
        stem = source.name.removesuffix(source.suffix) if source.is_file() else source.name
        suffix = source.suffix if self._delimited else ".jsonl"
        self.path = source.parent / f"{stem}{MARK}{suffix}"
        self._file: IO[str] | None = None
        self._writer: Any = None
        self.count = 0
        """Rows written."""
        if self.path.exists():  # from an earlier run; the user may be editing it
            self.path.replace(self.path.with_name(f"{self.path.name}~"))

    def add(self, row: Row, error: SightlineError) -> None:
        """Write the row and its error."""
        self.count += 1
        notes: dict[str, object] = dict(
            zip(NOTES, (row.number, error.reason, problem(error)), strict=False)
        )
        file = self._open()
        if self._writer is not None:
            cells = [row.cells.get(name) for name in self._columns]
            self._write([*cells, *notes.values(), row.cells.get(RAGGED)])
        else:
            if row.place:
                notes[PLACE] = row.place
            own = {key: value for key, value in row.cells.items() if key not in notes}
            file.write(dumping.line(own | notes) + "\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _open(self) -> IO[str]:
        if self._file is None:
            # Bytes that are not UTF-8 are written as they were.
            self._file = self.path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
            if self._delimited:
                self._writer = csv.writer(self._file, delimiter=self._separator)
                self._write([*self._columns, *NOTES])
        return self._file

    def _write(self, cells: Sequence[object]) -> None:
        """Write a row that no spreadsheet program runs; `Delimited` reads it back."""
        self._writer.writerow([escape(_text(cell)) for cell in cells])


def problem(error: SightlineError) -> str:
    """Say what is wrong, field by field, on one line."""
    fields: Sequence[str] = [f"{item.field}: {item.description}" for item in error.violations]
    return "; ".join(fields) or error.message


def _text(value: object) -> str:
    return "" if value is None else str(value)
