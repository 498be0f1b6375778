"""Use cases of the catalog: store, read, list and delete products.

Each takes its collaborators as parameters. Photos are checked and durable before the transaction
that mentions them begins; a write is acknowledged after its commit.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from retriever.catalog.images import CatalogPhotos, take_images
from retriever.columns.column_cache import Columns, View
from retriever.columns.listing import Position, first_positions
from retriever.columns.products import each_passes, filter_steps
from retriever.domain.errors import ImageNotFound, ProductInvalid
from retriever.domain.product import (
    Image,
    Product,
    ProductDraft,
    ProductFlaw,
    ProductOrder,
    ProductWrite,
    Stored,
)
from retriever.domain.validation import check_product
from retriever.ports.photos import Photos
from retriever.record import Record
from servicekit.errors import FieldViolation, ServiceError
from servicekit.rpc import requests
from servicekit.rpc.requests import PageTokenInvalid, check_count
from servicekit.tasks.off_loop import off_loop
from sightline_rules import ids
from sightline_rules.fast_dataclass import fast_dataclass
from sightline_rules.fields import ORDERS
from sightline_rules.filters import All, Filter
from sightline_rules.rejections import Rejection, rejections_of

MAX_UPSERT = 100
MAX_GET = 1_000
MAX_DELETE = 1_000
MAX_PAGE = 1_000
DEFAULT_PAGE = 50
MAX_SCAN = 5_000
"""Products scanned for one page: a selective filter gives short pages, not slow ones."""


@fast_dataclass(frozen=True, slots=True)
class Page:
    """Part of a list."""

    products: list[Product]
    next_token: str
    """Empty on the last page."""


@fast_dataclass(frozen=True, slots=True)
class PlacesPage:
    """Part of a list, on columns."""

    view: View
    places: list[int]
    """In the view's table."""
    next_token: str
    """Empty on the last page."""


@fast_dataclass(frozen=True, slots=True)
class FoundProducts:
    """Products requested by id, in the order of the request."""

    view: View
    places: list[int]
    """In the view's table, of those that pass."""
    missing: list[str]
    filtered: list[str]

    def titles(self, product_ids: Sequence[str], market_id: str) -> dict[str, str]:
        """Return the titles of some products, whether requested or not, in a market."""
        table = self.view.table
        places = zip(product_ids, table.places(product_ids).tolist(), strict=True)
        named = ((each, table.title(place, market_id)) for each, place in places if place >= 0)
        return {each: title for each, title in named if title}


