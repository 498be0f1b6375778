"""What the index should hold of a generation."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.generation import Generation
from retriever.domain.index_values import IndexRow
from retriever.domain.vectors import Floats
from retriever.record import parts
from retriever.record.products import to_facts
from retriever.record.tables import product_images, product_vectors, products, vectors

_ROWS = sa.select(
    product_images.c.row_id,
    product_images.c.image_id,
    vectors.c.data,
    vectors.c.seq.label("vector_seq"),
    products,
).select_from(parts.PHOTOS_WITH_VECTOR.join(products, parts.same(product_images, products)))
_GIVEN_ROWS = (
    sa.select(
        product_vectors.c.row_id,
        sa.literal("").label("image_id"),
        product_vectors.c.data,
        product_vectors.c.seq.label("vector_seq"),
        products,
    )
    .select_from(product_vectors.join(products, parts.same(product_vectors, products)))
    .where(parts.on(product_vectors, **parts.BOUND_VERSION))
)
"""The same where each product has one vector."""


def _page_of(rows: sa.Select[Any], table: sa.Table) -> sa.Select[Any]:
    page = rows.where(
        table.c.catalog_id == sa.bindparam("catalog_id"), table.c.row_id > sa.bindparam("after")
    )
    return page.order_by(table.c.row_id).limit(sa.bindparam("most"))


def _newer(vector: sa.Table) -> sa.ColumnElement[bool]:
    after: sa.BindParameter[int] = sa.bindparam("after")
    return sa.or_(products.c.seq > after, vector.c.seq > after)


_INDEX_ROWS = {
    False: _ROWS.where(parts.among(product_images, "product_id"), _newer(vectors)),
    True: _GIVEN_ROWS.where(parts.among(product_vectors, "product_id"), _newer(product_vectors)),
}
_INDEX_PAGE = {
    False: _page_of(_ROWS, product_images),
    True: _page_of(_GIVEN_ROWS, product_vectors),
}
"""By whether a generation is of products."""


def read_index_rows(
    connection: Connection,
    generation: Generation,
    product_ids: Sequence[str],
    *,
    after: int = -1,
) -> list[IndexRow]:
    """What the index should hold of some products, of commits after one alone, in no order."""
    of = {**parts.version_of(generation), "after": after}
    found = parts.look_up(connection, _INDEX_ROWS[generation.of_products], product_ids, of)
    return [_to_index_row(row) for row in found]


def read_index_page(
    connection: Connection, generation: Generation, after: str, limit: int
) -> list[IndexRow]:
    """What the index should hold behind a row id, by row id."""
    values = {**parts.version_of(generation), "after": after, "most": limit}
    page = connection.execute(_INDEX_PAGE[generation.of_products], values)
    return [_to_index_row(row) for row in page]


def read_row_seqs(
    connection: Connection, generation: Generation, low: str, high: str
) -> dict[str, tuple[int, str]]:
    """Row id → (seq, product id) of the rows that the index should hold with low ≤ id < high."""
    row, vector, rows = parts.row_source(generation)
    c = row.c
    query = (
        sa.select(c.row_id, products.c.seq, vector.c.seq, c.product_id)
        .select_from(rows.join(products, parts.same(row, products)))
        .where(
            parts.held_by(generation, vector),
            c.catalog_id == generation.catalog_id,
            c.row_id >= low,
            c.row_id < high,
        )
    )
    return {
        row_id: (max(product_seq, vector_seq), product_id)
        for row_id, product_seq, vector_seq, product_id in connection.execute(query)
    }


def count_rows(connection: Connection, generation: Generation, most: int | None = None) -> int:
    """How many rows the index should hold; of more than `most`, so many."""
    row, vector, rows = parts.row_source(generation)
    mine = row.c.catalog_id == generation.catalog_id, parts.held_by(generation, vector)
    counted = sa.select(row.c.row_id).select_from(rows).where(*mine).limit(most).subquery()
    query = sa.select(sa.func.count()).select_from(counted)
    return int(connection.execute(query).scalar_one())


def read_product_vectors(
    connection: Connection, generation: Generation, product_id: str
) -> list[Floats]:
    """The vectors of a product's photos in order, or its own."""
    row, vector, rows = parts.row_source(generation)
    query = (
        sa.select(vector.c.data)
        .select_from(rows)
        .where(
            parts.held_by(generation, vector),
            row.c.catalog_id == generation.catalog_id,
            row.c.product_id == product_id,
        )
    )
    if not generation.of_products:
        query = query.order_by(product_images.c.position)
    return [parts.to_floats(data) for data in connection.execute(query).scalars()]


def _to_index_row(row: sa.Row[Any]) -> IndexRow:
    return IndexRow(
        row_id=row.row_id,
        seq=max(row.seq, row.vector_seq),
        product_id=row.product_id,
        image_id=row.image_id,
        facts=to_facts(row),
        vector=parts.to_floats(row.data),
    )
