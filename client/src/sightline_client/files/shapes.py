"""Exports of other systems: the columns that identify them, and the meaning of their rows.

Made from the documented columns of each (see `export_columns`): Shopify's product CSV, products and
user events of Google's Retail API, and the BigQuery export of Google Analytics 4. The others have
modules of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sightline_client.files import (
    akeneo,
    magento,
    merchant_feed,
    schema_org,
    shopware,
    woocommerce,
)
from sightline_client.files.attribute_keys import attribute_key
from sightline_client.files.conversion import (
    Cells,
    ExportDates,
    Shape,
    answered,
    by_row,
    by_row_with_dates,
    move,
    object_of,
    objects_of,
)
from sightline_client.files.export_columns import GA4, RETAIL, RETAIL_EVENTS, SHOPIFY
from sightline_client.files.model import Row, bad
from sightline_client.files.placeholders import is_placeholder

# Products


def _shopify(rows: Iterator[Row], _: ExportDates) -> Iterator[Row]:
    """Read variants of the product that the handle names, and rows with one more photo of it; the
    first row has what all variants share. A row that can't be read does not divide a product."""
    group: list[Row] = []
    broken: list[Row] = []
    """Rejected rows since the last row of the group."""
    for row in rows:
        if row.error is not None:
            broken.append(row)
            continue
        handle = row.cells.get("handle")
        if group and handle != group[-1].cells.get("handle"):
            own = [each for each in broken if each.cells.get("handle") == handle]
            yield from _shopify_product([*group, *(each for each in broken if each not in own)])
            group, broken = [], own
        group += [*broken, row]
        broken = []
    yield from _shopify_product([*group, *broken])


_OF_A_VARIANT = ("variant price", "variant sku", "option1 value")
"""Columns that are empty in a row with one more photo."""


def _shopify_product(group: list[Row]) -> Iterator[Row]:
    rows = [row for row in group if row.error is None]
    broken = [row for row in group if row.error is not None]
    yield from broken
    if not rows:
        return
    first, handle = rows[0].cells, rows[0].cells.get("handle")
    variants = [row for row in rows if any(map(row.cells.get, _OF_A_VARIANT))] or rows[:1]
    lost = [row for row in broken if row.cells.get("handle") == handle]
    many = len(variants) > 1 or bool(lost)
    photos = [row.cells.get("image src") for row in rows]
    also = tuple(row.number for row in rows if row not in variants)
    source = tuple(each for row in rows for each in row.source)
    for row in variants:
        made = _shopify_variant(first, row.cells, photos, many=many)
        error = None
        if lost and lost[0].number < rows[0].number:
            text = f"row {lost[0].number}, which has what all variants share, could not be read"
            error = bad("handle", text)
        elif broken and not many and made["attributes"] and not row.cells.get("variant sku"):
            text = f"row {broken[0].number} beside it could not be read, and may be a variant"
            error = bad("id", f"{text}: as it has no SKU, its id depends on that")
        yield Row(row.number, made, error, also=also, source=source)


def _shopify_variant(
    first: Mapping[str, object],
    cells: Mapping[str, object],
    photos: Sequence[object],
    *,
    many: bool,
) -> Cells:
    made = Cells()
    handle = str(first.get("handle") or "")
    own = [str(cells.get(f"option{n} value") or "") for n in (1, 2, 3)]
    named = [part for part in own if part and part != "Default Title"]
    made["id"] = cells.get("variant sku") or "-".join([handle, *(named if many else ())])
    made["parent_id"] = handle if many else ""
    move(first, made, title="title", description="body (html)", brand="vendor")
    move(first, made, category="product category", tags="tags")
    if not made.get("category"):
        move(first, made, category="type")
    move(cells, made, price="variant price")
    made["available"] = _shopify_stock(first, cells)
    made["images"] = list(dict.fromkeys(filter(None, [cells.get("variant image"), *photos])))
    made["attributes"] = {
        attribute_key(str(first.get(f"option{n} name") or "")) or f"option{n}": value
        for n, value in enumerate(own, start=1)
        if value and value != "Default Title"
    }
    return made


def _shopify_stock(first: Mapping[str, object], cells: Mapping[str, object]) -> object:
    status = str(first.get("status") or "active").lower()
    if status != "active" or not answered(first.get("published"), default=True):
        return "false"
    tracker = cells.get("variant inventory tracker", "unknown")
    quantity = str(cells.get("variant inventory qty") or "")
    if not tracker or not quantity.lstrip("-").isdigit() or int(quantity) > 0:
        return "true"
    sells_on = str(cells.get("variant inventory policy") or "").lower() == "continue"
    return "backorder" if sells_on else "false"


