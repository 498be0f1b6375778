"""The catalogue: products in, out, listed and deleted.

Each use case takes its collaborators as parameters. Photos are checked and durable before the
transaction that mentions them begins; a write is acknowledged when that transaction is committed.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from retriever.columns.keeper import Columns, View
from retriever.domain.model import (
    Amount,
    Attribute,
    Image,
    ImageDraft,
    ImageNotFound,
    ImageRejected,
    Order,
    Product,
    ProductContent,
    ProductDraft,
    ProductInvalid,
    ProductWrite,
    Stored,
)
from retriever.ports.all import CatalogueRecord, Photos
from servicekit import requests
from servicekit.errors import FieldViolation, ServiceError
from servicekit.fetch import UriForbidden, UriUnreadable
from servicekit.requests import PageTokenInvalid, RequestInvalid
from sightline_rules import categories, filters, ids
from sightline_rules.filters import Availability, Filter, Money
from sightline_rules.rejections import Rejection, rejection

MAX_UPSERT = 100
MAX_GET = 1_000
MAX_DELETE = 1_000
MAX_PAGE = 1_000
DEFAULT_PAGE = 50
MAX_SCAN = 5_000
"""Products looked at for one page: a filter that few pass gives short pages, not slow ones."""

_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_ATTRIBUTE_KEY = re.compile(r"[a-z0-9_.-]{1,64}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7}")
_URI = re.compile(r"https?://[^\s\x00-\x1f\x7f-\x9f]+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Unicode's category Cc but for line feed, carriage return and tab."""

Note = Callable[[str, str], None]
"""Takes down a field, relative to the product, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list."""

    products: list[Product]
    next_token: str
    """Empty = this is the last page."""


@dataclass(frozen=True, slots=True)
class Found:
    """Products asked for by id, in the order asked."""

    view: View
    places: list[int]
    """In the view's table, of those that pass."""
    missing: list[str]
    filtered: list[str]


async def upsert(
    catalog_id: str, drafts: Sequence[ProductDraft], record: CatalogueRecord, photos: Photos
) -> tuple[list[Stored | ServiceError], int]:
    """Store products, each with an outcome of its own; and the record's newest seq."""
    check_count("products", len(drafts), MAX_UPSERT)
    again = repeated([draft.product_id for draft in drafts], "products[{}].product_id")
    prepared = await asyncio.gather(
        *(
            prepare(catalog_id, draft, f"products[{index}]", photos, again.get(index))
            for index, draft in enumerate(drafts)
        )
    )
    writes = [write for write in prepared if isinstance(write, ProductWrite)]
    outcomes, seq = await record.write(catalog_id, writes)
    stored = iter(outcomes)
    return [w if isinstance(w, ServiceError) else next(stored) for w in prepared], seq


async def batch_get(
    catalog_id: str,
    product_ids: Sequence[str],
    condition: Filter,
    columns: Columns,
    *,
    beside: Sequence[str] = (),
) -> Found:
    """Products by id; an id asked for twice is answered twice. `beside`: products that the columns
    are to hold too, whatever the filter says."""
    check_count("product_ids", len(product_ids), MAX_GET)
    view = await columns.of(catalog_id, list(dict.fromkeys([*product_ids, *beside])))
    places = view.table.places(product_ids)
    passing = view.conditions.passing(condition, places)
    return Found(
        view,
        places[passing].tolist(),
        [product_ids[row] for row in np.flatnonzero(places < 0).tolist()],
        [product_ids[row] for row in np.flatnonzero((places >= 0) & ~passing).tolist()],
    )


async def rejections(
    catalog_id: str, product_ids: Sequence[str], condition: Filter, record: CatalogueRecord
) -> dict[str, Rejection]:
    """Why products do not pass a filter, of those that do not."""
    held = await record.get(catalog_id, list(dict.fromkeys(product_ids)))
    why = {name: rejection(condition, product.facts) for name, product in held.items()}
    return {name: found for name, found in why.items() if found is not None}


async def list_products(
    catalog_id: str,
    record: CatalogueRecord,
    *,
    condition: Filter,
    order: Order,
    page_size: int,
    page_token: str,
    doubted_only: bool = False,
) -> Page:
    """A page of the products that pass. A page may be short, or empty, and yet not the last."""
    wanted = requests.page_size(page_size, DEFAULT_PAGE, MAX_PAGE)
    context = _list_context(catalog_id, order, condition, doubted_only=doubted_only)
    place = requests.page_place(page_token, (context,), int, str)
    after = _checked_place(*place) if place else None
    kept: list[Product] = []
    scanned = 0
    while scanned < MAX_SCAN:
        limit = max(wanted, 200)
        batch = await record.page(catalog_id, order, after, limit, doubted_only=doubted_only)
        for product in batch:
            scanned += 1
            after = _position(order, product)
            if filters.passes(condition, product.facts):
                kept.append(product)
                if len(kept) == wanted:
                    return Page(kept, requests.page_token((context,), *after))
        if len(batch) < limit:
            return Page(kept, "")
    return Page(kept, requests.page_token((context,), *after) if after else "")


