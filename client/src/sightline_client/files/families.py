"""Products and their variants in rows of their own, which name one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from sightline_client.errors import SightlineError
from sightline_client.files.conversion import Cells, ExportDates, ReadRows
from sightline_client.files.model import Row, bad

INHERITED = ("category", "brand", "description", "tags", "images")
"""Columns of ours that a variant without a value has from its parent."""
Theirs = Mapping[str, object]


def with_parents(
    *,
    names: Callable[[Theirs], Sequence[str]],
    parent: Callable[[Theirs], str],
    read: Callable[[Theirs, Theirs], Cells],
    column: str,
    finish: Callable[[Theirs, Cells, ExportDates], None] | None = None,
) -> ReadRows:
    """Make a reader of rows of which some name their parent. A variant that precedes its parent is
    read at the end; one whose parent could not be read is rejected.

    Args:
        names: Returns the names by which variants may name a row; none for one without variants.
        parent: Returns the name of a row's parent; "" = it is none's variant.
        read: Makes a row of ours, of a row and the row of ours of its parent (empty: none).
        column: The column with the parent's name.
        finish: Adds what may be invalid, which SightlineError says.
    """

    def reader(rows: Iterator[Row], dates: ExportDates) -> Iterator[Row]:
        parents: dict[str, Row] = {}
        broken: dict[str, int] = {}
        """Rejected rows by the names that a variant may have for them."""
        waiting: list[Row] = []
        for row in rows:
            if row.error is not None:
                broken |= dict.fromkeys(names(row.cells), row.number)
                yield row
            elif (above := parent(row.cells)) and above not in parents:
                waiting.append(row)
            else:
                yield made(row, parents, dates)
        for row in waiting:
            above = parent(row.cells)
            found = made(row, parents, dates)
            if above in broken and above not in parents and not found.error:
                text = f"row {broken[above]}, which has what all its variants share, can't be read"
                found = replace(found, error=bad(column, text))
            yield found

    def made(row: Row, parents: dict[str, Row], dates: ExportDates) -> Row:
        above = parents.get(parent(row.cells))
        cells = read(row.cells, above.cells if above is not None else {})
        parents |= dict.fromkeys(names(row.cells), replace(row, cells=cells))
        source = (*(above.source if above is not None else ()), *row.source)
        try:
            if finish is not None:
                finish(row.cells, cells, dates)
        except SightlineError as error:
            return replace(row, cells=cells, error=error, source=source)
        return replace(row, cells=cells, source=source)

    return reader


def inherit(made: Cells, parent: Theirs, *more: str) -> None:
    """Set what a variant lacks from its parent."""
    for name in (*INHERITED, *more):
        if parent.get(name) and not made.get(name):
            made[name] = parent[name]
