"""Products of Shopware's exports: of 6 by its default profile, and of 5 by SwagImportExport."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from sightline_client.files.attribute_keys import attribute_key
from sightline_client.files.conversion import Cells, ExportDates, Shape, answered, move
from sightline_client.files.export_columns import SHOPWARE, SHOPWARE_5
from sightline_client.files.families import inherit, with_parents

_UUID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)


def _parts(value: object) -> list[str]:
    """Return the parts of a cell, without internal ids, which mean nothing outside of the shop."""
    parts = (part.strip() for part in str(value or "").split("|"))
    return [part for part in parts if part and not _UUID.fullmatch(part)]


def _is_off(value: object) -> bool:
    return answered(value, default=True) is False


def _named(parts: Iterable[str]) -> Cells:
    """Return attributes of texts `name: value`, each name with its values."""
    found: dict[str, list[str]] = {}
    for part in parts:
        name, _, value = part.partition(":")
        if value.strip() and (key := attribute_key(name)):
            found.setdefault(key, []).append(value.strip())
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


def _stock(quantity: object, *, closeout: bool) -> str:
    """Return whether a product can be bought. One without stock can be ordered nevertheless, unless
    it is in a clearance sale."""
    number = str(quantity or "").partition(".")[0].partition(",")[0]
    if not number.lstrip("-").isdecimal() or int(number) > 0:
        return "true"
    return "false" if closeout else "backorder"


def _read(cells: Mapping[str, object], parent: Mapping[str, object]) -> Cells:
    made = Cells()
    move(cells, made, id="product_number", title="name", description="description")
    move(cells, made, brand="manufacturer_name", price="price_gross")
    made["category"] = next(iter(_parts(cells.get("categories"))), "")
    own = cells.get("media_urls")
    photos = [*_parts(cells.get("cover_media_url")), *_parts(own)]
    made["images"] = list(dict.fromkeys(photos))
    options = [*_parts(cells.get("propertyids")), *_parts(cells.get("optionids"))]
    made["attributes"] = _named(options)
    made["parent_id"] = parent.get("id", cells.get("parent_id") or "")
    closeout = bool(cells.get("is_closeout")) and not _is_off(cells.get("is_closeout"))
    varies = bool(cells.get("parent_id"))
    shown = bool(cells.get("sales_channel", "unsaid")) or varies
    on = shown and not _is_off(cells.get("active")) and parent.get("available") != "false"
    made["available"] = _stock(cells.get("stock"), closeout=closeout) if on else "false"
    inherit(made, parent, "title", "price")
    return made


def _read_5(cells: Mapping[str, object], parent: Mapping[str, object]) -> Cells:
    made = Cells()
    move(cells, made, id="ordernumber", title="name", brand="supplier", price="price_ek")
    move(cells, made, tags="keywords", description="description_long")
    if not made.get("description"):
        move(cells, made, description="description")
    path = next((part for part in _parts(cells.get("categories")) if not part.isdecimal()), "")
    made["category"] = [part.strip() for part in path.split("->")] if path else ""
    made["images"] = _parts(cells.get("imageurl"))
    options = [*_parts(cells.get("propertyvaluename")), *_parts(cells.get("configuratoroptions"))]
    made["attributes"] = _named(options)
    if cells.get("additionaltext"):
        made["attributes"] = {"additional_text": cells["additionaltext"], **_named(options)}
    made["parent_id"] = _main(cells)
    closeout = bool(cells.get("laststock")) and not _is_off(cells.get("laststock"))
    on = not _is_off(cells.get("active"))
    made["available"] = _stock(cells.get("instock"), closeout=closeout) if on else "false"
    inherit(made, parent, "title", "price")
    return made


def _released(cells: Mapping[str, object], made: Cells, dates: ExportDates) -> None:
    date = str(cells.get("releasedate") or "")
    if date and not date.startswith("0000") and not dates.has_come(date, "releasedate"):
        made["available"] = "false"


def _main(cells: Mapping[str, object]) -> str:
    """Return the number of the main variant, if the row is another one."""
    main = str(cells.get("mainnumber") or "")
    return main if main != str(cells.get("ordernumber") or "") else ""


SHAPE = Shape(
    "shopware",
    "Shopware 6",
    frozenset({"product_number", "name", "active", "stock", "price_gross"}),
    with_parents(
        names=lambda cells: [str(cells["id"])] if cells.get("id") else [],
        parent=lambda cells: str(cells.get("parent_id") or ""),
        read=_read,
        column="parent_id",
    ),
    SHOPWARE,
)
SHAPE_5 = Shape(
    "shopware-5",
    "Shopware 5",
    frozenset({"ordernumber", "mainnumber", "price_ek"}),
    with_parents(
        names=lambda cells: [str(cells["ordernumber"])] if cells.get("ordernumber") else [],
        parent=_main,
        read=_read_5,
        finish=_released,
        column="mainnumber",
    ),
    SHOPWARE_5,
)
