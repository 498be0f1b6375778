"""Convert rows to products of the contract."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor

from sightline.common.v1 import product_pb2
from sightline_client.errors import SightlineError
from sightline_client.files import cells, lines, market_cells
from sightline_client.files.cells import Cells
from sightline_client.files.market_cells import MarketColumns
from sightline_client.files.model import bad
from sightline_client.files.photos import PhotoFolder
from sightline_client.files.placeholders import identity
from sightline_client.values.fields import FieldKind, ProductField
from sightline_client.values.products import WRITTEN

T = TypeVar("T")


def product(row: Cells, folder: PhotoFolder, *, read: bool = True) -> product_pb2.Product:
    """Convert a row to a product, with its photos' bytes (``read``) or with empty photos.
    SightlineError for an invalid row."""
    made: dict[str, Any] = {"product_id": identity(row, "id")}
    made |= {wire: read_cell(row, column) for wire, column, read_cell in _READERS}
    # Last: the photos of a rejected row are not read.
    return product_pb2.Product(**made, images=folder.images(photos(row, folder), read=read))


def photos(row: Cells, folder: PhotoFolder) -> list[str]:
    """Return the names or addresses of the row's photos; those with the product's id as name if the
    file has no such column. SightlineError for an invalid one."""
    if "images" not in row:
        return list(folder.named(product_id(row)))
    return _once(cells.addresses(row, "images"))


def product_id(row: Cells) -> str:
    """Return the row's id; "" if it has no readable one."""
    try:
        return cells.text(row, "id")
    except SightlineError:
        return ""


def _attributes(value: object) -> list[product_pb2.Attribute]:
    if value is None or value == "":
        return []
    if isinstance(value, str):
        try:
            value = lines.parse(cells.text({"attributes": value}, "attributes"))
        except (ValueError, RecursionError, ArithmeticError) as error:
            raise bad("attributes", f"is not JSON: {error}") from None
    found = [
        cells.attribute("attributes", key, part)
        for key, item in _pairs(value)
        if item is not None
        for part in (_once(item) if isinstance(item, list) else [item])
    ]
    return found if isinstance(value, Mapping) else _once(found)  # pairs may repeat a key


def _once(values: list[T]) -> list[T]:
    """Return each value once, where it stands first."""
    return list({repr(value): value for value in values}.values())


def _number(row: Cells, name: str) -> float | None:
    """Read a number; None = not said."""
    exact = cells.number(row, name)
    if exact is None:
        return None
    if not math.isfinite(value := float(exact)):
        raise bad(name, f"{exact} is too large")
    return value


def _count(row: Cells, name: str) -> int | None:
    """Read a whole number from 0 to 2³¹ − 1; None = not said."""
    return None if cells.number(row, name) is None else cells.integer(row, name, _INT32)


def _pairs(value: object) -> list[tuple[object, object]]:
    """Return an object's items; a Parquet map comes as a list of pairs."""
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, list) and all(
        isinstance(item, tuple) and len(item) == 2 for item in value
    ):
        return [(key, item) for key, item in value]
    raise bad("attributes", 'is not a JSON object: write {"country": "Italy", "abv": 13.5}')


_BY_KIND: Mapping[FieldKind, Callable[[Cells, str], Any]] = {
    FieldKind.TEXT: cells.text,
    FieldKind.WORDS: cells.words,
    FieldKind.TEXTS: lambda row, name: _once(cells.texts(row, name, "|")),
    FieldKind.CATEGORY: lambda row, name: cells.texts(row, name, ">"),
    FieldKind.MONEY: cells.money,
    FieldKind.TIME: cells.time,
    FieldKind.NUMBER: _number,
    FieldKind.FLAG: cells.flag,
    FieldKind.AVAILABILITY: cells.availability,
    FieldKind.ATTRIBUTES: lambda row, name: _attributes(row.get(name)),
    FieldKind.MARKETS: lambda row, _: market_cells.read(row),
}

_FOR_PEOPLE = {"brand", "description"}
"""Columns of whole texts that may hold HTML, unlike ids, addresses and languages."""
_FIELDS = sorted(WRITTEN, key=lambda field: not field.required)
_INT32 = 2**31 - 1
_COUNTS = {
    field.name
    for field in product_pb2.Product.DESCRIPTOR.fields
    if field.cpp_type == FieldDescriptor.CPPTYPE_INT32
}


def _reader(field: ProductField) -> Callable[[Cells, str], Any]:
    if field.required:
        return lambda row, name: cells.words({name: cells.required(row, name)}, name)
    if field.column == "uri":
        return cells.address
    if field.column in _FOR_PEOPLE:
        return cells.words
    return _count if field.wire in _COUNTS else _BY_KIND[field.kind]


_READERS = tuple((field.wire, field.column, _reader(field)) for field in _FIELDS)
"""For each field: its name in the message, its column, and the function that reads its cell."""


def _columns() -> Iterator[str]:
    """Yield our columns; the currency follows the first amount, the photos come last."""
    yield "id"
    money = False
    for field in _FIELDS:
        yield field.column
        if field.kind is FieldKind.MONEY and not money:
            money = True
            yield "currency"
    yield "images"


COLUMNS = MarketColumns(_columns())
NEEDED = ("id", *(field.column for field in WRITTEN if field.required))
