"""Labelled photos of a catalog, for fitting a space."""

import json
from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.fit_plan import Label
from retriever.record.hashes import from_signed
from retriever.record.statements import PHOTO, same
from retriever.record.tables import images, product_images, products
from servicekit.sql.conditions import among, look_up
from sightline_rules import categories

_P, _I = products.c, product_images.c
_PAGE = (
    sa.select(_P.product_id)
    .where(_P.catalog_id == sa.bindparam("catalog_id"), _P.product_id > sa.bindparam("after"))
    .order_by(_P.product_id)
    .limit(sa.bindparam("most"))
)
_LABELS = (
    sa.select(
        _P.product_id,
        _P.parent_id,
        _P.title,
        _P.category,
        _P.tags,
        _I.image_id,
        images.c.perceptual_hash,
        images.c.create_time,
    )
    .select_from(product_images.join(products, same(products, product_images)).join(images, PHOTO))
    .where(
        _I.catalog_id == sa.bindparam("catalog_id"),
        _I.product_id > sa.bindparam("after"),
        _I.product_id <= sa.bindparam("last"),
    )
    .order_by(_I.product_id, _I.position)
)

_TAGS = (
    sa.select(_I.image_id, _P.tags)
    .select_from(product_images.join(products, same(products, product_images)))
    .where(among(product_images, "image_id"))
)


def read_tagged(
    connection: Connection, catalog_id: str, image_ids: Sequence[str], tags: Collection[str]
) -> frozenset[str]:
    """Return the photos of products with one of the tags."""
    found = look_up(connection, _TAGS, image_ids, {"catalog_id": catalog_id})
    return frozenset(row.image_id for row in found if not {*tags}.isdisjoint(json.loads(row.tags)))


def read_labels(
    connection: Connection, catalog_id: str, after: str, limit: int
) -> tuple[list[Label], str | None]:
    """Return the photos of the first `limit` products after `after`, and the last of these
    products; None if there were none."""
    values = {"catalog_id": catalog_id, "after": after}
    page = list(connection.execute(_PAGE, {**values, "most": limit}).scalars())
    if not page:
        return [], None
    found = connection.execute(_LABELS, {**values, "last": page[-1]})
    return [
        Label(
            image_id=row.image_id,
            product_id=row.product_id,
            parent_id=row.parent_id,
            title=row.title,
            category_path=categories.split(row.category),
            tags=frozenset(json.loads(row.tags)),
            perceptual_hash=from_signed(row.perceptual_hash),
            stored=row.create_time,
        )
        for row in found
    ], page[-1]
