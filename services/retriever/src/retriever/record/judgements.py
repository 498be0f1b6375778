"""Writes of the photos that contradict the categories of their products."""

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.category_mismatch import (
    CategoryMismatch,
    CategoryPath,
    Classification,
    category_mismatch,
)
from retriever.domain.generation import Generation
from retriever.record.queueing import queue_up
from retriever.record.statements import same
from retriever.record.tables import mismatches, product_images, products
from servicekit.sql.conditions import among, chunks, look_up
from servicekit.sql.resources import put
from sightline_rules import categories

_USERS = (
    sa.select(product_images.c.image_id, product_images.c.product_id, products.c.category)
    .select_from(product_images.join(products, same(products, product_images)))
    .where(among(product_images, "image_id"))
    .distinct()
)


def judge(
    connection: Connection,
    generation: Generation,
    classifications: Mapping[str, Classification],
    known: Collection[CategoryPath],
) -> None:
    """Update which photos contradict their products' categories.

    `classifications`: by photo, by the generation's version. `known`: as in
    domain/category_mismatch.py.
    """
    catalog_id = generation.catalog_id
    queue_up(connection, catalog_id)  # a product may be deleted at this moment
    for chunk in chunks(list(classifications)):
        mine = mismatches.c.catalog_id == catalog_id, mismatches.c.image_id.in_(chunk)
        connection.execute(sa.delete(mismatches).where(*mine))
    rows = []
    for user in look_up(connection, _USERS, classifications, {"catalog_id": catalog_id}):
        own, photo = categories.split(user.category), classifications[user.image_id]
        found = category_mismatch(own, photo, known, user.image_id, generation.space_version)
        if found is not None:
            rows.append(_values(catalog_id, user.product_id, user.category, found))
    put(connection, mismatches, rows)


def _values(
    catalog_id: str, product_id: str, category: str, found: CategoryMismatch
) -> dict[str, Any]:
    instead = found.instead
    return {
        "catalog_id": catalog_id,
        "product_id": product_id,
        "image_id": found.image_id,
        "category": category,
        "probability": found.probability,
        "instead": "" if instead is None else categories.join(instead.path),
        "instead_probability": 0.0 if instead is None else instead.probability,
        "space_version": found.space_version,
    }
