"""What is lent is what would be sent."""

from gateway.clients.columns import columns, columns_of
from retriever.servicer.lent import Lent
from sightline_core.search import ListingRequest
from tests.unit.retriever.servicer.test_shown_products import Reading, reading, servicer

__all__ = ["reading"]
WANTED = ListingRequest(order="NEWEST", size=10)


async def test_a_list_has_no_hashes_as_it_shows_products_of_one_picture_too(
    reading: Reading,
) -> None:
    lent = Lent(servicer(reading), None, None, None)  # type: ignore[arg-type]
    await lent.browse("default", WANTED, lent.read_filter(None), None)
    held = lent.of_products.columns.held("default")
    assert held is not None
    held.table.image_hash[:3] = [7, 7, 9]
    listed, _ = await lent.browse("default", WANTED, lent.read_filter(None), None)
    sent = columns(columns_of(listed.rows))
    for name in ("product_ids", "parent_ids", "image_hashes", "create_time_micros"):
        assert list(getattr(listed.columns, name)) == list(getattr(sent, name)), name
