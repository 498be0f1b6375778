"""Answers as pages: the options that they show, the photos that they need, and the file."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from rich.console import RenderableType

from sightline_client.cli.base import running
from sightline_client.cli.base.query import FilterGroup, RequestGroup, SignalGroup
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show import page
from sightline_client.cli.show.grids import plain
from sightline_client.client import SightlineClient
from sightline_client.errors import SightlineError
from sightline_client.values.products import Product

A = TypeVar("A")

_AT_ONCE = 8
"""Photos that are fetched at once."""


def show(
    suite: Suite,
    html: Path | None,
    ask: Callable[[SightlineClient], Awaitable[A]],
    for_people: Callable[[A], RenderableType],
    *,
    head: Callable[[A], page.Head],
    sections: Callable[[A], Sequence[page.Section]],
    products: Sequence[str] = (),
) -> A:
    """Print an answer. If ``html`` names a file, write it as a page with photos too. ``products``:
    those of the query, whose photos head the page."""

    async def asked(client: SightlineClient) -> A:
        answer = await ask(client)
        if html is not None:
            await write(client, html, head(answer), sections(answer), products)
        return answer

    value = suite.answer(asked, for_people)
    written(suite, html)
    return value


def written(suite: Suite, html: Path | None) -> None:
    """Say that a page was written."""
    if html is not None and not suite.json:
        running.tell("Written: {html}", html=html)


async def write(
    client: SightlineClient,
    path: Path,
    head: page.Head,
    sections: Sequence[page.Section],
    products: Sequence[str] = (),
) -> None:
    """Write a page with photos; see ``show``."""
    asked = await photos_of(client, [(product_id, "") for product_id in products])
    named = [(product_id, asked[product_id]) for product_id in products if product_id in asked]
    shown = [image for each in sections if each.answer for image in matched(each.answer.results)]
    listed = [
        (product.product_id, first_photo(product))
        for each in sections
        for product, _note in each.products
        if product.images
    ]
    photos = await photos_of(client, [*shown, *listed])
    page.write(path, replace(head, queries=[*head.queries, *named]), sections, photos)


def matched(results: Iterable[page.Shown]) -> list[tuple[str, str]]:
    """Return each product with the photo to show: the one that matched, else its first."""
    return [
        (item.product.product_id, item.matched_image_id or first_photo(item.product))
        for item in results
        if item.matched_image_id or item.product.images
    ]


def first_photo(product: Product) -> str:
    """Return the id of a product's first photo; "" = it has none."""
    return product.images[0].image_id if product.images else ""


async def photos_of(client: SightlineClient, wanted: Iterable[tuple[str, str]]) -> dict[str, bytes]:
    """Fetch photos by product id, as far as they exist; image id "" = the product's first."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def fetch(product_id: str, image_id: str) -> tuple[str, bytes]:
        async with gate:
            try:
                image_id = image_id or first_photo(await client.get_product(product_id))
                photo = (await client.get_image(image_id)).content if image_id else b""
            except SightlineError:
                return product_id, b""  # a page without one photo is better than no page
            return product_id, photo

    found = await asyncio.gather(*(fetch(*item) for item in dict(wanted).items()))
    return {product_id: photo for product_id, photo in found if photo}


async def first_photos(client: SightlineClient, products: Iterable[Product]) -> dict[str, bytes]:
    """Fetch the first photo of each product that has one, by product id."""
    named = [(each.product_id, first_photo(each)) for each in products if each.images]
    return await photos_of(client, named)


async def products_of(client: SightlineClient, ids: Iterable[str]) -> dict[str, Product]:
    """Fetch products by id, as far as they exist."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def fetch(product_id: str) -> list[Product]:
        async with gate:
            with suppress(SightlineError):
                return [await client.get_product(product_id)]
            return []

    found = await asyncio.gather(*map(fetch, ids))
    return {each.product_id: each for some in found for each in some}


def files(query: SignalGroup, photos: Iterable[object]) -> list[tuple[str, bytes]]:
    """Return the query's files with their names. ``photos``: the contents; a file such as a pipe
    can't be read twice."""
    names = [plain(path.name) for path in query.image or ()]
    contents = [photo for photo in photos if isinstance(photo, bytes)]
    return list(zip(names, contents, strict=False))


def asked_for(query: SignalGroup) -> list[tuple[str, str]]:
    """Return what a query looks for, for the head of a page."""
    unlike = [query.not_text or "", *(query.not_product or ())]
    return [
        (_("text"), query.text or ""),
        (_("products"), ", ".join(query.product or ())),
        (_("unlike"), ", ".join(filter(None, unlike))),
    ]


def filtered(passing: FilterGroup) -> list[tuple[str, str]]:
    """Return the filter and the market, for the head of a page."""
    return [(_("filter"), passing.filter or _("none")), (_("market"), passing.market)]


def shopper(user: str | None, visitor: str | None, *, personal: bool = True) -> tuple[str, str]:
    """Return the shopper, for the head of a page."""
    name = _("shopper")
    if not personal:
        return name, _("unknown (--not-personal)")
    if user:
        return name, _("customer {user}", user=user)
    return name, _("visitor {visitor}", visitor=visitor) if visitor else _("unknown")


def request(asked: RequestGroup, scene: str) -> list[tuple[str, str]]:
    """Return shopper, scene, filter and query of a request, for the head of a page."""
    return [
        shopper(asked.user, asked.visitor, personal=not asked.not_personal),
        (_("scene"), scene),
        *filtered(asked),
        *asked_for(asked),
        (_("cart or page"), ", ".join(asked.anchor or ())),
    ]
