"""Propose a map of a foreign table's columns to ours, by their names and first rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from sightline_client.files import numerals
from sightline_client.files.attribute_keys import attribute_key
from sightline_client.files.currencies import CODES
from sightline_client.files.mapping import ATTRIBUTES, ColumnMap, listed

SAMPLE = 50
"""Number of rows that are read."""
_LONGEST_ATTRIBUTE = 80
"""Maximum characters of an attribute; longer texts are not useful in filters."""
_MOST_VALUES = 20
"""Maximum number of values of one property of one product."""

_NAMES = {
    "id": "id productid sku itemid articleid articlenumber offerid code",
    "title": "title name productname producttitle itemname articlename",
    "description": "description bodyhtml longdescription shortdescription",
    "category": "category categories productcategory producttype type department",
    "brand": "brand vendor manufacturer producer maker label",
    "price": "price regularprice unitprice listprice retailprice amount",
    "currency": "currency currencycode pricecurrency",
    "available": "available availability instock stockstatus",
    "images": "images image imageurl imagelink imagesrc photo photos picture",
    "tags": "tags keywords labels",
    "parent_id": "parentid parent itemgroupid groupid modelid",
    "uri": "uri url link producturl permalink website",
    "language": "language lang languagecode locale",
    "event_id": "eventid id uuid messageid",
    "type": "type event eventtype eventname action",
    "product_id": "productid itemid sku product item",
    "user_id": "userid user customerid customer account",
    "visitor_id": "visitorid anonymousid clientid deviceid userpseudoid cookie",
    "session_id": "sessionid session visitid",
    "time": "time timestamp eventtime date datetime createdat occurredat",
    "quantity": "quantity qty count",
    "value": "value rating score stars",
    "order_id": "orderid transactionid order",
    "query": "query searchterm search q",
    "unit_price": "unitprice price itemprice",
}
"""Our column → common names of it, in lower case and without punctuation."""
NOTHING: Mapping[str, str] = {}
NAMES = {ours: frozenset(theirs.split()) for ours, theirs in _NAMES.items()}


def words(proposed: ColumnMap) -> list[str]:
    """Describe the proposed column of each column and each constant, in one sentence each."""
    columns = [
        f"column {name} looks like {ours}" if ours else f"column {name} is left out"
        for name, ours in proposed.columns.items()
    ]
    return columns + [f"{ours} is {value}" for ours, value in proposed.constants.items()]


def propose(
    columns: Sequence[str],
    rows: Sequence[Mapping[str, object]],
    known: Collection[str],
    needed: Collection[str],
    certain: Mapping[str, str] = NOTHING,
) -> ColumnMap:
    """Propose a map of all columns that are not ours.

    Args:
        columns: Names in the file.
        rows: Its first rows, by these names.
        known: Our columns.
        needed: Those that every file must have.
        certain: Columns of the file whose meaning is known, and ours.
    """
    found = dict(certain)
    constants: dict[str, str] = {}
    free = [name for name in known if name not in {*columns, *certain.values()}]
    left = [name for name in columns if name not in {*known, *certain}]
    for ours in free:
        for name in left:
            called = _simple(name) in NAMES.get(ours, {_simple(ours)})
            if called and (ours != "id" or _unique(name, rows)):
                found[name] = ours
                left.remove(name)
                break
    if "price" in free and "price" not in found.values() and (price := _with_currency(left)):
        name, constants["currency"] = price
        found[name] = "price"
        left.remove(name)
    for ours, ending in (("id", "id"), ("title", "name"), ("title", "title")):
        if ours in needed and ours in free and ours not in found.values():
            match = next((name for name in left if _simple(name).endswith(ending)), None)
            if match is not None and (ours != "id" or _unique(match, rows)):
                found[match] = ours
                left.remove(match)
    if _are_ratings({*columns, *found.values()}, needed):
        constants["type"] = "RATING"
    _check_price(found, constants, rows)
    can_hold = "attributes" in known
    for name in left:
        keep = can_hold and _is_property(name, rows)
        found[name] = _free_attribute(name, found) if keep else ""
    return ColumnMap({name: found[name] for name in columns if name in found}, constants)


def _with_currency(names: Sequence[str]) -> tuple[str, str] | None:
    """Return the first column called like price_eur, and its currency."""
    for name in names:
        base, _, code = name.rpartition("_")
        if _simple(base) in NAMES["price"] and code.upper() in CODES:
            return name, code.upper()
    return None


def _are_ratings(ours: Collection[str], needed: Collection[str]) -> bool:
    """Return whether events have a value and no word for what happened."""
    return "type" in needed and "type" not in ours and "value" in ours


def _check_price(
    found: dict[str, str], constants: dict[str, str], rows: Sequence[Mapping[str, object]]
) -> None:
    """Leave out a column called price that has no amounts."""
    name = next((name for name, ours in found.items() if ours == "price"), None)
    values = [row.get(name) for row in rows if row.get(name)] if name is not None else []
    if values and name is not None:
        amounts = sum(
            not isinstance(value, str) or numerals.amount(value) is not None for value in values
        )
        if amounts < len(values) / 2:
            found[name] = ""
            constants.pop("currency", None)


def _unique(name: str, rows: Sequence[Mapping[str, object]]) -> bool:
    values = [row.get(name) for row in rows]
    return all(values) and len(set(map(str, values))) == len(values)


def _is_property(name: str, rows: Sequence[Mapping[str, object]]) -> bool:
    """Return whether the values are short enough to filter by, and no ids."""
    cells = [listed(row[name], str, "") for row in rows if row.get(name)]
    values = [str(part) for cell in cells for part in (cell if isinstance(cell, list) else [cell])]
    few = all(not isinstance(cell, list) or len(cell) <= _MOST_VALUES for cell in cells)
    short = few and all(len(value) <= _LONGEST_ATTRIBUTE for value in values)
    return bool(values) and short and not _simple(name).endswith("id")


def _free_attribute(name: str, found: Mapping[str, str]) -> str:
    """Return the attribute for a column, which no other column is read as."""
    ours = first = f"{ATTRIBUTES}{attribute_key(name) or 'unnamed'}"
    taken, number = set(found.values()), 1
    while ours in taken:
        number += 1
        ours = f"{first[: len(ATTRIBUTES) + 60]}_{number}"
    return ours


def _simple(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
