"""Prices of calls that change products, from the sizes of their requests."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from gateway.model.filters import carried
from gateway.model.price import (
    MOST_EMBEDDED,
    RequestPrice,
    WriteSizes,
    deletion_price,
    offers_price,
    purge_price,
    write_price,
)
from gateway.servicer.passthrough import Around, priced
from gateway.state.prices import RequestPrices
from sightline.common.v1.product_pb2 import Product
from sightline.gateway.v1 import catalog_service_pb2 as pb
from sightline_rules.fields import EMBEDDED

_EMBEDDED = frozenset(field.wire for field in EMBEDDED)


def _upsert(request: pb.UpsertProductsRequest, _: int) -> RequestPrice:
    return write_price(_whole(request.products))


def _import(request: pb.ImportProductsRequest, _: int) -> RequestPrice:
    return write_price(_whole(row.product for row in request.rows))


def _update(request: pb.UpdateProductsRequest, _: int) -> RequestPrice:
    return write_price(_changed(request.updates))


def _offers(request: pb.UpdateOffersRequest, _: int) -> RequestPrice:
    return offers_price(len(request.offers))


def _deletion(request: pb.DeleteProductsRequest, _: int) -> RequestPrice:
    return deletion_price(len(request.product_ids))


def _purge(request: pb.PurgeProductsRequest, products: int) -> RequestPrice:
    return purge_price(carried(request.filter), products)


PRICES: Mapping[str, Callable[[Any, int], RequestPrice]] = MappingProxyType(
    {
        "UpsertProducts": _upsert,
        "ImportProducts": _import,
        "UpdateProducts": _update,
        "UpdateOffers": _offers,
        "DeleteProducts": _deletion,
        "PurgeProducts": _purge,
    }
)
"""By call: the price of a request on a catalog with a number of products."""


def around(prices: RequestPrices) -> Mapping[str, Around]:
    """Return what charges the calls that change products."""
    return {name: partial(priced, prices, price_of) for name, price_of in PRICES.items()}


def _whole(products: Iterable[Product]) -> WriteSizes:
    """Return the sizes of whole products. Their texts are embedded as far as they are given."""
    return _sum(
        (each, _text(each) if any(getattr(each, name) for name in _EMBEDDED) else 0)
        for each in products
    )


def _changed(updates: Iterable[pb.ProductUpdate]) -> WriteSizes:
    """Return the sizes of changes. A text of which a field changes is embedded whole; the rest of
    it is not at hand, so the longest one is assumed."""
    return _sum((each.product, MOST_EMBEDDED * _changes_text(each)) for each in updates)


def _changes_text(update: pb.ProductUpdate) -> bool:
    named = update.update_mask.paths or [field.name for field, _ in update.product.ListFields()]
    return not _EMBEDDED.isdisjoint(named)


def _text(product: Product) -> int:
    """Return the characters of a product's text, at most: those of all fields but photos and the
    description."""
    others = sum(image.ByteSize() for image in product.images) + len(product.description)
    return min(max(product.ByteSize() - others, 1), MOST_EMBEDDED)


def _sum(products: Iterable[tuple[Product, int]]) -> WriteSizes:
    """Return the sizes of products, given with the characters that are embedded of each."""
    count = attributes = size = texts = characters = photos = 0
    for product, text in products:
        count += 1
        attributes += len(product.attributes)
        size += product.ByteSize()
        texts += text > 0
        characters += text
        for image in product.images:
            size -= image.ByteSize()
            photos += bool(image.content or image.uri)
    return WriteSizes(count, attributes, size, texts, characters, photos)
