"""NumPy arrays by their types, sparse rows, and tables of columns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Related products of each product: the rows of a sparse matrix (CSR), read-only.

    The neighbours of product i are ``items[starts[i]:starts[i + 1]]``, sorted, with ``weights`` at
    the same indexes.
    """

    starts: Ints
    """(products + 1,)"""
    items: npt.NDArray[np.int32]
    """(neighbours of all,) rows of products"""
    weights: Floats
    """(neighbours of all,) weight of each neighbour; zeros are omitted"""

    def entries(self, rows: Ints) -> tuple[Ints, Ints]:
        """Return the entries of these rows one after another: for each the index of its row in
        `rows`, and its own in `items`."""
        starts = self.starts[rows]
        counts = self.starts[rows + 1] - starts
        owners = np.arange(counts.size).repeat(counts)
        return owners, np.arange(owners.size) + (starts - counts.cumsum() + counts)[owners]


def packed(values: Doubles) -> bytes:
    """Return the numbers as bytes, 8 each, least significant first."""
    return values.astype("<f8", copy=False).tobytes()


def numbers(column: bytes) -> Doubles:
    """Decode the bytes of `packed`."""
    return np.frombuffer(column, "<f8")


def indicators(named: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], Ints, Ints]:
    """Return rows of names as a sparse matrix (CSR) of ones: the sorted names of its columns,
    the start of each row, and the rising columns of each row's names. Names are unique within a
    row."""
    names = tuple(sorted({name for row in named for name in row}))
    columns = {name: column for column, name in enumerate(names)}
    places = [place for row in named for place in sorted(columns[name] for name in row)]
    return names, np.cumsum([0, *map(len, named)]), np.array(places, np.int64)


Table = TypeVar("Table", bound=Any)
"""A dataclass whose arrays are columns of equal length."""


def part(table: Table, rows: Flags | Ints | slice) -> Table:
    """Return only these rows of a table, in their order."""
    columns = {one.name: getattr(table, one.name) for one in fields(table)}
    taken = {name: one[rows] for name, one in columns.items() if isinstance(one, np.ndarray)}
    return replace(table, **taken)


def stacked(*tables: Table) -> Table:
    """Concatenate one or more tables whose columns are all arrays."""
    columns = [[getattr(each, one.name) for each in tables] for one in fields(tables[0])]
    made: Table = type(tables[0])(*map(np.concatenate, columns))
    return made
