"""A row into a product of the contract."""

from collections.abc import Mapping

from sightline.common.v1 import product_pb2
from sightline_client.errors import SightlineError
from sightline_client.files import cells, lines
from sightline_client.files.cells import Cells
from sightline_client.files.model import bad
from sightline_client.files.photos import PhotoFolder

COLUMNS = (
    *("id", "title", "category", "brand", "price", "currency", "available", "images", "tags"),
    *("attributes", "parent_id", "language", "description", "uri"),
)
NEEDED = ("id", "title")


def product(row: Cells, folder: PhotoFolder, *, read: bool = True) -> product_pb2.Product:
    """The product with its photos' bytes (``read``), or with empty photos; SightlineError for what
    it can't be."""
    return product_pb2.Product(
        product_id=cells.required(row, "id"),
        title=cells.required(row, "title"),
        parent_id=cells.text(row, "parent_id"),
        description=cells.text(row, "description"),
        category_path=cells.texts(row, "category", ">"),
        brand=cells.text(row, "brand"),
        price=cells.money(row, "price"),
        availability=cells.availability(row, "available"),
        tags=cells.texts(row, "tags", "|"),
        attributes=_attributes(row.get("attributes")),
        language_code=cells.text(row, "language"),
        uri=cells.text(row, "uri"),
        # Last: a row that is bad anyway need not have its photos read.
        images=folder.images(photos(row), read=read),
    )


def photos(row: Cells) -> list[str]:
    """The names or addresses of the row's photos; SightlineError for what is none."""
    return cells.texts(row, "images", "|")


def product_id(row: Cells) -> str:
    """The row's id; "" where it has none that can be read."""
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
            raise bad("attributes", f"is no JSON: {error}") from None
    pairs = _pairs(value)
    return [
        cells.attribute("attributes", key, part)
        for key, item in pairs
        if item is not None
        for part in (item if isinstance(item, list) else [item])
    ]


def _pairs(value: object) -> list[tuple[object, object]]:
    """An object's items; a Parquet map comes as a list of pairs."""
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, list) and all(
        isinstance(item, tuple) and len(item) == 2 for item in value
    ):
        return [(key, item) for key, item in value]
    raise bad("attributes", 'is no JSON object: write {"country": "Italy", "abv": 13.5}')
