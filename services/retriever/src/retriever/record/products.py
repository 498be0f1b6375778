"""Products and photos: rows to values and back."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import compress, islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain import field_codecs, product
from retriever.record.category_mismatches import MISMATCHED
from retriever.record.hashes import from_signed
from retriever.record.statements import PHOTO, same
from retriever.record.tables import images, product_images, products
from servicekit import deadlines
from servicekit.sql.conditions import among, look_up, on
from sightline_rules.evaluation.conditions import judged
from sightline_rules.evaluation.work import finish
from sightline_rules.facts import Facts
from sightline_rules.fields import FIELDS, FILTERED, ORDERS, WRITTEN
from sightline_rules.filters import All, Filter

FACTS = tuple(products.c[name] for field in FILTERED for name in field.stored)
"""Columns that filters read."""
_JUDGED = 64
"""Rows whose facts are judged together."""

_NAMES = ("product_id", *(name for field in WRITTEN for name in field.stored))
"""The columns that `content_values` returns."""
_CONTENT = tuple(
    products.c[name]
    for name in (
        *_NAMES,
        *(name for field in FIELDS if not field.written for name in field.stored),
        "etag",
        "seq",
    )
)
_DECODERS = tuple((field, field_codecs.decoder(field)) for field in WRITTEN)
_PARTS = tuple(part.name for part in fields(product.ProductContent))
_cells = field_codecs.cells_writer(WRITTEN)
ADDED = frozenset(name for field in WRITTEN if field.since for name in field.stored)
"""Columns that archives and etags of release 0.15 lack."""
_PHOTO = tuple(images.c[field.name] for field in fields(product.Image))
_PRODUCTS = sa.select(*_CONTENT).where(among(products, "product_id"))
_PHOTOS = (
    sa.select(product_images.c.product_id, *_PHOTO)
    .select_from(product_images.join(images, PHOTO))
    .where(among(product_images, "product_id"))
    .order_by(product_images.c.product_id, product_images.c.position)
)
_IMAGE_IDS = (
    sa.select(product_images.c.product_id, product_images.c.image_id)
    .where(among(product_images, "product_id"))
    .order_by(product_images.c.product_id, product_images.c.position)
)
"""Built once, since searches and offers execute it often."""
_FLAWS = {
    product.ProductFlaw.DOUBTED: MISMATCHED,
    product.ProductFlaw.WITHOUT_PHOTO: ~sa.exists()
    .where(same(product_images, products))
    .correlate(products),
}
"""SQL conditions on products."""


@dataclass(frozen=True, slots=True)
class StoredContent:
    """A product's content as it is stored."""

    values: dict[str, Any]
    """As `content_values` returns them."""
    image_ids: tuple[str, ...]
    etag: str


def read_contents(
    connection: Connection, catalog_id: str, product_ids: Sequence[str]
) -> dict[str, StoredContent]:
    """Return stored contents by product id, for changes to a few values of many products."""
    photos = _image_ids(connection, catalog_id, product_ids)
    found: dict[str, StoredContent] = {}
    for row in look_up(connection, _PRODUCTS, product_ids, {"catalog_id": catalog_id}):
        held = dict(zip(_NAMES, row, strict=False))
        product_id = held["product_id"]
        found[product_id] = StoredContent(held, tuple(photos.get(product_id, ())), row.etag)
    return found


def _image_ids(
    connection: Connection, catalog_id: str, product_ids: Sequence[str]
) -> dict[str, list[str]]:
    """Return by product id the ids of its photos, in order."""
    photos: dict[str, list[str]] = {}
    found = look_up(connection, _IMAGE_IDS, product_ids, {"catalog_id": catalog_id})
    for row in found:
        photos.setdefault(row[0], []).append(row.image_id)
    return photos


def read_image_ids(
    connection: Connection, catalog_id: str, product_ids: Sequence[str]
) -> dict[str, frozenset[str]]:
    """Return by product the photos that it has now; products without photos are left out."""
    photos = _image_ids(connection, catalog_id, product_ids)
    return {product_id: frozenset(held) for product_id, held in photos.items()}


def read_products(
    connection: Connection, catalog_id: str, product_ids: Sequence[str]
) -> dict[str, product.Product]:
    """Return the products that exist."""
    of = {"catalog_id": catalog_id}
    photos: dict[str, list[product.Image]] = {}
    for row in look_up(connection, _PHOTOS, product_ids, of):
        photos.setdefault(row[0], []).append(_to_image(row[1:]))
    return _to_products(list(look_up(connection, _PRODUCTS, product_ids, of)), photos)


