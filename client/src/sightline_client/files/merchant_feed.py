"""Products of a feed for Google's Merchant Center: the meaning of its attributes.

Made from the documented product data specification; `xml_feed` reads the XML forms of a feed,
`delimited` its text form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress

from sightline_client.errors import SightlineError
from sightline_client.files.attribute_keys import attribute_key
from sightline_client.files.conversion import (
    Cells,
    ExportDates,
    Shape,
    by_row_with_dates,
    move,
    object_of,
)
from sightline_client.files.export_columns import MERCHANT
from sightline_client.files.texts import addresses

CUSTOM = "custom"
"""Column of the attributes that the shop defines itself, by name."""
ATTRIBUTES = (
    *("gtin", "mpn", "condition", "color", "size", "size_type", "size_system", "material"),
    *("pattern", "gender", "age_group", "adult", "multipack", "is_bundle"),
    *("energy_efficiency_class", "google_product_category"),
    *(f"custom_label_{number}" for number in range(5)),
)
"""Attributes of a feed that become attributes of a product, under the same names."""
_ID_ALONE = re.compile(r"\d+")


def _read(cells: Mapping[str, object], dates: ExportDates) -> Iterator[Cells]:
    """Convert one item."""
    made = Cells()
    single = {name: _first(value) for name, value in cells.items()}
    move(single, made, id="id", title="title", description="description", uri="link")
    move(single, made, brand="brand", available="availability", language="content_language")
    move(single, made, parent_id="item_group_id")
    if dates.past(single.get("expiration_date"), "expiration_date"):
        made["available"] = "false"
    made["category"] = _category(single)
    made["images"] = [
        *_texts(cells.get("image_link")),
        *_texts(cells.get("additional_image_link")),
    ]
    _prices(single, made, dates)
    made["attributes"] = _attributes(cells, single)
    yield made


def _prices(single: Mapping[str, object], made: Cells, dates: ExportDates) -> None:
    sale = single.get("sale_price")
    on_sale = sale and _on_sale(single.get("sale_price_effective_date"), dates)
    move(single, made, price="sale_price" if on_sale else "price")
    move(single, made, cost="cost_of_goods_sold")


def _on_sale(interval: object, dates: ExportDates) -> bool:
    """Return whether a sale is on: no interval, or one of two times that holds now."""
    start, sign, end = str(interval or "").partition("/")
    if not sign:
        return not interval
    name = "sale_price_effective_date"
    with suppress(SightlineError):  # without the sale the price is right, if not the best
        return dates.has_come(start, name) and bool(end.strip()) and not dates.past(end, name)
    return False


def _category(single: Mapping[str, object]) -> object:
    """Return the shop's own category, else Google's by its path; its bare number names none."""
    own, google = single.get("product_type"), single.get("google_product_category")
    chosen = own or google or ""
    return "" if isinstance(chosen, str) and _ID_ALONE.fullmatch(chosen.strip()) else chosen


def _attributes(cells: Mapping[str, object], single: Mapping[str, object]) -> Cells:
    found: Cells = {name: value for name in ATTRIBUTES if (value := single.get(name))}
    for name, value in _details(cells.get("product_detail")):
        found.setdefault(attribute_key(name), value)
    for name, value in object_of(cells.get(CUSTOM)).items():
        found.setdefault(attribute_key(name), value)
    found.pop("", None)
    return found


def _details(value: object) -> Iterator[tuple[str, object]]:
    """Yield names and values of `product_detail`: objects, or text `section:name:value, …`."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, Mapping):
            yield str(one.get("attribute_name") or ""), one.get("attribute_value")
        elif isinstance(one, str):
            for part in one.split(","):
                words = [word.strip() for word in part.split(":")]
                if len(words) == 3:
                    yield words[1], words[2]


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else value


def _texts(value: object) -> list[str]:
    """Return the addresses of an attribute."""
    parts = value if isinstance(value, list) else [value]
    return [one for part in parts if part not in (None, "") for one in addresses(str(part))]


SHAPE = Shape(
    "google-merchant",
    "Google's Merchant Center",
    frozenset({"id", "link", "image_link"}),
    by_row_with_dates(_read),
    MERCHANT,
)
