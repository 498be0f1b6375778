"""Texts of the labels on photos."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.words import labels_of
from retriever.record.computed import ComputedColumn, users_of
from retriever.record.statements import PHOTO, among, look_up
from retriever.record.tables import images, product_images

LABELS = ComputedColumn("label")
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
    LABELS.save(connection, catalog_id, texts)
    return users_of(connection, catalog_id, [image_id for image_id, text in texts.items() if text])


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
