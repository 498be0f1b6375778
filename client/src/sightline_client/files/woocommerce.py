"""Products of WooCommerce's CSV export: the meaning of its rows."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sightline_client.files.attribute_keys import attribute_key
from sightline_client.files.conversion import Cells, ExportDates, Shape, answered, move
from sightline_client.files.export_columns import WOOCOMMERCE
from sightline_client.files.families import inherit, with_parents
from sightline_client.files.mapping import listed

_COMMA = re.compile(r"(?<!\\),")
"""Comma between two values of a cell."""


def _names(cells: Mapping[str, object]) -> list[str]:
    """Return the names by which a variation names its parent: id:… or the SKU."""
    if "variable" not in str(cells.get("type") or "variable").lower():
        return []
    number, sku = str(cells.get("id") or ""), str(cells.get("sku") or "")
    return [name for name in (number and f"id:{number}", sku) if name]


def _parent(cells: Mapping[str, object]) -> str:
    varies = "variation" in str(cells.get("type") or "").lower()
    return str(cells.get("parent") or "") if varies else ""


def _values(value: object) -> object:
    """Return the values of a cell, between which are commas; those within a value are `\\,`."""
    if not isinstance(value, str) or "\\," not in value:
        return value
    parts = (part.replace("\\,", ",").strip() for part in _COMMA.split(value))
    return [part for part in parts if part]


def _read(cells: Mapping[str, object], parent: Mapping[str, object]) -> Cells:
    made = Cells()
    several = {name: _values(cells.get(name)) for name in ("images", "tags")}
    number, named = cells.get("id"), str(cells.get("parent") or "")
    made["id"] = cells.get("sku") or (f"id:{number}" if number else "")
    move(cells, made, title="name", description="description")
    move(several, made, images="images", tags="tags")
    if not made.get("description"):
        move(cells, made, description="short description")
    move(cells, made, brand="brands")
    if isinstance(brands := made.get("brand"), str):
        made["brand"] = brands.replace("\\,", ",")
    if isinstance(text := cells.get("categories"), str):
        # The others are its further categories.
        made["category"] = _COMMA.split(text)[0].replace("\\,", ",").strip()
    made["attributes"] = _attributes(cells)
    made["parent_id"] = parent.get("id", named)
    inherit(made, parent)
    made["available"] = _stock(cells, parent)
    return made


def _price(cells: Mapping[str, object], made: Cells, dates: ExportDates) -> None:
    """Set the price: that of a sale to the end of its last day."""
    start, end = "date sale price starts", "date sale price ends"
    begun = not cells.get(start) or dates.has_come(cells.get(start), start)
    on_sale = cells.get("sale price") and begun and not dates.past(cells.get(end), end)
    move(cells, made, price="sale price" if on_sale else "regular price")


def _stock(cells: Mapping[str, object], parent: Mapping[str, object]) -> object:
    published = answered(cells.get("published"), default=True)
    hidden = str(cells.get("visibility in catalog") or "").lower() == "hidden"
    if not published or hidden or parent.get("available") == "false":
        return "false"
    stock = str(cells.get("in stock?") or "").lower()
    return {"1": "true", "0": "false"}.get(stock, stock)


def _attributes(cells: Mapping[str, object]) -> Mapping[str, object]:
    found = {}
    for number in range(1, 21):
        name = cells.get(f"attribute {number} name")
        value = cells.get(f"attribute {number} value(s)")
        if name and value:
            found[attribute_key(str(name))] = listed(_values(value), str)
    return found


SHAPE = Shape(
    "woocommerce",
    "WooCommerce",
    frozenset({"sku", "regular price"}),
    with_parents(names=_names, parent=_parent, read=_read, finish=_price, column="parent"),
    WOOCOMMERCE,
)
