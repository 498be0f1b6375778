"""What columns in memory are made of, and what changed since a commit; one vector a product."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.generation import Generation
from retriever.domain.vectors import Floats
from retriever.ports.columns import Changes, PhotoRow, ProductRow
from retriever.record import parts
from retriever.record.hashes import from_signed
from retriever.record.tables import changes, images, product_images, products, sequences, vectors

_PRODUCTS = (
    sa.select(
        *(products.c[name] for name in ProductRow._fields if name != "image_hash"),
        images.c.perceptual_hash,
    )
    .select_from(
        products.outerjoin(
            product_images,
            sa.and_(parts.same(product_images, products), product_images.c.position == 0),
        ).outerjoin(images, parts.PHOTO)
    )
    .where(products.c.catalog_id == sa.bindparam("catalog_id"))
)
_BY_ID = _PRODUCTS.where(parts.among(products, "product_id"))
_HEAD = sa.select(sequences.c.seq).where(sequences.c.catalog_id == sa.bindparam("catalog_id"))
_CHANGED = sa.select(changes.c.product_id).where(
    changes.c.catalog_id == sa.bindparam("catalog_id"), changes.c.seq > sa.bindparam("after")
)
_COUNT = sa.select(products.c.product_id).where(products.c.catalog_id == sa.bindparam("catalog_id"))


def read_written(connection: Connection, catalog_id: str, after: int | None) -> Changes:
    """What was written after a commit, as it is now; None = everything there is."""
    of = {"catalog_id": catalog_id}
    # First: what is written between the two reads is read twice rather than never.
    head = int(connection.execute(_HEAD, of).scalar() or 0)
    if after is None:
        return Changes(head, [_row(row) for row in connection.execute(_PRODUCTS, of)], ())
    if head == after:
        return Changes(head, (), ())
    changed = list(connection.execute(_CHANGED, {**of, "after": after}).scalars())
    held = read_product_rows(connection, catalog_id, changed)
    there = {row.product_id for row in held}
    return Changes(head, held, [each for each in changed if each not in there])


def read_product_rows(
    connection: Connection, catalog_id: str, product_ids: Sequence[str]
) -> list[ProductRow]:
    """Those of the products that exist."""
    of = {"catalog_id": catalog_id}
    return [_row(row) for row in parts.look_up(connection, _BY_ID, product_ids, of)]


def _row(row: Sequence[Any]) -> ProductRow:
    *values, hashed = row
    return ProductRow._make([*values, from_signed(hashed)])


def read_photo_rows(
    connection: Connection, generation: Generation, product_ids: Sequence[str] | None
) -> list[PhotoRow]:
    """The rows that a generation should hold of these products; None = of all."""
    row, vector, rows = parts.row_source(generation)
    given = generation.of_products
    query = (
        sa.select(
            row.c.row_id,
            row.c.product_id,
            sa.literal("") if given else row.c.image_id,
            sa.literal(0) if given else product_images.c.position,
            vector.c.seq,
        )
        .select_from(rows)
        .where(parts.held_by(generation, vector), row.c.catalog_id == generation.catalog_id)
    )
    if product_ids is None:
        return [PhotoRow._make(found) for found in connection.execute(query)]
    chosen = query.where(row.c.product_id.in_(sa.bindparam("among", expanding=True)))
    return [PhotoRow._make(found) for found in parts.look_up(connection, chosen, product_ids, {})]


def read_row_vectors(
    connection: Connection, generation: Generation, row_ids: Sequence[str]
) -> tuple[list[str], Floats]:
    """Those of the rows that there are, and their vectors [rows, dimension]."""
    row, vector, rows = parts.row_source(generation)
    query = (
        sa.select(row.c.row_id, vector.c.data)
        .select_from(rows)
        .where(
            parts.held_by(generation, vector),
            row.c.catalog_id == generation.catalog_id,
            row.c.row_id.in_(sa.bindparam("among", expanding=True)),
        )
    )
    found = list(parts.look_up(connection, query, row_ids, {}))
    data = np.frombuffer(b"".join(each.data for each in found), dtype="<f4")
    names = [each.row_id for each in found]
    return names, data.reshape(len(found), generation.dimension).astype(np.float32, copy=False)


def read_first_vectors(
    connection: Connection, generation: Generation, product_ids: Sequence[str]
) -> dict[str, Floats]:
    """By product, the vector of its first photo; none where a product has one vector itself."""
    if generation.of_products:
        return {}
    query = (
        sa.select(product_images.c.product_id, vectors.c.data)
        .select_from(product_images.join(vectors, parts.vector_of(generation)))
        .where(parts.among(product_images, "product_id"), product_images.c.position == 0)
    )
    found = parts.look_up(connection, query, product_ids, {"catalog_id": generation.catalog_id})
    return {row.product_id: parts.to_floats(row.data) for row in found}


def count_products(connection: Connection, catalog_id: str, most: int) -> int:
    """How many products there are; of more than `most`, so many."""
    some = _COUNT.limit(most).subquery()
    counted = sa.select(sa.func.count()).select_from(some)
    return int(connection.execute(counted, {"catalog_id": catalog_id}).scalar_one())


def read_means(
    connection: Connection, generation: Generation, after: str, limit: int
) -> list[tuple[str, Floats]]:
    """The first products behind `after` that have a vector, each with the mean of its photos'
    vectors, or its own; at most `limit`, by id."""
    row, vector, rows = parts.row_source(generation)
    product_id = row.c.product_id
    mine = (
        row.c.catalog_id == generation.catalog_id,
        parts.held_by(generation, vector),
        product_id > after,
    )
    page = sa.select(product_id).select_from(rows).where(*mine).distinct()
    chosen = connection.execute(page.order_by(product_id).limit(limit)).scalars().all()
    if not chosen:
        return []
    # In a fixed order, so that the same photos have the same mean, bit for bit.
    order = (product_id,) if generation.of_products else (product_id, row.c.position)
    found = connection.execute(
        sa.select(product_id, vector.c.data)
        .select_from(rows)
        .where(*mine, product_id <= chosen[-1])
        .order_by(*order)
    )
    return [
        (
            product,
            np.mean([parts.to_floats(one.data) for one in of], axis=0, dtype=np.float64).astype(
                "<f4"
            ),
        )
        for product, of in groupby(found, key=lambda one: one.product_id)
    ]
