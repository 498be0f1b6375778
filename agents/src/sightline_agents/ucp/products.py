"""Products of the catalog as UCP writes them."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import urlsplit

from sightline_agents.catalog.texts import DESCRIPTION, identifier, shown
from sightline_agents.ucp.profile import Shop
from sightline_client.values.catalog import Attribute, Availability, Money
from sightline_client.values.products import Product

_MINOR_DIGITS = {
    code: digits
    for digits, codes in (
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
    )
    for code in codes.split()
}
"""Digits of the minor unit of currencies that have not two (ISO 4217)."""
_STATUS = {
    Availability.IN_STOCK: "in_stock",
    Availability.OUT_OF_STOCK: "out_of_stock",
    Availability.PREORDER: "preorder",
    Availability.BACKORDER: "backorder",
}
MERCHANT = "merchant"
"""Taxonomy of a shop's own categories."""


def minor_units(price: Money) -> int:
    """Return the amount in minor units of its currency, rounded half up."""
    exact = price.amount.scaleb(_MINOR_DIGITS.get(price.currency, 2))
    return int(exact.to_integral_value(ROUND_HALF_UP))


def money(amount: int, currency: str) -> Money:
    """Return the money of an amount in minor units."""
    return Money(Decimal(amount).scaleb(-_MINOR_DIGITS.get(currency, 2)), currency)


def written(
    product: Product, price: Money, shop: Shop, reasons: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a product with its one variant, which has the same id. `price`: the product's."""
    described = {"plain": shown(product.description, DESCRIPTION) or shown(product.title)}
    cost = {"amount": minor_units(price), "currency": price.currency}
    found: dict[str, Any] = {
        "id": identifier(product.product_id),
        "title": shown(product.title),
        "description": described,
        "price_range": {"min": cost, "max": cost},
        "variants": [
            {
                "id": identifier(product.product_id),
                "title": shown(product.title),
                "description": described,
                "price": cost,
                "availability": _availability(product.availability),
            }
        ],
    }
    if product.category_path:
        value = " > ".join(product.category_path)
        found["categories"] = [{"value": shown(value, 2_000), "taxonomy": MERCHANT}]
    if product.images:
        found["media"] = [
            {"type": "image", "url": shop.photo(each.image_id), "alt_text": shown(product.title)}
            | ({"width": each.width, "height": each.height} if each.width and each.height else {})
            for each in product.images
        ]
    if product.rating is not None:
        found["rating"] = {"value": product.rating, "scale_min": 0, "scale_max": 5}
        if product.rating_count is not None:
            found["rating"]["count"] = product.rating_count
    if product.tags:
        found["tags"] = [shown(tag) for tag in product.tags[:40]]
    if urlsplit(product.uri).scheme in ("http", "https"):
        found["url"] = product.uri
    if metadata := _metadata(product, reasons):
        found["metadata"] = metadata
    return found


def _availability(value: Availability) -> dict[str, Any]:
    status = _STATUS.get(value)
    available = {"available": value is not Availability.OUT_OF_STOCK}
    return available if status is None else {**available, "status": status}


def _metadata(product: Product, reasons: tuple[str, ...]) -> dict[str, Any]:
    """Return what the protocol has no member for."""
    attributes: dict[str, list[str | float | bool]] = {}
    for each in product.attributes[:60]:
        attributes.setdefault(each.key, []).append(_value(each))
    found = {
        "brand": shown(product.brand),
        "attributes": attributes,
        "parent_id": product.parent_id,
        "reasons": [shown(each) for each in reasons],
    }
    return {name: value for name, value in found.items() if value}


def _value(attribute: Attribute) -> str | float | bool:
    value = attribute.value
    return shown(value) if isinstance(value, str) else value
