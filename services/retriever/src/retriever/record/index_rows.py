"""The rows that a generation's index should hold."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.generation import Generation
from retriever.domain.index_values import IndexRow
from retriever.domain.vectors import Floats
from retriever.record import statements
from retriever.record.products import to_facts
from retriever.record.tables import products
from servicekit.sql import conditions


def _rows(of: statements.RowSource) -> sa.Select[Any]:
    """Return a statement for rows with their vectors and products."""
    seq = of.vector.c.seq.label("vector_seq")
    found = of.select(of.row.c.row_id, of.image_id, of.vector.c.data, seq, products)
    return found.join(products, statements.same(of.row, products))


def _rows_of_products(of: statements.RowSource) -> sa.Select[Any]:
    after: sa.BindParameter[int] = sa.bindparam("after")
    newer = sa.or_(products.c.seq > after, of.vector.c.seq > after)
    return _rows(of).where(conditions.among(of.row, "product_id"), newer)


def _page(of: statements.RowSource) -> sa.Select[Any]:
    row_id = of.row.c.row_id
    page = _rows(of).where(row_id > sa.bindparam("after")).order_by(row_id)
    return page.limit(sa.bindparam("most"))


_INDEX_ROWS = {given: _rows_of_products(of) for given, of in statements.ROWS.items()}
_INDEX_PAGE = {given: _page(of) for given, of in statements.ROWS.items()}
"""Statement for each value of Generation.of_products."""


def read_index_rows(
    connection: Connection,
    generation: Generation,
    product_ids: Sequence[str],
    *,
    after: int = -1,
) -> list[IndexRow]:
    """Return the expected rows of these products, of commits after `after` only."""
    of = {**statements.version_of(generation), "after": after}
    found = conditions.look_up(connection, _INDEX_ROWS[generation.of_products], product_ids, of)
    return [_to_index_row(row) for row in found]


def read_index_page(
    connection: Connection, generation: Generation, after: str, limit: int
) -> list[IndexRow]:
    """Return the expected rows after a row id, ordered by id."""
    values = {**statements.version_of(generation), "after": after, "most": limit}
    page = connection.execute(_INDEX_PAGE[generation.of_products], values)
    return [_to_index_row(row) for row in page]


def read_row_seqs(
    connection: Connection, generation: Generation, low: str, high: str
) -> dict[str, tuple[int, str]]:
    """Return row id → (seq, product id) of the expected rows with low ≤ id < high."""
    of = statements.ROWS[generation.of_products]
    row = of.row.c
    query = (
        of.select(row.row_id, products.c.seq, of.vector.c.seq, row.product_id)
        .join(products, statements.same(of.row, products))
        .where(row.row_id >= low, row.row_id < high)
    )
    return {
        row_id: (max(product_seq, vector_seq), product_id)
        for row_id, product_seq, vector_seq, product_id in connection.execute(
            query, statements.version_of(generation)
        )
    }


def count_rows(connection: Connection, generation: Generation, most: int | None = None) -> int:
    """Return the number of expected rows, at most `most`."""
    of = statements.ROWS[generation.of_products]
    rows = of.select(of.row.c.row_id)
    return statements.count(connection, rows, most, statements.version_of(generation))


def read_product_vectors(
    connection: Connection, generation: Generation, product_id: str
) -> list[Floats]:
    """Return the vectors of a product's photos in the version of a generation."""
    of = statements.ROWS[generation.of_products]
    query = of.select(of.vector.c.data).where(of.row.c.product_id == product_id)
    if not generation.of_products:
        query = query.order_by(of.position)
    found = connection.execute(query, statements.version_of(generation))
    return [statements.to_floats(data) for data in found.scalars()]


def _to_index_row(row: sa.Row[Any]) -> IndexRow:
    return IndexRow(
        row_id=row.row_id,
        seq=max(row.seq, row.vector_seq),
        product_id=row.product_id,
        image_id=row.image_id,
        facts=to_facts(row),
        vector=statements.to_floats(row.data),
        parent_id=row.parent_id,
    )