@by_row_with_dates
def _google(cells: Mapping[str, object], dates: ExportDates) -> Iterator[Cells]:
    """Read a product of the Retail API, in JSON Lines."""
    made = Cells()
    move(cells, made, id="id", title="title", description="description", uri="uri")
    move(cells, made, tags="tags", language="languagecode", available="availability")
    if dates.past(cells.get("expiretime"), "expireTime") or (
        cells.get("availabletime") and not dates.has_come(cells["availabletime"], "availableTime")
    ):
        made["available"] = "false"
    primary = cells.get("primaryproductid")
    made["parent_id"] = primary if primary != made.get("id") else ""
    categories, brands = cells.get("categories"), cells.get("brands")
    made["category"] = categories[0] if isinstance(categories, list) and categories else ""
    made["brand"] = brands[0] if isinstance(brands, list) and brands else ""
    price = object_of(cells.get("priceinfo"))
    made["price"], made["currency"] = _google_price(price, dates), price.get("currencyCode")
    made["images"] = [image["uri"] for image in objects_of(cells.get("images")) if "uri" in image]
    made["attributes"] = {
        attribute_key(str(name)): values
        for name, value in object_of(cells.get("attributes")).items()
        if (values := object_of(value).get("text") or object_of(value).get("numbers"))
    }
    yield made


def _google_price(price: Mapping[str, object], dates: ExportDates) -> object:
    """Return the price; the original one before and after the time in which it counts."""
    start, end = price.get("priceEffectiveTime"), price.get("priceExpireTime")
    begun = not start or dates.has_come(start, "priceEffectiveTime")
    over = not begun or dates.past(end, "priceExpireTime")
    return price.get("originalPrice") if over and price.get("originalPrice") else price.get("price")


# Events

OTHER_EVENT = "events of a kind that is not read"
UNCONSENTED = "events without consent to analytics"
NO_PRODUCT = "events of a product whose id says that there is none, such as (not set)"
_UNSAID = frozenset({"session_id", "order_id", "query", "user_id", "visitor_id"})
"""Columns in which a placeholder says nothing."""
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
def _ga4(cells: Mapping[str, object]) -> Iterator[Cells | str]:
    """Convert an event to one event for each of its items. Events without products, such as
    page_view, are left out."""
    kind = _GA4.get(str(cells.get("event_name")))
    if kind is None:
        yield OTHER_EVENT
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
    consent = object_of(cells.get("privacy_info")).get("analytics_storage")
    if str(consent).lower() in ("no", "false"):
        yield UNCONSENTED
        return
    money = _param(params, "currency")
    for place, item in enumerate(objects_of(cells.get("items")) or [{}]):
        price = item.get("price")
        if is_placeholder(item.get("item_id")):
            yield NO_PRODUCT
            continue
        of = {
            "product_id": item.get("item_id") or "",
            "quantity": item.get("quantity"),
            **({"unit_price": price, "currency": money} if price and money else {}),
        }
        yield _event(shared, of, place)


@by_row
def _retail(cells: Mapping[str, object]) -> Iterator[Cells | str]:
    """Convert a user event of the Retail API: yield one event for each product of a row."""
    kind = _RETAIL.get(str(cells.get("eventtype")))
    if kind is None:
        yield OTHER_EVENT
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
        if is_placeholder(named):
            yield NO_PRODUCT
            continue
        yield _event(shared, {"product_id": named, "quantity": detail.get("quantity")}, place)


def _event(shared: Cells, of: Cells, place: int) -> Cells:
    """Make an event whose id is a hash of its content, so that it is the same each time it is
    sent."""
    made = {
        name: value
        for name, value in {**shared, **of}.items()
        if value not in (None, "") and not (name in _UNSAID and is_placeholder(value))
    }
    content = repr((sorted(made.items(), key=lambda each: each[0]), place))
    return {"event_id": hashlib.sha256(content.encode()).hexdigest()[:32], **made}


def _who(user: object, visitor: object) -> Cells:
    known = user and not is_placeholder(user)
    return {"user_id": user} if known else {"visitor_id": visitor}


def _param(params: Mapping[str, object], name: str) -> object:
    """Return a parameter's value. GA4 has a field for each type of value, of which one is set."""
    value = params.get(name)
    found = value.values() if isinstance(value, Mapping) else (value,)
    text = next((each for each in found if each not in (None, "")), "")
    return str(text)


PRODUCTS = {
    shape.name: shape
    for shape in (
        Shape("shopify", "Shopify", frozenset({"handle", "variant price"}), _shopify, SHOPIFY),
        woocommerce.SHAPE,
        magento.SHAPE,
        shopware.SHAPE,
        shopware.SHAPE_5,
        akeneo.SHAPE,
        Shape(
            "google-retail",
            "Google's Retail API",
            frozenset({"priceinfo"}),
            _google,
            RETAIL,
            typed=True,
        ),
        merchant_feed.SHAPE,
        schema_org.SHAPE,
    )
}
EVENTS = {
    shape.name: shape
    for shape in (
        Shape(
            "ga4",
            "Google Analytics 4",
            frozenset({"event_name", "user_pseudo_id"}),
            _ga4,
            GA4,
            typed=True,
        ),
        Shape(
            "google-retail",
            "Google's Retail API",
            frozenset({"eventtype"}),
            _retail,
            RETAIL_EVENTS,
            typed=True,
        ),
    )
}


def shape_of(columns: Iterable[str], shapes: Mapping[str, Shape]) -> Shape | None:
    """Return the shape of a table with these columns; None = unknown."""
    names = [*columns]
    return next(
        (
            shape
            for shape in shapes.values()
            if shape.marks <= {shape.columns.form(name) for name in names}
        ),
        None,
    )