async def delete(
    catalog_id: str, product_ids: Sequence[str], record: CatalogueRecord
) -> tuple[int, int]:
    """How many of the products existed, and the record's newest seq."""
    check_count("product_ids", len(product_ids), MAX_DELETE)
    return await record.delete(catalog_id, product_ids)


async def get_image(
    catalog_id: str, image_id: str, record: CatalogueRecord, photos: Photos
) -> tuple[Image, bytes]:
    """A stored photo and its bytes."""
    image = await record.image(catalog_id, image_id)
    if image is None:
        raise ImageNotFound("image_id")
    return image, await photos.get(catalog_id, image_id)


def check_count(field: str, number: int, most: int) -> None:
    """Raises RequestInvalid unless a repeated field has 1 to `most` entries."""
    if not 1 <= number <= most:
        raise RequestInvalid(FieldViolation(field, f"has {number} entries; 1 to {most} are taken"))


# Products in


def repeated(product_ids: Sequence[str], path: str) -> dict[int, FieldViolation]:
    """What is wrong with each place that names a product of a place before; `path` has a {}."""
    first: dict[str, int] = {}
    wrong = {}
    for index, product_id in enumerate(product_ids):
        known = first.setdefault(product_id, index)
        if known != index:
            description = f"is also the id of {path.format(known).partition('.')[0]}"
            wrong[index] = FieldViolation(path.format(index), description)
    return wrong


async def prepare(
    catalog_id: str,
    draft: ProductDraft,
    path: str,
    photos: Photos,
    wrong: FieldViolation | None = None,
) -> ProductWrite | ServiceError:
    """The write, with its new photos stored; or why not. `wrong`: what is known to be wrong."""
    if wrong is not None:
        return ProductInvalid(wrong)
    try:
        content = check_product(draft, path)
        image_ids, new = await take_images(catalog_id, draft.images, path, photos)
    except ServiceError as error:
        return error
    return ProductWrite(replace(content, image_ids=image_ids), new, draft.etag, path)


async def take_images(
    catalog_id: str, given: Sequence[ImageDraft], path: str, photos: Photos
) -> tuple[tuple[str, ...], dict[str, Image]]:
    """The ids of a product's photos, no one twice, and the photos whose bytes came, now stored."""
    new: dict[str, Image] = {}
    image_ids: dict[str, None] = {}
    for index, item in enumerate(given):
        if item.content or item.uri or not item.image_id:  # 0 bytes are no photo
            image = await _take(catalog_id, item, f"{path}.images[{index}]", photos)
            new[image.image_id] = image
            image_ids[image.image_id] = None
        else:
            image_ids[item.image_id] = None
    return tuple(image_ids), new


async def _take(catalog_id: str, given: ImageDraft, path: str, photos: Photos) -> Image:
    """Check and store one photo, fetched first if only its address is given."""
    try:
        content = await photos.fetch(given.uri) if given.uri else given.content
        info = await photos.inspect(content)
    except (UriForbidden, UriUnreadable) as error:
        raise error.at(f"{path}.uri") from error
    except ImageRejected as error:
        field = "uri" if given.uri else "content"
        raise ImageRejected(error.reason, error.message, f"{path}.{field}") from error
    if given.image_id and given.image_id != info.image_id:
        raise ProductInvalid(
            FieldViolation(f"{path}.image_id", "is not the SHA-256 of the content")
        )
    await photos.put(catalog_id, info.image_id, content)
    return Image(
        info.image_id,
        info.media_type,
        len(content),
        info.width,
        info.height,
        info.perceptual_hash,
    )


