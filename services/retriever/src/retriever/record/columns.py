"""Data of the columns in memory, and changes since a commit; one vector per product."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.column_rows import HELD, Changes, PhotoRow, ProductRow
from retriever.domain.generation import Generation
from retriever.domain.product import Product
from retriever.domain.vectors import Floats
from retriever.record import statements
from retriever.record.hashes import from_signed
from retriever.record.products import read_products
from retriever.record.tables import (
    catalogs,
    changes,
    images,
    product_images,
    products,
    sequences,
)
from servicekit.sql import conditions
from sightline_core.columns import Stamp

_PRODUCTS = (
    sa.select(
        products.c.product_id,
        *(products.c[name] for field in HELD for name in field.stored),
        images.c.perceptual_hash,
    )
    .select_from(
        products.outerjoin(
            product_images,
            sa.and_(statements.same(product_images, products), product_images.c.position == 0),
        ).outerjoin(images, statements.PHOTO)
    )
    .where(products.c.catalog_id == sa.bindparam("catalog_id"))
)
_BY_ID = _PRODUCTS.where(conditions.among(products, "product_id"))
_HEAD = sa.select(
    sa.select(sequences.c.seq)
    .where(sequences.c.catalog_id == sa.bindparam("catalog_id"))
    .scalar_subquery()
    .label("seq"),
    sa.select(catalogs.c.uid)
    .where(catalogs.c.catalog_id == sa.bindparam("catalog_id"))
    .scalar_subquery()
    .label("uid"),
    sa.select(sequences.c.known_from)
    .where(sequences.c.catalog_id == sa.bindparam("catalog_id"))
    .scalar_subquery()
    .label("known_from"),
)
_CHANGED = sa.select(changes.c.product_id).where(
    changes.c.catalog_id == sa.bindparam("catalog_id"), changes.c.seq > sa.bindparam("after")
)
_PHOTOS = statements.ROWS[False]
_FIRST = _PHOTOS.select(_PHOTOS.row.c.product_id, _PHOTOS.vector.c.data).where(
    conditions.among(_PHOTOS.row, "product_id"), _PHOTOS.position == 0
)
_COUNT = sa.select(products.c.product_id).where(products.c.catalog_id == sa.bindparam("catalog_id"))


def read_written(connection: Connection, catalog_id: str, after: int | None) -> Changes:
    """Return the changes after a commit; None: everything."""
    of = {"catalog_id": catalog_id}
    # Read first, so that a write between the two reads is read twice instead of being missed.
    head, uid, known_from = _head(connection, catalog_id)
    if after is None:
        return Changes(head, [_row(row) for row in connection.execute(_PRODUCTS, of)], (), uid)
    if head == after or after < known_from:
        return Changes(head, (), (), uid, known_from)
    changed = read_changed(connection, catalog_id, after)
    held = _read_rows(connection, catalog_id, changed)
    there = {row.product_id for row in held}
    return Changes(head, held, [each for each in changed if each not in there], uid, known_from)


def read_changed(connection: Connection, catalog_id: str, after: int) -> list[str]:
    """Return the ids of the products that were written or deleted after a commit."""
    values = {"catalog_id": catalog_id, "after": after}
    return list(connection.execute(_CHANGED, values).scalars())


def read_product_rows(
    connection: Connection, catalog_id: str, product_ids: Sequence[str]
) -> Changes:
    """Return the products that exist; no other changes."""
    head, uid, known_from = _head(connection, catalog_id)
    return Changes(head, _read_rows(connection, catalog_id, product_ids), (), uid, known_from)


def read_stamped(
    connection: Connection, catalog_id: str, product_ids: Sequence[str]
) -> tuple[dict[str, Product], Stamp]:
    """Return the products that exist, and the commit of which they are."""
    head, uid, _ = _head(connection, catalog_id)
    return read_products(connection, catalog_id, product_ids), Stamp(uid, head)


def _head(connection: Connection, catalog_id: str) -> tuple[int, str, int]:
    found = connection.execute(_HEAD, {"catalog_id": catalog_id}).one()
    return int(found.seq or 0), found.uid or "", int(found.known_from or 0)


def _read_rows(
    connection: Connection, catalog_id: str, product_ids: Sequence[str]
) -> list[ProductRow]:
    of = {"catalog_id": catalog_id}
    return [_row(row) for row in conditions.look_up(connection, _BY_ID, product_ids, of)]


def _row(row: Any) -> ProductRow:
    return ProductRow(row.product_id, row._mapping, from_signed(row.perceptual_hash))


def read_photo_rows(
    connection: Connection, generation: Generation, product_ids: Sequence[str] | None
) -> list[PhotoRow]:
    """Return the rows that a generation should hold of these products; None: of all."""
    of, values = statements.ROWS[generation.of_products], statements.version_of(generation)
    row, seq = of.row.c, of.vector.c.seq
    query = of.select(row.row_id, row.product_id, of.image_id, of.position, seq)
    found: Iterable[sa.Row[Any]] = ()
    if product_ids is None:
        found = connection.execute(query, values)
    else:
        chosen = query.where(conditions.among(of.row, "product_id"))
        found = conditions.look_up(connection, chosen, product_ids, values)
    return [PhotoRow._make(each) for each in found]


def read_photo_rows_since(
    connection: Connection, generation: Generation, after: int
) -> tuple[list[str], list[PhotoRow]]:
    """Return the products that changed after a commit, and the rows that a generation should hold
    of them."""
    changed = read_changed(connection, generation.catalog_id, after)
    return changed, read_photo_rows(connection, generation, changed)


def read_first_vectors(
    connection: Connection, generation: Generation, product_ids: Sequence[str]
) -> dict[str, Floats]:
    """Return by product the vector of its first photo, if it has one."""
    if generation.of_products:
        return {}
    found = conditions.look_up(connection, _FIRST, product_ids, statements.version_of(generation))
    return {row.product_id: statements.to_floats(row.data) for row in found}


def count_products(connection: Connection, catalog_id: str, most: int) -> int:
    """Return the number of products, at most `most`."""
    return statements.count(connection, _COUNT, most, {"catalog_id": catalog_id})


def read_means(
    connection: Connection, generation: Generation, after: str, limit: int
) -> list[tuple[str, Floats]]:
    """Return the first products after `after` with a vector, by id, each with the mean of its
    photos' vectors, or its own."""
    of, values = statements.ROWS[generation.of_products], statements.version_of(generation)
    product_id = of.row.c.product_id
    page = of.select(product_id).where(product_id > after).distinct()
    page = page.order_by(product_id).limit(limit)
    chosen = connection.execute(page, values).scalars().all()
    if not chosen:
        return []
    # In a fixed order, so that equal photos give a bit-identical mean.
    order = (product_id,) if generation.of_products else (product_id, of.position)
    query = of.select(product_id, of.vector.c.data).order_by(*order)
    query = query.where(product_id > after, product_id <= chosen[-1])
    return [
        (product, _mean([statements.to_floats(row.data) for row in rows]))
        for product, rows in groupby(connection.execute(query, values), lambda row: row.product_id)
    ]


def _mean(vectors: Sequence[Floats]) -> Floats:
    return np.asarray(np.mean(vectors, axis=0, dtype=np.float64), "<f4")
