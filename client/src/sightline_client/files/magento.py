"""Products of the CSV export of Magento 2 and Adobe Commerce: the meaning of its rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import product

from sightline_client.errors import SightlineError
from sightline_client.files.attribute_keys import attribute_key
from sightline_client.files.conversion import Cells, Shape, has_come, move, past
from sightline_client.files.export_columns import MAGENTO
from sightline_client.files.families import inherit
from sightline_client.files.model import Row, bad

STORE_VIEW = "rows of one store view, which repeat products in its language"
_HIDDEN = frozenset(
    {
        *("not visible individually", "1", "einzeln nicht sichtbar", "nicht einzeln sichtbar"),
        *("non visible individuellement", "单独不可见", "不单独显示"),
    }
)
_OFF = frozenset(
    {"2", "0", "no", "disabled", "nein", "deaktiviert", "non", "désactivé", "否", "禁用", "停用"}
)
_NO_PHOTO = "no_selection"
_COMPOSED = frozenset({"configurable", "grouped", "bundle"})
"""Types of products without a price and a stock of their own."""
_ATTRIBUTE = re.compile(r",(?=[A-Za-z][A-Za-z0-9_]*=)")
"""Comma before the next attribute of a cell; others are parts of a value."""
_SHORT_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})\b(?:,? .*)?")


def _read(rows: Iterator[Row]) -> Iterator[Row]:
    """Read products. A configurable product names its variants, which are not visible alone: they
    are read at the end."""
    families: dict[str, Row] = {}
    """SKU of a variant → the row of its configurable product."""
    hidden: list[Row] = []
    for row in rows:
        if row.error is not None:
            yield row
        elif row.cells.get("store_view_code"):
            yield replace(row, left_out=STORE_VIEW)
        elif _is_hidden(row.cells):
            hidden.append(row)
        else:
            made = _made(row, families.get(str(row.cells.get("sku") or "")))
            for sku in _variants(row.cells):
                families[sku] = made
            yield made
    for row in hidden:
        yield _made(row, families.get(str(row.cells.get("sku") or "")))


def _is_hidden(cells: Mapping[str, object]) -> bool:
    return str(cells.get("visibility") or "").strip().lower() in _HIDDEN


def _variants(cells: Mapping[str, object]) -> list[str]:
    """Return the SKUs of the variants that a configurable product names."""
    each = str(cells.get("configurable_variations") or "").split("|")
    found = (re.match(r"sku=(.*?)(?:,[^,=]+=|$)", variant.strip()) for variant in each)
    return [match[1] for match in found if match is not None]


def _made(row: Row, above: Row | None) -> Row:
    cells, made = row.cells, Cells()
    parent: Mapping[str, object] = above.cells if above is not None else {}
    more = _additional(cells.get("additional_attributes"))
    move(cells, made, id="sku", title="name", description="description")
    if not made.get("description"):
        move(cells, made, description="short_description")
    made["category"] = _category(cells.get("categories"))
    for name in ("manufacturer", "brand"):
        if value := cells.get(name) or more.get(name):
            made["brand"] = value
    made["images"] = _photos(cells)
    country = cells.get("country_of_manufacture")
    made["attributes"] = {**({"country_of_manufacture": country} if country else {}), **more}
    made["parent_id"] = parent.get("id", "")
    inherit(made, parent)
    seen = not _is_hidden(cells) or above is not None
    on = seen and not _is_off(cells.get("product_online")) and parent.get("available") != "false"
    made["available"] = _stock(cells) if on else "false"
    source = (*(above.source if above is not None else ()), *row.source)
    try:
        _price(cells, made)
    except SightlineError as error:
        return replace(row, cells=made, error=error, source=source)
    return replace(row, cells=made, source=source)


def _additional(value: object) -> Cells:
    """Return the attributes of `a=1,b=2|3`."""
    found: Cells = {}
    for part in _ATTRIBUTE.split(str(value or "")):
        name, sign, text = part.partition("=")
        values = [each.strip().strip('"') for each in text.split("|") if each.strip()]
        if sign and values and (key := attribute_key(name)):
            found[key] = values[0] if len(values) == 1 else values
    return found


def _category(value: object) -> list[str]:
    """Return the longest path, without the root category, which all products have."""
    paths = [path.strip().split("/") for path in re.split(r"[,|]", str(value or ""))]
    return [part.strip() for part in max(paths, key=len)[1:] if part.strip()]


def _photos(cells: Mapping[str, object]) -> list[str]:
    hidden = {part.strip() for part in str(cells.get("hide_from_product_page") or "").split(",")}
    own = ",".join(str(cells.get(name) or "") for name in ("base_image", "additional_images"))
    photos = (part.strip() for part in own.split(","))
    found = (part.lstrip("/") for part in photos if part != _NO_PHOTO and part not in hidden)
    return list(dict.fromkeys(part for part in found if part))


def _is_off(value: object) -> bool:
    return str(value or "").strip().lower() in _OFF


def _stock(cells: Mapping[str, object]) -> str:
    untracked = cells.get("manage_stock") == "0" and cells.get("use_config_manage_stock") != "1"
    if untracked:
        return "true"
    if str(cells.get("is_in_stock") or "") == "0":
        return "false"
    quantity = str(cells.get("qty") or "").partition(".")[0].partition(",")[0]
    empty = quantity.lstrip("-").isdecimal() and int(quantity) <= 0
    if not empty or str(cells.get("product_type") or "").lower() in _COMPOSED:
        return "true"
    if str(cells.get("allow_backorders") or "0") != "0":
        return "backorder"
    return "true" if cells.get("is_in_stock") else "false"


def _price(cells: Mapping[str, object], made: Cells) -> None:
    on_sale = cells.get("special_price") and _on_sale(cells)
    move(cells, made, price="special_price" if on_sale else "price")
    composed = str(cells.get("product_type") or "").lower() in _COMPOSED
    if composed and re.fullmatch(r"0*[.,]?0*", str(made.get("price") or "")):
        made.pop("price", None)


def _on_sale(cells: Mapping[str, object]) -> bool:
    """Return whether a special price counts now. Magento writes dates as its administrator reads
    them: where day and month may be either, both have to come to the same."""
    start, end = "special_price_from_date", "special_price_to_date"
    found = {
        (not first or has_come(first, start)) and not past(last, end)
        for first, last in product(_dates(cells.get(start)), _dates(cells.get(end)))
    }
    if len(found) > 1:
        raise bad(start, f"{cells.get(start)!r} to {cells.get(end)!r} may be two different times")
    return found.pop()


def _dates(value: object) -> list[str]:
    """Return what a date may mean, as ISO dates where it is written with slashes."""
    text = str(value or "").strip()
    found = _SHORT_DATE.fullmatch(text)
    if found is None:
        return [text]
    first, second, year = (int(part) for part in found.groups())
    year += 2000 if year < 100 else 0
    orders: list[Callable[[int, int], tuple[int, int]]] = [lambda a, b: (a, b), lambda a, b: (b, a)]
    dates = []
    for order in orders:
        month, day = order(first, second)
        with suppress(ValueError):
            dates += [f"{year:04}-{month:02}-{day:02}"] if month <= 12 and day <= 31 else []
    return list(dict.fromkeys(dates)) or [text]


SHAPE = Shape(
    "magento",
    "Magento",
    frozenset({"sku", "attribute_set_code", "product_type"}),
    _read,
    MAGENTO,
)
