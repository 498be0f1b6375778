"""Convert rows to offers of the contract: price and availability of a product."""

from sightline.gateway.v1 import catalog_service_pb2 as catalog
from sightline_client.files import cells
from sightline_client.files.cells import Cells
from sightline_client.files.model import bad
from sightline_client.files.placeholders import identity

COLUMNS = ("id", "price", "currency", "available")
NEEDED = ("id",)


def offer(row: Cells) -> catalog.Offer:
    """Convert a row to an offer. SightlineError for an invalid row."""
    price = cells.money(row, "price")
    available = cells.availability(row, "available")
    if price is None and not available:
        raise bad("price", "is missing, and so is available: there is nothing to set")
    return catalog.Offer(product_id=identity(row, "id"), price=price, availability=available)
