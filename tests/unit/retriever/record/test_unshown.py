"""Fields for operators only are stored and restored, and neither rows nor etags reveal them."""

from __future__ import annotations

from dataclasses import replace

from retriever.domain.product import ProductContent, ProductWrite, Stored
from retriever.record import Record
from retriever.record.products import content_etag
from retriever.servicer import product_messages
from sightline_rules.filters import Money

TEA = ProductContent("tea", "Tea", price=Money("EUR", 5_000_000))
DEAR = replace(TEA, cost=Money("EUR", 3_250_000))


async def test_a_cost_is_stored_and_changed_though_no_etag_tells_it(record: Record) -> None:
    assert content_etag(TEA) == content_etag(DEAR), "callers read etags, and could try costs"
    last = 0
    for content in (TEA, DEAR, replace(DEAR, cost=Money("EUR", 1)), TEA):
        (outcome,), seq = await record.write("default", [ProductWrite(content, {})])
        assert isinstance(outcome, Stored)
        assert (await record.get("default", ["tea"]))["tea"].content.cost == content.cost
        assert seq > last
        last = seq
    _, again = await record.write("default", [ProductWrite(TEA, {})])
    assert again == last, "what changes nothing takes no number"


async def test_a_row_has_what_is_not_shown_for_operators_alone(record: Record) -> None:
    await record.write("default", [ProductWrite(DEAR, {})])
    product = (await record.get("default", ["tea"]))["tea"]
    message = product_messages.row(product)
    assert not message.HasField("cost")
    full = product_messages.with_unshown(message, product)
    assert (full.cost.units, full.cost.nanos, full.title) == (3, 250_000_000, "Tea")
    assert not message.HasField("cost"), "rows are cached for all callers"
