"""Products of the CSV export of Magento 2 and Adobe Commerce: the meaning of its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

from sightline.common.v1 import product_pb2
from sightline_client.errors import SightlineError
from sightline_client.files import choices
from sightline_client.files.attribute_keys import attribute_key
from sightline_client.files.conversion import Cells, ExportDates, Shape, answered, move
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
_ONLINE = {
    **dict.fromkeys(("enabled", "aktiviert", "aktiv", "activé", "actif", "启用"), True),
    **dict.fromkeys(("2", "disabled", "deaktiviert", "inaktiv", "désactivé", "inactif"), False),
    **dict.fromkeys(("禁用", "停用"), False),
}
"""Words of product_online beside yes and no."""
_BACKORDERS = {
    **dict.fromkeys(("2", "allow qty below 0", "allow qty below 0 and notify customer"), True),
    "no backorders": False,
}
_NO_WORDS: Mapping[str, bool] = {}
_NO_PHOTO = "no_selection"
_COMPOSED = frozenset({"configurable", "grouped", "bundle"})
"""Types of products without a price and a stock of their own."""
_ATTRIBUTE = re.compile(r",(?=[A-Za-z][A-Za-z0-9_]*=)")
"""Comma before the next attribute of a cell; others are parts of a value."""
_SHORT_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})\b(?:,? .*)?")


def _read(rows: Iterator[Row], dates: ExportDates) -> Iterator[Row]:
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
            made = _made(row, families.get(str(row.cells.get("sku") or "")), dates)
            for sku in _variants(row.cells):
                families[sku] = made
            yield made
    for row in hidden:
        yield _made(row, families.get(str(row.cells.get("sku") or "")), dates)


def _is_hidden(cells: Mapping[str, object]) -> bool:
    return str(cells.get("visibility") or "").strip().lower() in _HIDDEN


def _variants(cells: Mapping[str, object]) -> list[str]:
    """Return the SKUs of the variants that a configurable product names."""
    each = str(cells.get("configurable_variations") or "").split("|")
    found = (re.match(r"sku=(.*?)(?:,[^,=]+=|$)", variant.strip()) for variant in each)
    return [match[1] for match in found if match is not None]


def _made(row: Row, above: Row | None, dates: ExportDates) -> Row:
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
    source = (*(above.source if above is not None else ()), *row.source)
    try:
        online = _says(cells, "product_online", default=True, words=_ONLINE)
        on = seen and online and parent.get("available") != "false"
        made["available"] = _stock(cells) if on else "false"
        _price(cells, made, dates)
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


def _says(
    cells: Mapping[str, object],
    name: str,
    *,
    default: bool,
    words: Mapping[str, bool] = _NO_WORDS,
) -> bool:
    """Read yes or no, or one of Magento's words. SightlineError for others."""
    text = str(cells.get(name) or "").strip()
    found = words.get(text.lower(), answered(text, default=default))
    if found is None:
        raise bad(name, f"{text[:40]!r} is neither yes nor no: say which with --value")
    return found


def _stock(cells: Mapping[str, object]) -> str:
    """Return whether a product can be bought; a word that is not known as it is."""
    managed = _says(cells, "manage_stock", default=True)
    if not (managed or _says(cells, "use_config_manage_stock", default=False)):
        return "true"
    stock = str(cells.get("is_in_stock") or "").strip()
    state = choices.availability(stock)
    if stock and state != product_pb2.AVAILABILITY_IN_STOCK:
        return "false" if state == product_pb2.AVAILABILITY_OUT_OF_STOCK else stock
    quantity = str(cells.get("qty") or "").partition(".")[0].partition(",")[0]
    empty = quantity.lstrip("-").isdecimal() and int(quantity) <= 0
    if not empty or str(cells.get("product_type") or "").lower() in _COMPOSED:
        return "true"
    if _says(cells, "allow_backorders", default=False, words=_BACKORDERS):
        return "backorder"
    return "true" if stock else "false"


def _price(cells: Mapping[str, object], made: Cells, dates: ExportDates) -> None:
    on_sale = cells.get("special_price") and _on_sale(cells, dates)
    move(cells, made, price="special_price" if on_sale else "price")
    composed = str(cells.get("product_type") or "").lower() in _COMPOSED
    if composed and re.fullmatch(r"0*[.,]?0*", str(made.get("price") or "")):
        made.pop("price", None)


def _on_sale(cells: Mapping[str, object], dates: ExportDates) -> bool:
    """Return whether a special price counts now. Magento writes dates as its administrator reads
    them: where day and month may be either, both have to come to the same."""
    start, end = "special_price_from_date", "special_price_to_date"
    found = {
        (not first or dates.has_come(first, start)) and not dates.past(last, end)
        for first, last in product(*(_dates(cells.get(name), dates.order) for name in (start, end)))
    }
    if len(found) > 1:
        raise bad(start, f"{cells.get(start)!r} to {cells.get(end)!r} may be two different times")
    return found.pop()


def _dates(value: object, said: str) -> list[str]:
    """Return what a date may mean, as ISO dates where it is written with slashes. `said`: the order
    of day and month; "" = it is not known."""
    text = str(value or "").strip()
    found = _SHORT_DATE.fullmatch(text)
    if found is None:
        return [text]
    first, second, year = (int(part) for part in found.groups())
    year += 2000 if year < 100 else 0
    orders = {"mdy": (first, second), "dmy": (second, first)}
    chosen = (orders[said],) if said else orders.values()
    dates = [f"{year:04}-{m:02}-{d:02}" for m, d in chosen if m <= 12 and d <= 31]
    return list(dict.fromkeys(dates)) or [text]


SHAPE = Shape(
    "magento",
    "Magento",
    frozenset({"sku", "attribute_set_code", "product_type"}),
    _read,
    MAGENTO,
)