async def upsert(
    catalog_id: str, drafts: Sequence[ProductDraft], record: Record, photos: Photos
) -> tuple[list[Stored | ServiceError], int]:
    """Store products. Return an outcome for each, and the record's newest seq."""
    check_count("products", len(drafts), MAX_UPSERT)
    again = repeated([draft.product_id for draft in drafts], "products[{}].product_id")
    store = CatalogPhotos(catalog_id, photos)
    prepared = await asyncio.gather(
        *(
            prepare(draft, f"products[{index}]", store, again.get(index))
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
) -> FoundProducts:
    """Return products by id; a repeated id is answered each time.

    `beside`: products whose titles are asked too. The filter does not apply to them.
    """
    if beside:
        check_count("title_product_ids", len(beside), MAX_GET)
    check_count("product_ids", len(product_ids), MAX_GET)
    view = await columns.of(catalog_id, [*product_ids, *beside] if beside else product_ids)
    places = view.table.places(product_ids)
    passing = await view.conditions.passing(condition, places)
    if False not in passing:
        return FoundProducts(view, places.tolist(), [], [])
    return FoundProducts(
        view,
        places[passing].tolist(),
        [product_ids[row] for row in np.flatnonzero(places < 0).tolist()],
        [product_ids[row] for row in np.flatnonzero((places >= 0) & ~passing).tolist()],
    )


async def rejections(
    catalog_id: str, product_ids: Sequence[str], condition: Filter, record: Record
) -> dict[str, Rejection]:
    """Return why products fail a filter, of those that do."""
    if not product_ids:
        return {}
    held = await record.get(catalog_id, list(dict.fromkeys(product_ids)))

    why = rejections_of(condition, (product.facts for product in held.values()))
    found = await off_loop(filter_steps(condition, len(held)), why)
    return {name: each for name, each in zip(held, found, strict=True) if each is not None}


async def list_products(
    catalog_id: str,
    record: Record,
    *,
    condition: Filter,
    order: ProductOrder,
    page_size: int,
    page_token: str,
    flaws: Sequence[ProductFlaw] = (),
) -> Page:
    """Return a page of the products that pass, from the record.

    `flaws`: only products that have all of these. A page may be short or empty without being the
    last.
    """
    wanted = requests.page_size(page_size, DEFAULT_PAGE, MAX_PAGE)
    context = _list_context(catalog_id, order, condition, flaws)
    place = requests.page_place(page_token, (context,), int, str)
    after = _checked_place(*place) if place else None
    limit = wanted if condition == All() else max(wanted, 200)
    kept: list[Product] = []
    scanned = 0
    while scanned < MAX_SCAN:
        batch = await record.page(catalog_id, order, after, limit, flaws=flaws)
        passing = await each_passes(condition, (held.facts for held in batch), len(batch))
        for product, passes in zip(batch, passing, strict=True):
            scanned += 1
            after = _position(order, product)
            if passes:
                kept.append(product)
                if len(kept) == wanted:
                    return Page(kept, requests.page_token((context,), *after))
        if len(batch) < limit:
            return Page(kept, "")
    return Page(kept, requests.page_token((context,), *after) if after else "")


async def list_places(
    catalog_id: str,
    record: Record,
    columns: Columns,
    *,
    condition: Filter,
    order: ProductOrder,
    page_size: int,
    page_token: str,
    flaws: Sequence[ProductFlaw] = (),
) -> PlacesPage:
    """Return a page of the products that pass, see `list_products`. A filter is evaluated, and an
    order by a field is read, on the columns if they hold the catalog: nothing is read from the
    record. All products by id are the record's, as sorting all ids takes longer for each page."""
    wanted = requests.page_size(page_size, DEFAULT_PAGE, MAX_PAGE)
    of_record = bool(flaws) or (condition == All() and order.name not in ORDERS)
    view = None if of_record else await columns.view(catalog_id)
    if view is None:
        page = await list_products(
            *(catalog_id, record),
            condition=condition,
            order=order,
            page_size=page_size,
            page_token=page_token,
            flaws=flaws,
        )
        ids, token = [each.content.product_id for each in page.products], page.next_token
        view = await columns.of(catalog_id, ids)
    else:
        context = _list_context(catalog_id, order, condition)
        place = requests.page_place(page_token, (context,), int, str)
        after = _checked_place(*place) if place else None
        found = await _first_passing(view, condition, order, after, wanted + 1)
        token = requests.page_token((context,), *found[wanted - 1]) if found[wanted:] else ""
        ids = [product_id for _, product_id in found[:wanted]]
    places = view.table.places(ids)
    return PlacesPage(view, places[places >= 0].tolist(), token)


async def _first_passing(
    view: View, condition: Filter, order: ProductOrder, after: Position | None, count: int
) -> Sequence[Position]:
    """Return the positions of the first products that pass, at most `count`."""
    passing = await view.conditions.every(condition)
    return await off_loop(len(passing), first_positions(view.table, passing, order, after, count))


async def delete(catalog_id: str, product_ids: Sequence[str], record: Record) -> tuple[int, int]:
    """Delete products. Return how many existed, and the record's newest seq."""
    check_count("product_ids", len(product_ids), MAX_DELETE)
    return await record.delete(catalog_id, product_ids)


async def get_image(
    catalog_id: str, image_id: str, record: Record, photos: Photos
) -> tuple[Image, bytes]:
    """Return a stored photo and its bytes."""
    image = await record.image(catalog_id, image_id)
    if image is None:
        raise ImageNotFound("image_id")
    return image, await photos.get(catalog_id, image_id)


# Writes


def repeated(product_ids: Sequence[str], path: str) -> dict[int, FieldViolation]:
    """Return the violation of each place whose product id occurs before; `path` has a {}."""
    first: dict[str, int] = {}
    wrong = {}
    for index, product_id in enumerate(product_ids):
        known = first.setdefault(product_id, index)
        if known != index:
            description = f"is also the id of {path.format(known).partition('.')[0]}"
            wrong[index] = FieldViolation(path.format(index), description)
    return wrong


async def prepare(
    draft: ProductDraft,
    path: str,
    store: CatalogPhotos,
    wrong: FieldViolation | None = None,
) -> ProductWrite | ServiceError:
    """Return the write, with its new photos stored, or its error. `wrong`: a known violation."""
    if wrong is not None:
        return ProductInvalid(wrong)
    try:
        content = check_product(draft, path)
        image_ids, new = await take_images(draft.images, path, store)
    except ServiceError as error:
        return error
    return ProductWrite(replace(content, image_ids=image_ids), new, draft.etag, path)


# Page tokens


def _list_context(
    catalog_id: str, order: ProductOrder, condition: Filter, flaws: Sequence[ProductFlaw] = ()
) -> str:
    """Return the hash that binds a page token to its list."""
    asked = (catalog_id, order, condition, *map(str, flaws))
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]


def _position(order: ProductOrder, product: Product) -> tuple[int, str]:
    by = ORDERS.get(order.name)
    return (getattr(product, by[0].wire) if by else 0, product.content.product_id)


def _checked_place(time: int, product_id: str) -> tuple[int, str]:
    """Return a valid position of a product: callers may forge tokens. Raises PageTokenInvalid."""
    try:
        ids.check_id(product_id)
    except ids.IdInvalidError as error:
        raise PageTokenInvalid from error
    if time < 0:
        raise PageTokenInvalid
    return time, product_id
