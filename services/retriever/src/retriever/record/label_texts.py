"""Texts of the labels on photos."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.words import labels_of
from retriever.record.statements import PHOTO
from retriever.record.tables import images, product_images
from servicekit.sql.conditions import among, look_up

_UNREAD = (
    sa.select(images.c.image_id)
    .where(images.c.catalog_id == sa.bindparam("catalog_id"), images.c.label.is_(None))
    .order_by(images.c.image_id)
    .limit(sa.bindparam("most"))
)
_SAVE = (
    sa.update(images)
    .where(
        images.c.catalog_id == sa.bindparam("of_catalog"),
        images.c.image_id == sa.bindparam("of_image"),
    )
    .values(label=sa.bindparam("text"))
)
_USERS = sa.select(product_images.c.product_id).where(among(product_images, "image_id"))
_TEXTS = (
    sa.select(product_images.c.product_id, images.c.label)
    .select_from(product_images.join(images, PHOTO))
    .where(product_images.c.catalog_id == sa.bindparam("catalog_id"), images.c.label != "")
)
_OF_PRODUCTS = _TEXTS.where(among(product_images, "product_id"))


def write_label_texts(
    connection: Connection, catalog_id: str, texts: Mapping[str, str]
) -> list[str]:
    """Store the texts of photos. Return the products that have a photo with a text, by id."""
    of = {"of_catalog": catalog_id}
    if rows := [{**of, "of_image": image_id, "text": text} for image_id, text in texts.items()]:
        connection.execute(_SAVE, rows)
    read = [image_id for image_id, text in texts.items() if text]
    users = look_up(connection, _USERS, read, {"catalog_id": catalog_id})
    return sorted({row.product_id for row in users})


def read_unread(connection: Connection, catalog_id: str, limit: int) -> list[str]:
    """Return ids of up to `limit` photos whose labels were not read."""
    values = {"catalog_id": catalog_id, "most": limit}
    return list(connection.execute(_UNREAD, values).scalars())


def read_label_words(
    connection: Connection, catalog_id: str, product_ids: Sequence[str] | None
) -> dict[str, str]:
    """Return the words of the labels of products (None: of all) as Words.labels has them."""
    of = {"catalog_id": catalog_id}
    if product_ids is None:
        rows: Iterable[sa.Row[Any]] = connection.execute(_TEXTS, of)
    else:
        rows = look_up(connection, _OF_PRODUCTS, product_ids, of)
    found = defaultdict[str, list[str]](list)
    for row in rows:
        found[row.product_id].append(row.label)
    return {product_id: labels_of(texts) for product_id, texts in found.items()}
