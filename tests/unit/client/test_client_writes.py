"""Products, events and offers that the client writes, against a gateway with canned answers."""

from collections.abc import AsyncIterator

import pytest
from google.rpc import code_pb2

from sightline_client import (
    Event,
    EventType,
    Offer,
    Product,
    ProductImage,
    ProductUpdate,
    ServerFault,
    SightlineClient,
    money,
)
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status

HALF = "half a \ud83c"


async def test_an_import_is_cut_into_batches_and_followed(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    products = (Product(f"p{i}", "title") for i in range(250))
    batches = [batch async for batch in client.upsert_products(products)]
    assert [len(batch.outcomes) for batch in batches] == [100, 100, 50]
    assert [batch.done for batch in batches] == [100, 200, 250]
    assert [batch.index_token for batch in batches] == ["i1", "i2", "i3"]


@pytest.mark.full
@pytest.mark.slow
async def test_large_photos_make_smaller_batches(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    photo = ProductImage(content=bytes(9 * 1024 * 1024))
    report = await client.upsert_products(Product(f"p{i}", "t", images=(photo,)) for i in range(5))
    assert report.stored_count == 5
    sizes = [len(request.products) for request in gateway.requests["UpsertProducts"]]
    assert sizes == [3, 2]


async def test_a_bad_product_never_fails_the_rest(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    gateway.refused["p1"] = status(
        code_pb2.INVALID_ARGUMENT, "not a photo", reason="IMAGE_UNDECODABLE"
    )
    huge = ProductImage(content=bytes(33 * 1024 * 1024))
    report = await client.upsert_products(
        [
            Product("p0", "t"),
            Product("p1", "t"),
            Product("p2", "t", images=(huge,)),
            Product("p3", "t", price=money("NaN", "EUR")),
            Product("p4", "t"),
        ]
    )
    assert report.stored_count == 2
    assert {
        failure.product_id: failure.error and failure.error.reason for failure in report.failures
    } == {
        "p1": "IMAGE_UNDECODABLE",
        "p2": "PRODUCT_TOO_LARGE",
        "p3": "REQUEST_INVALID",
    }
    assert {"p0", "p4"} <= set(gateway.products)


async def test_the_same_product_twice_goes_in_two_batches_in_order(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    await client.upsert_products([Product("a", "first"), Product("a", "second")])
    assert len(gateway.requests["UpsertProducts"]) == 2
    assert gateway.products["a"].title == "second"


async def test_products_may_come_from_an_async_source(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    async def source() -> AsyncIterator[Product]:
        yield Product("a", "A")

    assert (await client.upsert_products(source())).stored_count == 1


async def test_events_are_written_in_batches_and_counted_once(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    events = [Event(f"e{i}", EventType.VIEW, "p", user="u") for i in range(1500)]
    report = await client.write_events(events)
    assert (report.written_count, report.duplicate_count, report.failures) == (1500, 0, ())
    assert len(gateway.requests["WriteEvents"]) == 2
    again = await client.write_events(events[:10])
    assert (again.written_count, again.duplicate_count) == (0, 10)


async def test_a_refused_event_is_named(client: SightlineClient, gateway: FakeGateway) -> None:
    gateway.refused["e1"] = status(
        code_pb2.INVALID_ARGUMENT, "in the future", reason="EVENT_TIME_INVALID"
    )
    report = await client.write_events(
        Event(f"e{i}", EventType.VIEW, "p", visitor="v") for i in range(3)
    )
    assert [(f.event_id, f.error.reason) for f in report.failures] == [("e1", "EVENT_TIME_INVALID")]
    assert set(gateway.events) == {"e0", "e2"}


async def test_smaller_batches_show_progress_sooner_and_larger_ones_are_refused(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    products = [Product(f"p{i}", "title") for i in range(5)]
    batches = [batch async for batch in client.upsert_products(products, batch_size=2)]
    assert [batch.done for batch in batches] == [2, 4, 5]
    for size in (0, 101):
        with pytest.raises(ValueError, match="1 to 100"):
            client.upsert_products(products, batch_size=size)
    with pytest.raises(ValueError, match="1 to 1000"):
        client.write_events([], batch_size=1001)


async def test_a_product_or_event_that_no_message_can_hold_does_not_fail_the_rest(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    products = [Product("p1", "half a \ud83c"), Product("p2", "whole")]
    report = await client.upsert_products(products)
    assert report.stored_count == 1
    assert [failure.product_id for failure in report.failures] == ["p1"]
    assert "p2" in gateway.products
    events = [
        Event("e1", EventType.PURCHASE, "p", user="u", quantity=2**40),
        Event("e2", EventType.VIEW, "p", user="u"),
    ]
    written = await client.write_events(events)
    assert (written.written_count, [item.event_id for item in written.failures]) == (1, ["e1"])


async def test_a_suite_that_answers_for_too_few_items_is_at_fault(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    gateway.unanswered = 1
    with pytest.raises(ServerFault):
        await client.write_events([Event("e1", EventType.VIEW, "p", user="u")])
    with pytest.raises(ServerFault):
        await client.upsert_products([Product("p1", "t"), Product("p2", "t")])
    with pytest.raises(ServerFault):
        await client.update_products([ProductUpdate(Product("p1", "t"))])
    with pytest.raises(ServerFault):
        await client.update_offers([Offer("wine-1", money("9.90", "EUR"))])
    await client.open_import("i")
    with pytest.raises(ServerFault):
        await client.import_products("i", [Product("p1", "t")])


async def test_an_offer_or_row_that_no_message_can_hold_does_not_fail_the_rest(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    price = money("9.90", "EUR")
    offers = await client.update_offers([Offer(HALF, price), Offer("wine-1", price)])
    assert (offers.stored_count, [item.product_id for item in offers.failures]) == (1, [HALF])
    await client.open_import("i")
    products = [Product("p1", HALF), Product(HALF, "t"), Product("p3", "t")]
    report = await client.import_products("i", products)
    assert [failure.row_number for failure in report.failures] == [1, 2]
    assert gateway.stored == ["p3"]


async def test_an_import_goes_on_after_what_is_decided(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    gateway.refused["p3"] = status(code_pb2.INVALID_ARGUMENT, "no", reason="IMAGE_UNDECODABLE")
    products = [Product(f"p{n}", "title") for n in range(250)]
    products[5] = Product("p5", "t", price=money("NaN", "EUR"))
    await client.open_import("i")
    batches = [batch async for batch in client.import_products("i", products[:120])]
    assert [batch.last_row for batch in batches] == [100, 120]
    failures = [failure for batch in batches for failure in batch.failures]
    assert [(f.row_number, f.product_id, f.error.reason) for f in failures] == [
        (4, "p3", "IMAGE_UNDECODABLE"),
        (6, "p5", "REQUEST_INVALID"),
    ]
    state = await client.open_import("i")
    assert (state.rows_done, state.stored_count, state.refused_count) == (120, 118, 2)
    report = await client.import_products("i", products, after=state.rows_done)
    assert report.stored_count == 130
    closing = await client.close_import("i")
    assert (closing.state.rows_done, closing.state.closed) == (250, True)
    assert len(gateway.stored) == len(set(gateway.stored)) == 248


async def test_offers_are_set_and_refused_one_by_one(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    report = await client.update_offers(
        [Offer("wine-1", money("9.90", "EUR")), Offer("none"), Offer("x", money("NaN", "EUR"))]
    )
    assert report.stored_count == 1
    assert [(f.product_id, f.error.reason) for f in report.failures] == [
        ("none", "PRODUCT_NOT_FOUND"),
        ("x", "REQUEST_INVALID"),
    ]
    assert gateway.products["wine-1"].price.units == 9


async def test_events_may_be_under_way_side_by_side(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    events = [Event(f"e{i}", EventType.VIEW, "p", user="u") for i in range(3500)]
    batches = [batch async for batch in client.write_events(events, in_flight=3)]
    assert [batch.done for batch in batches] == [1000, 2000, 3000, 3500]
    assert len(gateway.events) == 3500
