"""Products of Akeneo's CSV export, whose columns are mostly attributes of the shop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import PurePosixPath

from sightline_client.files.attribute_keys import attribute_key
from sightline_client.files.column_words import NAMES, simple
from sightline_client.files.conversion import Cells, Shape, by_row
from sightline_client.files.currencies import CODES
from sightline_client.files.export_columns import AKENEO
from sightline_client.files.texts import PHOTOS

_LOCALE = re.compile(r"[a-z]{2,3}_[a-z]{2,4}(_[a-z]{2})?")
_IDS = ("identifier", "sku", "uuid")
"""Columns that may have the id, best first."""


def _read(cells: Mapping[str, object]) -> Iterator[Cells]:
    made: Cells = {"id": next((cells[name] for name in _IDS if cells.get(name)), "")}
    made["parent_id"] = cells.get("parent") or ""
    made["category"] = str(cells.get("categories") or "").partition(",")[0].strip()
    made["available"] = str(cells.get("enabled") or "true").lower()
    attributes: Cells = {"family": cells["family"]} if cells.get("family") else {}
    photos: list[str] = []
    prices: dict[int, tuple[object, str]] = {}
    for name, value in cells.items():
        if value in (None, "") or not _is_attribute(name):
            continue
        base, locale, currency = _parts(name)
        if locale and locale != made.setdefault("language", locale):
            continue  # another language of the same product
        ours = _ours(base)
        if currency:
            if ours == "price":
                prices.setdefault(NAMES["price"][simple(base)], (value, currency))
        elif _is_photo(value):
            photos.append(str(value))
        elif ours and ours not in made:
            made[ours] = value
        else:
            attributes[attribute_key(base.replace("-", "_"))] = value
    if prices:
        made["price"], made["currency"] = prices[min(prices)]
    if "language" in made:
        made["language"] = str(made["language"]).replace("_", "-")
    yield {**made, "images": photos, "attributes": attributes}


@lru_cache(4_096)
def _is_attribute(name: str) -> bool:
    return AKENEO.named(name) == "{…}"


@lru_cache(4_096)
def _parts(name: str) -> tuple[str, str, str]:
    """Return the attribute of a column, with its locale and its currency: `name-en_us-print`."""
    base, *others = name.split("-")
    locale = next((each for each in others if _LOCALE.fullmatch(each)), "")
    currency = next((each.upper() for each in others if each.upper() in CODES), "")
    return (f"{base}-unit" if "unit" in others else base), locale, currency


@lru_cache(4_096)
def _ours(base: str) -> str:
    """Return our column of an attribute; "" = it has none."""
    known = ("title", "description", "brand", "price")
    return next((ours for ours in known if simple(base) in NAMES[ours]), "")


def _is_photo(value: object) -> bool:
    return isinstance(value, str) and PurePosixPath(value).suffix.lower() in PHOTOS


SHAPE = Shape(
    "akeneo",
    "Akeneo",
    frozenset({"family", "categories", "enabled"}),
    by_row(_read),
    AKENEO,
)
