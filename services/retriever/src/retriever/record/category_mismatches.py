"""Photos that contradict the categories of their products.

A mismatch is stored with the contradicted category. It applies while the product has that category
and that photo, so changing either needs no cleanup.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.category_mismatch import (
    CategoryGuess,
    CategoryMismatch,
)
from retriever.domain.product import Product
from retriever.record.statements import same
from retriever.record.tables import mismatches, product_images, products
from servicekit.sql.conditions import among, look_up, on
from sightline_rules import categories

_OF_PRODUCTS = sa.select(mismatches).where(among(mismatches, "product_id"))
_HOLDS = sa.and_(
    mismatches.c.category == products.c.category,
    sa.exists().where(
        on(
            product_images,
            catalog_id=mismatches.c.catalog_id,
            product_id=mismatches.c.product_id,
            image_id=mismatches.c.image_id,
        )
    ),
)
MISMATCHED = sa.exists().where(same(mismatches, products), _HOLDS).correlate(products)
"""SQL condition on products: a photo contradicts the product's category."""
_COUNTS = (
    sa.select(mismatches.c.catalog_id, sa.func.count(sa.distinct(mismatches.c.product_id)))
    .select_from(mismatches.join(products, sa.and_(same(mismatches, products), _HOLDS)))
    .where(mismatches.c.catalog_id.in_(sa.bindparam("catalogs", expanding=True)))
    .group_by(mismatches.c.catalog_id)
)


def read_mismatches(
    connection: Connection, catalog_id: str, products: Sequence[Product]
) -> dict[str, CategoryMismatch]:
    """Return, by product, the mismatch with the least probable category; among equals, that of the
    first photo."""
    held = {product.content.product_id: product.content for product in products}
    worst: dict[str, tuple[float, int, CategoryMismatch]] = {}
    for row in look_up(connection, _OF_PRODUCTS, held, {"catalog_id": catalog_id}):
        content = held[row.product_id]
        if row.category != categories.join(content.category_path):
            continue
        if row.image_id not in content.image_ids:
            continue
        place = content.image_ids.index(row.image_id)
        mine = row.probability, place, _to_mismatch(row)
        worst[row.product_id] = min(worst.get(row.product_id, mine), mine, key=lambda one: one[:2])
    return {product_id: each for product_id, (_, _, each) in worst.items()}


def count_mismatched(connection: Connection, catalogs: Sequence[str]) -> dict[str, int]:
    """Return by catalog the number of products with a photo that contradicts their category;
    catalogs without any are left out."""
    return {row[0]: row[1] for row in connection.execute(_COUNTS, {"catalogs": catalogs})}


def _to_mismatch(row: sa.Row[Any]) -> CategoryMismatch:
    path = categories.split(row.instead)
    instead = CategoryGuess(path, row.instead_probability) if path else None
    return CategoryMismatch(row.image_id, row.probability, instead, row.space_version)
