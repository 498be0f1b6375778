"""Read a plan of a shelf from a CSV or JSON file.

A CSV file has a row for each entry, with the columns of COLUMNS. A JSON file is the `plan` of
DetectProducts over HTTP: {"products": [{"productId": "w1", "facings": 2, "shelf": {"row": 1}}]}.
"""

from collections.abc import Iterator
from pathlib import Path

from google.protobuf import json_format

from sightline.vision.v1 import shelf_pb2
from sightline_client.convert import shelf_plans
from sightline_client.errors import SightlineError
from sightline_client.files import cells
from sightline_client.files.accounts import accounted
from sightline_client.files.cells import Cells
from sightline_client.files.delimited import Delimited
from sightline_client.files.model import FileRefused, Row, bad, checked
from sightline_client.values.parts import PlannedProduct
from sightline_client.values.signals import Box

EDGES = ("left", "top", "right", "bottom")
COLUMNS = ("product_id", "facings", "row", "position", *EDGES)
"""Columns of a CSV file; all but `product_id` may be left out. Facings: default 1."""
MOST_BYTES = 1024 * 1024
MOST_ENTRIES = 300
MOST = 1_000_000
"""Largest number of a cell; the gateway knows the bound of each."""


def read(path: Path) -> tuple[PlannedProduct, ...]:
    """Return the entries of a plan. Raise FileRefused, OSError."""
    if path.stat().st_size > MOST_BYTES:
        raise FileRefused(
            f"{path} is larger than 1 MiB", f"write a plan of at most {MOST_ENTRIES} entries"
        )
    found = _json(path) if path.suffix.lower() == ".json" else tuple(_csv(path))
    if not 1 <= len(found) <= MOST_ENTRIES:
        raise FileRefused(
            f"{path} has {len(found)} entries", f"write a plan of 1 to {MOST_ENTRIES} entries"
        )
    return found


def _json(path: Path) -> tuple[PlannedProduct, ...]:
    try:
        message = json_format.Parse(path.read_bytes(), shelf_pb2.ShelfPlan())
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise FileRefused(
            f"{path}: {error}",
            'write {"products": [{"productId": "w1", "facings": 2, "shelf": {"row": 1}}]}',
        ) from None
    return shelf_plans.products_of(message)


def _csv(path: Path) -> Iterator[PlannedProduct]:
    table = Delimited(path, COLUMNS)
    try:
        for row in accounted(table):
            try:
                yield _planned(checked(row, COLUMNS, ()))
            except SightlineError as error:
                what = "; ".join(f"{one.field}: {one.description}" for one in error.violations)
                raise FileRefused(
                    f"{path}, row {row.number}: {what}", f"columns are {', '.join(COLUMNS)}"
                ) from None
    finally:
        table.close()


def _planned(row: Row) -> PlannedProduct:
    """Return the entry of a row. SightlineError for an invalid one."""
    if row.error is not None:
        raise row.error
    given = row.cells
    box, place = _box(given), [cells.integer(given, name, MOST) for name in ("row", "position")]
    if box is not None and any(place):
        raise bad("row", "is given, and so are edges: give a row or a part of the photo")
    return PlannedProduct(
        cells.required(given, "product_id"),
        cells.integer(given, "facings", MOST) if cells.text(given, "facings") else 1,
        row=place[0],
        position=place[1],
        box=box,
    )


def _box(row: Cells) -> Box | None:
    edges = [cells.number(row, name) for name in EDGES]
    given = [float(edge) for edge in edges if edge is not None]
    if not given:
        return None
    if len(given) < len(EDGES):
        raise bad("left", "and the other edges belong together: give all four or none")
    return Box(*given)
