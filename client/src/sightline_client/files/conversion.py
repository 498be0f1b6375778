"""Conversion of another system's rows to rows of our columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from sightline_client.files.mapping import fill, put
from sightline_client.files.model import Row, RowTable, Wrapped

Cells = dict[str, object]
ReadRows = Callable[[Iterator[Row]], Iterator[Row]]


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


class Shaped(Wrapped):
    """Table of a known shape, read as our columns."""

    columns: tuple[str, ...] = ()

    def __init__(self, table: RowTable, shape: Shape, constants: Mapping[str, str]) -> None:
        """`constants`: values of our columns that the export lacks, such as `currency`."""
        super().__init__(table)
        self._shape, self._constants = shape, constants
        self.how = repr((shape.name, sorted(constants.items())))
        """Text that identifies the conversion of rows."""

    def rows(self) -> Iterator[Row]:
        """Yield the rows by our columns, numbered as in the file."""
        small = (
            replace(row, cells={name.lower(): value for name, value in row.cells.items()})
            for row in self._table.rows()
        )
        for row in self._shape.read(small):
            cells = dict(row.cells)
            if row.error is None:
                fill(cells, self._constants)
            yield replace(row, cells=cells)


def by_row(read: Callable[[Mapping[str, object]], Iterator[Cells]]) -> ReadRows:
    """Make a reader of an export whose rows can be read one by one, each as any number of ours."""

    def each(rows: Iterator[Row]) -> Iterator[Row]:
        for row in rows:
            if row.error is not None:
                yield row
            else:
                yield from (replace(row, cells=made) for made in read(row.cells))

    return each


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