def check_product(draft: ProductDraft, path: str) -> ProductContent:
    """The product's content but for its photos. Raises ProductInvalid with all that is wrong."""
    wrong: list[FieldViolation] = []

    def note(field: str, description: str) -> None:
        wrong.append(FieldViolation(f"{path}.{field}", description))

    for field, value in (("product_id", draft.product_id), ("parent_id", draft.parent_id)):
        if field == "product_id" or value:
            try:
                ids.check_id(value)
            except ids.IdInvalidError as error:
                note(field, str(error))
    if draft.parent_id and draft.parent_id == draft.product_id:
        note("parent_id", "must not be the product itself")
    _check_text(note, "title", draft.title, 1, 512)
    _check_text(note, "description", draft.description, 0, 16_384)
    _check_text(note, "brand", draft.brand, 0, 256)
    try:
        categories.check_path(draft.category_path)
    except categories.CategoryInvalidError as error:
        note("category_path", str(error))
    _check_tags(note, draft.tags)
    attributes = _check_attributes(note, draft.attributes)
    _check_images(note, draft.images)
    if draft.language_code and not _LANGUAGE.fullmatch(draft.language_code):
        note("language_code", 'must be a BCP 47 code, like "en" or "zh-Hans"')
    if draft.uri and not (len(draft.uri) <= 2_048 and _URI.fullmatch(draft.uri)):
        note("uri", "must be an http or https address of at most 2,048 characters")
    if draft.availability is None:
        note("availability", "is not one of the known values")
    price = check_price(note, draft.price)
    if wrong:
        raise ProductInvalid(*wrong)
    return ProductContent(
        product_id=draft.product_id,
        title=draft.title,
        parent_id=draft.parent_id,
        description=draft.description,
        category_path=draft.category_path,
        brand=draft.brand,
        price=price,
        availability=draft.availability or Availability.IN_STOCK,
        tags=draft.tags,
        attributes=attributes,
        language_code=draft.language_code,
        uri=draft.uri,
    )


def _check_text(note: Note, field: str, text: str, least: int, most: int) -> None:
    if not least <= len(text) <= most:
        note(field, f"has {len(text)} characters; {least} to {most} are taken")
    elif _CONTROL.search(text):
        note(field, "must not contain control characters")


def _check_tags(note: Note, tags: Sequence[str]) -> None:
    if len(tags) > 64:
        note("tags", f"has {len(tags)} entries; at most 64 are taken")
    for index, tag in enumerate(tags[:64]):
        _check_text(note, f"tags[{index}]", tag, 1, 128)
    if len(set(tags)) != len(tags):
        note("tags", "holds a tag twice")


def _check_attributes(
    note: Note, given: Sequence[tuple[str, str | float | bool | None]]
) -> tuple[Attribute, ...]:
    if len(given) > 128:
        note("attributes", f"has {len(given)} entries; at most 128 are taken")
    kinds: dict[str, type] = {}
    checked = []
    for index, (key, value) in enumerate(given[:128]):
        field = f"attributes[{index}]"
        if not _ATTRIBUTE_KEY.fullmatch(key):
            note(f"{field}.key", "must be 1 to 64 of a-z, 0-9, _, . and -")
        if value is None:
            note(field, "has no value")
            continue
        if isinstance(value, str) and not 1 <= len(value.encode()) <= 512:
            note(f"{field}.text", "must have 1 to 512 bytes")
        if isinstance(value, float) and not isfinite(value):
            note(f"{field}.number", "must be finite")
        if key in kinds and not (kinds[key] is str and isinstance(value, str)):
            note(f"{field}.key", "is given twice; only texts may repeat")
        kinds[key] = type(value)
        checked.append(Attribute(key, value))
    return tuple(checked)


def _check_images(note: Note, given: Sequence[ImageDraft]) -> None:
    if len(given) > 20:
        note("images", f"has {len(given)} entries; at most 20 are taken")
    for index, image in enumerate(given[:20]):
        if image.image_id and not _IMAGE_ID.fullmatch(image.image_id):
            note(f"images[{index}].image_id", "must be 64 lower-case hexadecimal digits")
        if image.content and image.uri:
            note(f"images[{index}]", "has both content and uri; give one")


def check_price(note: Note, given: Amount | None) -> Money | None:
    """The price; what is wrong with it is noted under `price`."""
    if given is None:
        return None
    try:
        filters.check_currency(given.currency, "")
    except filters.FilterInvalidError as error:
        note("price.currency_code", error.description)
    if not 0 <= given.nanos < 1_000_000_000 or given.nanos % 1_000:
        note("price.nanos", "must be from 0 to 999,999,999 with at most six decimals")
        return None
    micros = given.units * 1_000_000 + given.nanos // 1_000
    if not 0 <= micros < 2**63:
        note("price.units", "must be an amount from 0 to about 9.2e12")
        return None
    return Money(given.currency, micros)


# Page tokens


def _list_context(
    catalog_id: str, order: Order, condition: Filter, *, doubted_only: bool = False
) -> str:
    """What a page token is good for: the same list only."""
    asked = (catalog_id, order, condition, *(["doubted"] if doubted_only else []))
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]


def _position(order: Order, product: Product) -> tuple[int, str]:
    return (product.create_time if order is Order.NEWEST else 0, product.content.product_id)


def _checked_place(time: int, product_id: str) -> tuple[int, str]:
    """A place that a product can have: a token is no secret, and a caller may make one."""
    try:
        ids.check_id(product_id)
    except ids.IdInvalidError as error:
        raise PageTokenInvalid from error
    if time < 0:
        raise PageTokenInvalid
    return time, product_id
