"""Products and photos: rows to values and back."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain import product
from retriever.record.category_mismatches import MISMATCHED
from retriever.record.hashes import from_signed
from retriever.record.parts import PHOTO, among, look_up, on
from retriever.record.tables import images, product_images, products
from servicekit import deadlines
from sightline_rules import categories
from sightline_rules.facts import Facts, by_key, passes
from sightline_rules.filters import All, Availability, Filter, Money, Time

FACTS = (
    products.c.category,
    products.c.brand,
    products.c.title,
    products.c.price_micros,
    products.c.currency,
    products.c.availability,
    products.c.tags,
    products.c.attributes,
    products.c.create_time,
    products.c.update_time,
)
"""The columns that filters may ask for."""

_CONTENT = (
    products.c.product_id,
    products.c.parent_id,
    products.c.title,
    products.c.description,
    products.c.category,
    products.c.brand,
    products.c.price_micros,
    products.c.currency,
    products.c.availability,
    products.c.tags,
    products.c.attributes,
    products.c.language_code,
    products.c.uri,
    products.c.create_time,
    products.c.update_time,
    products.c.etag,
    products.c.seq,
)
_NAMES = tuple(column.name for column in _CONTENT[:13])
"""What `content_values` returns."""
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
"""Built once: searches and offers ask them all day."""


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
    """By id, undecoded: for those who change a few values of many products."""
    photos = _image_ids(connection, catalog_id, product_ids)
    found: dict[str, StoredContent] = {}
    for row in look_up(connection, _PRODUCTS, product_ids, {"catalog_id": catalog_id}):
        held = dict(zip(_NAMES, row, strict=False))
        found[row[0]] = StoredContent(held, tuple(photos.get(row[0], ())), row.etag)
    return found


def _image_ids(
    connection: Connection, catalog_id: str, product_ids: Sequence[str]
) -> dict[str, list[str]]:
    """By product, the ids of its photos in order."""
    photos: dict[str, list[str]] = {}
    found = look_up(connection, _IMAGE_IDS, product_ids, {"catalog_id": catalog_id})
    for row in found:
        photos.setdefault(row.product_id, []).append(row.image_id)
    return photos


def read_image_ids(
    connection: Connection, catalog_id: str, product_ids: Sequence[str]
) -> dict[str, frozenset[str]]:
    photos = _image_ids(connection, catalog_id, product_ids)
    return {product_id: frozenset(held) for product_id, held in photos.items()}


def read_products(
    connection: Connection, catalog_id: str, product_ids: Sequence[str]
) -> dict[str, product.Product]:
    of = {"catalog_id": catalog_id}
    photos: dict[str, list[product.Image]] = {}
    for row in look_up(connection, _PHOTOS, product_ids, of):
        photos.setdefault(row.product_id, []).append(_to_image(row[1:]))
    found = look_up(connection, _PRODUCTS, product_ids, of)
    return {row[0]: _to_product(row, tuple(photos.get(row[0], ()))) for row in found}


def read_page(
    connection: Connection,
    catalog_id: str,
    order: product.Order,
    after: tuple[int, str] | None,
    limit: int,
    *,
    mismatched_only: bool = False,
) -> list[product.Product]:
    c = products.c
    query = sa.select(c.product_id).where(c.catalog_id == catalog_id).limit(limit)
    if mismatched_only:
        query = query.where(MISMATCHED)
    if order is product.Order.NEWEST:
        query = query.order_by(c.create_time.desc(), c.product_id)
        if after is not None:
            same = sa.and_(c.create_time == after[0], c.product_id > after[1])
            query = query.where(sa.or_(c.create_time < after[0], same))
    else:
        query = query.order_by(c.product_id)
        if after is not None:
            query = query.where(c.product_id > after[1])
    while True:
        order_of = list(connection.execute(query).scalars())
        found = read_products(connection, catalog_id, order_of)
        # PostgreSQL: one may have been deleted since, and a short page is a list's end.
        if len(found) == len(order_of):
            return [found[product_id] for product_id in order_of]


def _to_product(row: Sequence[Any], photos: tuple[product.Image, ...]) -> product.Product:
    """`row`: _CONTENT. Taken by place, as names cost a third of the time of 200 products."""
    product_id, parent_id, title, description, category, brand, micros, currency, *more = row
    availability, tags, attributes, language_code, uri, created, updated, etag, seq = more
    content = product.ProductContent(
        product_id=product_id,
        parent_id=parent_id,
        title=title,
        description=description,
        category_path=categories.split(category),
        brand=brand,
        price=None if micros is None else Money(currency, micros),
        availability=Availability(availability),
        tags=_tags(tags),
        attributes=_attributes(attributes),
        image_ids=tuple(image.image_id for image in photos),
        language_code=language_code,
        uri=uri,
    )
    return product.Product(content, photos, created, updated, etag, seq)


@lru_cache(maxsize=10_000)  # most products share theirs with others, or have none
def _tags(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


@lru_cache(maxsize=10_000)
def _attributes(text: str) -> tuple[product.Attribute, ...]:
    return tuple(product.Attribute(key, value) for key, value in json.loads(text))


def to_facts(row: Any) -> Facts:
    """What filters may ask, of a row with FACTS."""
    return Facts(
        category=row.category,
        brand=row.brand,
        title=row.title,
        price=None if row.price_micros is None else Money(row.currency, row.price_micros),
        availability=Availability(row.availability),
        tags=frozenset(json.loads(row.tags)),
        attributes=by_key(json.loads(row.attributes)),
        create_time=Time(row.create_time),
        update_time=Time(row.update_time),
    )


def passing(rows: Iterable[Any], condition: Filter) -> Iterator[Any]:
    """Those of some rows with FACTS that pass. Raises DeadlineExceeded when nobody waits for them
    any more."""
    everything = condition == All()
    for row in rows:
        deadlines.check()
        if everything or passes(condition, to_facts(row)):
            yield row


def read_part(connection: Connection, catalog_id: str, part: product.CatalogPart) -> product.Tally:
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
    return product.Tally(passed, last)


def read_image(connection: Connection, catalog_id: str, image_id: str) -> product.Image | None:
    query = sa.select(*_PHOTO).where(on(images, catalog_id=catalog_id, image_id=image_id))
    row = connection.execute(query).first()
    return None if row is None else _to_image(row)


def _to_image(row: Sequence[Any]) -> product.Image:
    """`row`: _PHOTO."""
    image_id, media_type, size, width, height, hashed = row
    return product.Image(image_id, media_type, size, width, height, from_signed(hashed))


def content_values(content: product.ProductContent) -> dict[str, Any]:
    return {
        "product_id": content.product_id,
        "parent_id": content.parent_id,
        "title": content.title,
        "description": content.description,
        "category": categories.join(content.category_path),
        "brand": content.brand,
        "price_micros": content.price.micros if content.price else None,
        "currency": content.price.currency if content.price else None,
        "availability": str(content.availability),
        "tags": json.dumps(content.tags, ensure_ascii=False),
        "attributes": json.dumps(
            [[item.key, item.value] for item in content.attributes], ensure_ascii=False
        ),
        "language_code": content.language_code,
        "uri": content.uri,
    }


def content_etag(content: product.ProductContent) -> str:
    return values_etag(content_values(content), content.image_ids)


def values_etag(values: Mapping[str, Any], image_ids: Sequence[str]) -> str:
    """`values`: of `content_values`."""
    text = json.dumps([values, image_ids], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
