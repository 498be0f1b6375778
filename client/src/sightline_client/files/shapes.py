"""Exports of other systems: the columns that identify them, and the meaning of their rows.

Made from the documented columns of each: Shopify's product CSV, WooCommerce's product CSV, products
and user events of Google's Retail API, and the BigQuery export of Google Analytics 4. Feeds of
Google's Merchant Center and products of schema.org have modules of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from sightline_client.files import merchant_feed, schema_org
from sightline_client.files.conversion import (
    Cells,
    Shape,
    by_row,
    move,
    object_of,
    objects_of,
)
from sightline_client.files.mapping import listed
from sightline_client.files.model import Row

# Products


def _shopify(rows: Iterator[Row]) -> Iterator[Row]:
    """Read variants of the product that the handle names, and rows with one more photo of it; the
    first row has what all variants share."""
    group: list[Row] = []
    for row in rows:
        if group and row.cells.get("handle") != group[0].cells.get("handle"):
            yield from _shopify_product(group)
            group = []
        group.append(row)
    if group:
        yield from _shopify_product(group)


def _shopify_product(group: list[Row]) -> Iterator[Row]:
    first = group[0].cells
    variants = [row for row in group if row.error or row.cells.get("variant price")] or group[:1]
    photos = [row.cells.get("image src") for row in group]
    status = str(first.get("status") or "active").lower()
    for row in variants:
        if row.error is not None:
            yield row
            continue
        cells, made = row.cells, Cells()
        handle = str(first.get("handle") or "")
        own = [str(cells.get(f"option{n} value") or "") for n in (1, 2, 3)]
        named = [part for part in own if part and part != "Default Title"]
        many = len(variants) > 1
        made["id"] = cells.get("variant sku") or "-".join([handle, *(named if many else ())])
        made["parent_id"] = handle if many else ""
        move(first, made, title="title", description="body (html)", brand="vendor")
        move(first, made, category="product category", tags="tags")
        if not made.get("category"):
            move(first, made, category="type")
        move(cells, made, price="variant price")
        made["available"] = _shopify_stock(cells, status)
        images = [cells["variant image"]] if cells.get("variant image") else []
        made["images"] = list(dict.fromkeys([*images, *filter(None, photos)]))
        made["attributes"] = {
            str(first.get(f"option{n} name") or f"option{n}").lower(): value
            for n, value in enumerate(own, start=1)
            if value and value != "Default Title"
        }
        yield Row(row.number, made)


def _shopify_stock(cells: Mapping[str, object], status: str) -> object:
    quantity = str(cells.get("variant inventory qty") or "")
    if status != "active":
        return "false"
    if not quantity.lstrip("-").isdigit() or int(quantity) > 0:
        return "true"
    return "backorder" if cells.get("variant inventory policy") == "continue" else "false"


@by_row
def _woocommerce(cells: Mapping[str, object]) -> Iterator[Cells]:
    """Read a product or a variation; `Parent` names a variable product by id:… or SKU."""
    made = Cells()
    number = cells.get("id")
    made["id"] = cells.get("sku") or (f"id:{number}" if number else "")
    move(cells, made, title="name", description="description", images="images", tags="tags")
    move(cells, made, price="sale price")
    if not made.get("price"):
        move(cells, made, price="regular price")
    move(cells, made, category="categories", brand="brands")
    if isinstance(text := cells.get("categories"), str):
        made["category"] = text.split(",")[0].strip()  # the others are its further categories
    made["parent_id"] = cells.get("parent") or ""
    stock = str(cells.get("in stock?") or "").lower()
    made["available"] = {"1": "true", "0": "false"}.get(stock, stock)
    made["attributes"] = _woocommerce_attributes(cells)
    yield made


def _woocommerce_attributes(cells: Mapping[str, object]) -> Mapping[str, object]:
    found = {}
    for number in range(1, 21):
        name = cells.get(f"attribute {number} name")
        value = cells.get(f"attribute {number} value(s)")
        if name and value:
            found[str(name).lower()] = listed(value, str)
    return found


@by_row
def _google(cells: Mapping[str, object]) -> Iterator[Cells]:
    """Read a product of the Retail API, in JSON Lines."""
    made = Cells()
    move(cells, made, id="id", title="title", description="description", uri="uri")
    move(cells, made, tags="tags", language="languagecode", available="availability")
    primary = cells.get("primaryproductid")
    made["parent_id"] = primary if primary != made.get("id") else ""
    categories, brands = cells.get("categories"), cells.get("brands")
    made["category"] = categories[0] if isinstance(categories, list) and categories else ""
    made["brand"] = brands[0] if isinstance(brands, list) and brands else ""
    price = object_of(cells.get("priceinfo"))
    made["price"], made["currency"] = price.get("price"), price.get("currencyCode")
    made["images"] = [image["uri"] for image in objects_of(cells.get("images")) if "uri" in image]
    made["attributes"] = {
        str(name): values
        for name, value in object_of(cells.get("attributes")).items()
        if (values := object_of(value).get("text") or object_of(value).get("numbers"))
    }
    yield made


# Events

_GA4 = {
    "view_item": "VIEW",
    "select_item": "CLICK",
    "view_item_list": "IMPRESSION",
    "add_to_cart": "ADD_TO_CART",
    "purchase": "PURCHASE",
    "search": "SEARCH",
    "view_search_results": "SEARCH",
}
_RETAIL = {
    "detail-page-view": "VIEW",
    "add-to-cart": "ADD_TO_CART",
    "purchase-complete": "PURCHASE",
    "search": "SEARCH",
}


@by_row
def _ga4(cells: Mapping[str, object]) -> Iterator[Cells]:
    """Convert an event to one event for each of its items. Events without products, such as
    page_view, are left out."""
    kind = _GA4.get(str(cells.get("event_name")))
    if kind is None:
        return
    params = {
        str(one.get("key")): one.get("value") for one in objects_of(cells.get("event_params"))
    }
    shared: Cells = {
        "type": kind,
        "time": cells.get("event_timestamp"),  # microseconds; `cells` detects the unit
        "session_id": _param(params, "ga_session_id"),
        "order_id": object_of(cells.get("ecommerce")).get("transaction_id"),
        "query": _param(params, "search_term") if kind == "SEARCH" else "",
        **_who(cells.get("user_id"), cells.get("user_pseudo_id")),
    }
    money = _param(params, "currency")
    for place, item in enumerate(objects_of(cells.get("items")) or [{}]):
        price = item.get("price")
        of = {
            "product_id": item.get("item_id") or "",
            "quantity": item.get("quantity"),
            **({"unit_price": price, "currency": money} if price and money else {}),
        }
        yield _event(shared, of, place)


@by_row
def _retail(cells: Mapping[str, object]) -> Iterator[Cells]:
    """Convert a user event of the Retail API: yield one event for each product of a row."""
    kind = _RETAIL.get(str(cells.get("eventtype")))
    if kind is None:
        return
    shared: Cells = {
        "type": kind,
        "time": cells.get("eventtime"),
        "session_id": cells.get("sessionid") or "",
        "order_id": object_of(cells.get("purchasetransaction")).get("id"),
        "query": cells.get("searchquery") or "" if kind == "SEARCH" else "",
        **_who(object_of(cells.get("userinfo")).get("userId"), cells.get("visitorid")),
    }
    for place, detail in enumerate(objects_of(cells.get("productdetails")) or [{}]):
        named = object_of(detail.get("product")).get("id")
        yield _event(shared, {"product_id": named, "quantity": detail.get("quantity")}, place)


def _event(shared: Cells, of: Cells, place: int) -> Cells:
    """Make an event whose id is a hash of its content, so that it is the same each time it is
    sent."""
    made = {name: value for name, value in {**shared, **of}.items() if value not in (None, "")}
    content = repr((sorted(made.items(), key=lambda each: each[0]), place))
    return {"event_id": hashlib.sha256(content.encode()).hexdigest()[:32], **made}


def _who(user: object, visitor: object) -> Cells:
    return {"user_id": user} if user else {"visitor_id": visitor}


def _param(params: Mapping[str, object], name: str) -> object:
    """Return a parameter's value. GA4 has a field for each type of value, of which one is set."""
    value = params.get(name)
    found = value.values() if isinstance(value, Mapping) else (value,)
    text = next((each for each in found if each not in (None, "")), "")
    return str(text)


PRODUCTS = {
    shape.name: shape
    for shape in (
        Shape("shopify", "Shopify", frozenset({"handle", "variant price"}), _shopify),
        Shape("woocommerce", "WooCommerce", frozenset({"sku", "regular price"}), _woocommerce),
        Shape("google-retail", "Google's Retail API", frozenset({"priceinfo"}), _google),
        merchant_feed.SHAPE,
        schema_org.SHAPE,
    )
}
EVENTS = {
    shape.name: shape
    for shape in (
        Shape("ga4", "Google Analytics 4", frozenset({"event_name", "user_pseudo_id"}), _ga4),
        Shape("google-retail", "Google's Retail API", frozenset({"eventtype"}), _retail),
    )
}


def shape_of(columns: Iterable[str], shapes: Mapping[str, Shape]) -> Shape | None:
    """Return the shape of a table with these columns; None = unknown."""
    found = {form for name in columns for form in (name.lower(), merchant_feed.column(name))}
    return next((shape for shape in shapes.values() if shape.marks <= found), None)
