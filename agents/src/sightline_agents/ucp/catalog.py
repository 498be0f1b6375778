"""The operations of the catalog: search, lookup and product."""

import asyncio
from collections.abc import Iterable
from typing import Any

from sightline_agents.catalog import photos
from sightline_agents.catalog.texts import identifier
from sightline_agents.ucp import products
from sightline_agents.ucp.profile import LOOKUP, SEARCH, Shop
from sightline_agents.ucp.requests import (
    MAX_IDS,
    MAX_LIMIT,
    Context,
    Filters,
    LookupRequest,
    ProductRequest,
    SearchRequest,
)
from sightline_client import F, SightlineClient
from sightline_client.errors import InvalidRequest, NotFound
from sightline_client.values.answers import (
    Degradation,
    Listing,
    Recommendations,
    RecommendedProduct,
)
from sightline_client.values.filters import Filter, all_of, any_of
from sightline_client.values.products import Product

Answer = dict[str, Any]


class RequestRejected(ValueError):
    """A request that is well formed, but can't be answered."""

    def __init__(self, code: str, content: str) -> None:
        super().__init__(content)
        self.code, self.content = code, content


class Catalog:
    """A shop's catalog, read through the gateway."""

    def __init__(self, client: SightlineClient, shop: Shop) -> None:
        self._client, self._shop = client, shop

    async def search(self, request: SearchRequest) -> Answer:
        """Return products for a query, a photo, or filters alone. Raises RequestRejected."""
        if request.photo and self._shop.extension is None:
            raise RequestRejected("invalid_request", "photo: this shop has no such extension")
        query, filters = request.query.strip(), request.filters
        if not (query or request.photo or (filters and filters.known)):
            raise RequestRejected("invalid_request", "give query, photo, or a filter known here")
        searched = query or request.photo
        page = await (self._nearest(request, query) if searched else self._listed(request))
        paging: Answer = {"has_next_page": bool(page.next_page_token)}
        if page.next_page_token:
            paging["cursor"] = page.next_page_token
        if isinstance(page, Listing):
            paging["total_count"] = page.product_count
        answer = {
            "ucp": self._shop.header(SEARCH, extended=request.photo is not None),
            "products": self._ranked(page.results),
            "pagination": paging,
        }
        messages = [
            *_ignored(filters, request.context),
            *_unpriced(item.product for item in page.results),
            *_degraded(page.degradations),
        ]
        return _with_messages(answer, messages)

    async def _nearest(self, request: SearchRequest, query: str) -> Recommendations:
        photo = request.photo
        return await self._client.recommend(
            text=query or None,
            image=None if photo is None else photos.decoded(photo.content),
            filter=_condition(request.filters, request.context),
            page_size=min(request.pagination.limit, MAX_LIMIT),
            page_token=request.pagination.cursor,
        )

    async def _listed(self, request: SearchRequest) -> Listing:
        return await self._client.listing(
            filter=_condition(request.filters, request.context),
            page_size=min(request.pagination.limit, MAX_LIMIT),
            page_token=request.pagination.cursor,
        )

    async def lookup(self, request: LookupRequest) -> Answer:
        """Return the products of some ids, each once. Raises RequestRejected."""
        ids = list(dict.fromkeys(request.ids))
        if len(ids) > MAX_IDS:
            raise RequestRejected("request_too_large", f"ids: at most {MAX_IDS} are allowed")
        found = await asyncio.gather(*(self._read(each) for each in ids))
        missing = [each for each, product in zip(ids, found, strict=True) if product is None]
        there = [each for each in found if each is not None]
        answer: Answer = {"ucp": self._shop.header(LOOKUP), "products": []}
        for product in _passing(there, request.filters, request.context):
            if product.price is not None:
                written = products.written(product, product.price, self._shop)
                written["variants"][0]["inputs"] = [
                    {"id": identifier(product.product_id), "match": "exact"}
                ]
                answer["products"].append(written)
        messages = [
            *({"type": "info", "code": "not_found", "content": each} for each in missing),
            *_ignored(request.filters, request.context),
            *_unpriced(there),
        ]
        return _with_messages(answer, messages)

    async def product(self, request: ProductRequest) -> Answer:
        """Return one product, or an error in the protocol's form if there is none."""
        product = await self._read(request.id)
        passing = [] if product is None else _passing([product], request.filters, request.context)
        for each in passing:
            if each.price is not None:
                answer = {
                    "ucp": self._shop.header(LOOKUP),
                    "product": products.written(each, each.price, self._shop),
                }
                return _with_messages(answer, _ignored(request.filters, request.context))
        return {
            "ucp": {**self._shop.header(LOOKUP), "status": "error"},
            "messages": [
                {
                    "type": "error",
                    "code": "not_found",
                    "content": f"Product not found: {request.id}",
                    "severity": "unrecoverable",
                }
            ],
        }

    def _ranked(self, results: Iterable[RecommendedProduct]) -> list[Answer]:
        return [
            products.written(
                item.product,
                item.product.price,
                self._shop,
                tuple(each.text for each in item.reasons[:3]),
            )
            for item in results
            if item.product.price is not None
        ]

    async def _read(self, product_id: str) -> Product | None:
        """Return a product; None if there is none, or no product can have this id."""
        try:
            return await self._client.get_product(product_id)
        except NotFound as error:
            if error.reason != "PRODUCT_NOT_FOUND":
                raise
        except InvalidRequest:
            pass
        return None


def _condition(filters: Filters | None, context: Context) -> Filter | None:
    if filters is None:
        return None
    parts: list[Filter] = []
    if filters.categories:
        parts.append(any_of(*(F.category == each for each in filters.categories)))
    if context.currency:
        if filters.price.min is not None:
            parts.append(F.price >= products.money(filters.price.min, context.currency))
        if filters.price.max is not None:
            parts.append(F.price <= products.money(filters.price.max, context.currency))
    return all_of(*parts) if parts else None


def _passing(found: Iterable[Product], filters: Filters | None, context: Context) -> list[Product]:
    """Return the products that pass the filters, as a search would."""
    return [each for each in found if filters is None or _passes(each, filters, context)]


def _passes(product: Product, filters: Filters, context: Context) -> bool:
    path = " > ".join(product.category_path)
    within = [path == each or path.startswith(f"{each} > ") for each in filters.categories]
    if within and not any(within):
        return False
    low, high, price = filters.price.min, filters.price.max, product.price
    if not context.currency or (low is None and high is None):
        return True
    if price is None or price.currency != context.currency:
        return False
    amount = products.minor_units(price)
    return (low is None or amount >= low) and (high is None or amount <= high)


def _ignored(filters: Filters | None, context: Context) -> list[Answer]:
    """Return a message for each condition that is not applied."""
    if filters is None:
        return []
    names = [f"filters.{name[:100]}: is not known here" for name in filters.unknown]
    if not context.currency and filters.price.model_fields_set:
        names.append("filters.price: context.currency is missing")
    return [
        {"type": "warning", "code": "filter_ignored", "content": f"{name}; it was not applied"}
        for name in names
    ]


def _unpriced(found: Iterable[Product]) -> list[Answer]:
    """Return a message for each product that is left out: the protocol requires a price."""
    return [
        {"type": "info", "code": "price_unknown", "content": identifier(each.product_id)}
        for each in found
        if each.price is None
    ]


def _degraded(found: Iterable[Degradation]) -> list[Answer]:
    return [
        {"type": "info", "code": "degraded", "content": f"{each.stage}: {each.substitute}"}
        for each in found
    ]


def _with_messages(answer: Answer, messages: list[Answer]) -> Answer:
    return {**answer, "messages": messages} if messages else answer