def read_page(
    connection: Connection,
    catalog_id: str,
    order: product.ProductOrder,
    after: tuple[int, str] | None,
    limit: int,
    *,
    flaws: Sequence[product.ProductFlaw] = (),
) -> list[product.Product]:
    """Return products in order after the key (create time or 0, product id). `flaws`: only products
    that have all of these."""
    c = products.c
    query = sa.select(c.product_id).where(c.catalog_id == catalog_id).limit(limit)
    query = query.where(*(_FLAWS[flaw] for flaw in flaws))
    if by := ORDERS.get(order.name):
        field, direction = by
        value = c[field.stored[0]]
        query = query.order_by(value.desc() if direction.falling else value, c.product_id)
        if after is not None:
            same = sa.and_(value == after[0], c.product_id > after[1])
            behind = value < after[0] if direction.falling else value > after[0]
            query = query.where(sa.or_(behind, same))
    else:
        query = query.order_by(c.product_id)
        if after is not None:
            query = query.where(c.product_id > after[1])
    while True:
        order_of = list(connection.execute(query).scalars())
        found = read_products(connection, catalog_id, order_of)
        # On PostgreSQL a product may be deleted meanwhile; a short page would mark the end of the
        # list.
        if len(found) == len(order_of):
            return [found[product_id] for product_id in order_of]


def _to_products(
    rows: Sequence[Sequence[Any]], photos: Mapping[str, Sequence[product.Image]]
) -> dict[str, product.Product]:
    """Return by id the products in rows of _CONTENT, decoded by column: a loop over the fields of
    each row takes a third longer. `photos`: by product id."""
    if not rows:
        return {}
    names = (column.name for column in _CONTENT)
    cells = dict(zip(names, zip(*rows, strict=True), strict=True))
    product_ids = cells["product_id"]
    images = [tuple(photos.get(product_id, ())) for product_id in product_ids]
    parts: dict[str, Iterable[Any]] = {
        "product_id": product_ids,
        "image_ids": [tuple([image.image_id for image in of]) for of in images],
    }
    for field, decode in _DECODERS:
        parts[field.wire] = map(decode, *(cells[name] for name in field.stored))
    contents = map(product.ProductContent, *(parts[name] for name in _PARTS))
    of_record = (cells[name] for name in ("create_time", "update_time", "etag", "seq"))
    return dict(zip(product_ids, map(product.Product, contents, images, *of_record), strict=True))


def to_facts(row: Any) -> Facts:
    """Return the facts in a row of FACTS."""
    return field_codecs.read_facts(row._mapping)


def passing(rows: Iterable[Any], condition: Filter) -> Iterator[Any]:
    """Yield the rows (with FACTS) that pass the filter. Raise DeadlineExceeded after the caller's
    deadline."""
    if condition == All():
        for row in rows:
            deadlines.check()
            yield row
        return
    left = iter(rows)
    while some := list(islice(left, _JUDGED)):
        passed = finish(judged(condition, map(to_facts, some)), deadlines.check)
        yield from compress(some, passed.tolist())


def read_part(
    connection: Connection, catalog_id: str, part: product.CatalogPart
) -> product.PartTally:
    """Return the products in a part of the catalog."""
    c = products.c
    place = sa.tuple_(c.touched, c.product_id)
    query = (
        sa.select(c.touched, c.product_id, *FACTS)
        .where(c.catalog_id == catalog_id, c.touched < part.before)
        .order_by(c.touched, c.product_id)
        .limit(part.limit)
    )
    if part.after is not None:
        query = query.where(place > sa.tuple_(*part.after))
    rows = connection.execute(query).all()
    passed = tuple(row.product_id for row in passing(rows, part.condition))
    last = (rows[-1].touched, rows[-1].product_id) if len(rows) == part.limit else None
    return product.PartTally(passed, last)


def read_image(connection: Connection, catalog_id: str, image_id: str) -> product.Image | None:
    """Return the record of a photo, or None."""
    query = sa.select(*_PHOTO).where(on(images, catalog_id=catalog_id, image_id=image_id))
    row = connection.execute(query).first()
    return None if row is None else _to_image(row)


def _to_image(row: Sequence[Any]) -> product.Image:
    """Return the photo in a row of _PHOTO."""
    image_id, media_type, size, width, height, hashed = row
    return product.Image(image_id, media_type, size, width, height, from_signed(hashed))


def content_values(content: product.ProductContent) -> dict[str, Any]:
    """Return the cells of a product's content, by column."""
    values = _cells(content)
    values["product_id"] = content.product_id
    return values


def content_etag(content: product.ProductContent) -> str:
    return values_etag(content_values(content), content.image_ids)


UNSHOWN = tuple(name for field in WRITTEN if not field.shown for name in field.stored)
"""Columns that etags leave out: callers see etags and could guess these values."""


def unshown_of(values: Any) -> tuple[Any, ...]:
    """Return the cells of UNSHOWN from a mapping by column."""
    return tuple(values[name] for name in UNSHOWN)


def values_etag(values: Mapping[str, Any], image_ids: Sequence[str]) -> str:
    """Return the etag of a content's cells (`content_values`) and photos.

    Fields added later are covered only if the product has them, so that etags of other products
    stay unchanged.
    """
    covered = dict(values)
    for name in _NOT_ALWAYS_COVERED:
        if name in UNSHOWN or covered.get(name) is None:
            covered.pop(name, None)
    return hashlib.sha256(_sorted_json([covered, image_ids]).encode()).hexdigest()[:32]


_NOT_ALWAYS_COVERED = ADDED.union(UNSHOWN)
_sorted_json = json.JSONEncoder(sort_keys=True).encode
