"""Columns of candidates that stay in the table until they are read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from retriever.columns.arrays import Ints
from retriever.columns.table import ProductTable
from retriever.servicer.column_messages import NOTHING, VALUES
from sightline_core.columns import Block, ProductColumns, Stamp
from sightline_rules.fields import CANDIDATE


class TableColumns:
    """Some products of a table as CandidateColumns has them, each column read when it is used.

    It says what the table said when it was made: a write makes it read all columns before.
    """

    product_ids: Sequence[str]
    image_hashes: Sequence[int]

    def __init__(
        self,
        table: ProductTable,
        rows: Ints,
        market_id: str,
        omitted: frozenset[str] = frozenset(),
    ) -> None:
        """`omitted`: names of columns to leave empty."""
        self._table, self._rows, self._market_id = table, rows, market_id
        self._omitted = omitted
        self._columns = table.candidate_columns(market_id)
        self._frozen = False
        table.read_later(self)

    def __getattr__(self, name: str) -> Sequence[Any]:
        # Only called for a column that was not read. A thread that reads while the loop writes
        # gets what the loop has read before.
        cells: Sequence[Any]
        if name in self._omitted:
            cells = ()
        elif name == "product_ids":
            cells = [*map(self._table.ids.__getitem__, self._rows.tolist())]
        elif name == "image_hashes":
            cells = self._table.image_hash[self._rows].tolist()
        elif name in _COLUMNS:
            at, number, value_of = _COLUMNS[name]
            column = self._columns[at]
            cells = () if column.unknown else column.cells(self._rows)[number]
            if not cells or NOTHING.issuperset(cells):
                cells = ()
            elif value_of is not None:
                cells = [*map(value_of, cells)]
        else:
            raise AttributeError(name)
        found: Sequence[Any] = self.__dict__.setdefault(name, cells)
        return found

    def freeze(self) -> None:
        """Read what was not read: the table is about to change."""
        self._frozen = True
        for name in ("product_ids", "image_hashes", *_COLUMNS):
            getattr(self, name)

    def joined(self, blocks: Sequence[Block]) -> "TableColumns | None":
        """Return the rows of all blocks; None unless all say what the same table says now."""
        of, parts = (self._table, self._market_id, self._omitted), list[Ints]()
        for source, rows in blocks:
            if not isinstance(source, TableColumns) or source._frozen:
                return None
            if (source._table, source._market_id, source._omitted) != of:
                return None
            parts += (source._rows[rows],)
        return TableColumns(self._table, np.concatenate(parts), self._market_id, self._omitted)


def product_columns(
    table: ProductTable,
    places: Sequence[int],
    market_id: str = "",
    stamp: Stamp | None = None,
    *,
    omitted: frozenset[str] = frozenset(),
) -> ProductColumns:
    """Return the columns of the products at some places, with their values in a market. `stamp`:
    see ProductColumns; None: that of the table now. `omitted`: names of columns to leave empty."""
    rows = np.asarray(places, np.int64)
    held = TableColumns(table, rows, market_id, omitted)
    held.product_ids = [*map(table.ids.__getitem__, places)]
    if "image_hashes" not in omitted:
        held.image_hashes = table.image_hash[rows].tolist()
    return ProductColumns(
        product_ids=held.product_ids,
        parent_ids=held.parent_ids,
        image_hashes=held.image_hashes,
        create_time_micros=held.create_time_micros,
        blocks=((held, range(len(places))),),
        stamp=stamp or table.stamped,
    )


_COLUMNS: Mapping[str, tuple[int, int, Callable[[str], Any] | None]] = {
    name: (at, number, VALUES.get(type(field.kind)))
    for at, field in enumerate(CANDIDATE)
    for number, name in enumerate(field.candidate)
}
"""The columns of CandidateColumns by name: the places of their field in CANDIDATE, and of them
among its columns; and what a cell says."""
LISTED = frozenset({"image_hashes"})
"""Columns that a list leaves empty: it shows products of one picture too."""
COSTS = frozenset({"cost_micros", "cost_currencies"})
"""Columns that a list leaves empty unless costs are asked for."""
ALIKE = frozenset(_COLUMNS) - {"parent_ids"}
"""Columns that are left empty where near-duplicates of the products are looked for."""
