"""Values by market in rows: columns such as `price@de`, or JSON objects by market in `markets`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, SupportsIndex

from sightline.common.v1 import product_pb2
from sightline_client.errors import SightlineError
from sightline_client.files import cells, dumping, lines
from sightline_client.files.cells import Cells
from sightline_client.files.model import bad

SEPARATOR = "@"
"""Between a column's name and a market."""
MARKETS = "markets"
_AVAILABLE = {"available": "available", "availability": "available"}
FIELDS: Mapping[str, str] = {
    "price": "price",
    "currency": "currency",
    **_AVAILABLE,
    "title": "title",
    "description": "description",
    "language": "language",
    "uri": "uri",
}
"""Columns that may have a market, with their names in errors."""
_ID = re.compile(r"[a-z0-9-]{1,16}")


class MarketColumns(tuple[str, ...]):
    """Names of columns. Also contains columns of markets, such as `price@de`."""

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        if tuple.__contains__(self, name):
            return True
        field, sign, market = str(name).partition(SEPARATOR)
        return bool(sign) and field in FIELDS and _ID.fullmatch(market) is not None

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        return tuple.__getitem__(self, key)


def read(row: Cells) -> list[product_pb2.MarketValues]:
    """Return the values of each market of which the row has a cell that is not empty, or that
    `markets` names. SightlineError for an invalid one."""
    found: dict[str, dict[str, object]] = {
        market: dict(given) for market, given in _listed(row.get(MARKETS))
    }
    for name, value in row.items():
        field, sign, market = name.partition(SEPARATOR)
        if sign and field in FIELDS and value is not None and str(value).strip():
            found.setdefault(market, {})[field] = value
    return [_market(market, given, row) for market, given in sorted(found.items())]


def as_columns(row: Cells) -> Cells:
    """Return the row with the values of `markets` as columns of each market."""
    if not row.get(MARKETS):
        return row
    try:
        listed = {market: dict(given) for market, given in _listed(row[MARKETS])}
    except SightlineError:  # said where it is read
        return row
    moved = {
        f"{FIELDS[name]}{SEPARATOR}{market}": given.pop(name)
        for market, given in listed.items()
        for name in [*given]
        if name in FIELDS
    }
    return {**moved, **row, MARKETS: listed}


def with_columns(row: Cells, columns: Mapping[str, object]) -> Cells:
    """Return the row with values of `as_columns` put back into `markets`, which stays JSON."""
    listed = {market: dict(given) for market, given in _listed(row[MARKETS])}
    for name, value in columns.items():
        field, _, market = name.partition(SEPARATOR)
        listed[market][field] = value
    return {**row, MARKETS: dumping.line(listed) if isinstance(row[MARKETS], str) else listed}


def _market(market: str, given: Mapping[str, object], row: Cells) -> product_pb2.MarketValues:
    at = {name: f"{name}{SEPARATOR}{market}" for name in FIELDS}
    own: dict[str, object] = {}
    for name, value in given.items():
        if name not in FIELDS:
            raise bad(MARKETS, f"{market}: {name!r} is not one of {', '.join(FIELDS)}")
        own[at[FIELDS[name]]] = value
    if not own.get(at["price"]) and own.get(at["currency"]):
        raise bad(at["currency"], "has no price")
    money = {**own, "currency": own.get(at["currency"])}
    return product_pb2.MarketValues(
        market_id=market,
        price=cells.money(money, at["price"], cells.text(row, "currency").upper())
        if at["price"] in own
        else None,
        availability=cells.availability(own, at["available"]),
        title=cells.words(own, at["title"]),
        description=cells.words(own, at["description"]),
        language_code=cells.text(own, at["language"]),
        uri=cells.address(own, at["uri"]),
    )


def _listed(value: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield the markets of a cell: an object by market, as JSON or as it is."""
    if value is None or value == "":
        return
    if isinstance(value, str):
        try:
            value = lines.parse(cells.text({MARKETS: value}, MARKETS))
        except (ValueError, RecursionError, ArithmeticError) as error:
            raise bad(MARKETS, f"is not JSON: {error}") from None
    hint = 'write {"de": {"price": 9.9, "title": "Rotwein"}}'
    if not isinstance(value, Mapping):
        raise bad(MARKETS, f"is not a JSON object: {hint}")
    for market, given in value.items():
        if not isinstance(given, Mapping):
            raise bad(MARKETS, f"{market}: is not a JSON object: {hint}")
        yield str(market), given
