"""The client against a gateway with canned answers, over a real connection."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from google.rpc import code_pb2

from sightline_client import (
    DeadlineExceeded,
    Event,
    EventType,
    F,
    InvalidRequest,
    JobState,
    NotFound,
    Offer,
    Product,
    ProductImage,
    ProductUpdate,
    ResourceExhausted,
    ServerFault,
    SightlineClient,
    Unavailable,
    money,
)
from tests.fakes.gateway import FakeGateway, status

DOWN = status(code_pb2.UNAVAILABLE, "draining", reason="DRAINING")


async def test_an_answer_comes_back_typed(client: SightlineClient, gateway: FakeGateway) -> None:
    answer = await client.recommend(image=b"jpeg", filter=F.price < money(30, "USD"), page_size=3)
    assert answer.results[0].product.title == "Barolo"
    request = gateway.requests["Recommend"][0]
    assert request.catalog_id == "default"
    assert request.signals[0].image == b"jpeg"
    assert request.page_size == 3


async def test_a_photo_may_be_a_file(
    client: SightlineClient, gateway: FakeGateway, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"from a file")
    found = await client.search(image=photo, images=[b"from memory"])
    assert found.results[0].similarity == 0.5
    images = [signal.image for signal in gateway.requests["Search"][0].signals]
    assert images == [b"from a file", b"from memory"]


async def test_every_call_has_a_deadline_and_a_given_one_wins(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    await client.recommend()
    await client.recommend(timeout=3)
    first, second = gateway.deadlines["Recommend"]
    assert first is not None
    assert second is not None
    assert 3.5 < first < 10.5  # gRPC rounds up
    assert 0 < second < 3.5


async def test_a_missed_deadline_is_typed(client: SightlineClient, gateway: FakeGateway) -> None:
    gateway.delay = 0.5
    with pytest.raises(DeadlineExceeded):
        await client.recommend(timeout=0.05)


async def test_a_refusal_names_reason_and_field(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    gateway.fail(
        "Recommend",
        status(
            code_pb2.INVALID_ARGUMENT,
            "not a photo",
            reason="IMAGE_UNDECODABLE",
            violations=(("signals[0].image", "text, not JPEG, PNG or WebP"),),
        ),
    )
    with pytest.raises(InvalidRequest) as caught:
        await client.recommend(image=b"text")
    assert caught.value.reason == "IMAGE_UNDECODABLE"
    assert caught.value.violations[0].field == "signals[0].image"
    assert len(gateway.requests["Recommend"]) == 1


async def test_a_call_that_met_no_answer_is_tried_again(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    gateway.fail("GetProduct", DOWN, DOWN)
    assert (await client.get_product("wine-1")).title == "Barolo"
    assert len(gateway.requests["GetProduct"]) == 3


async def test_it_gives_up_after_four_tries(client: SightlineClient, gateway: FakeGateway) -> None:
    gateway.fail("GetProduct", *[DOWN] * 9)
    with pytest.raises(Unavailable, match="DRAINING"):
        await client.get_product("wine-1")
    assert len(gateway.requests["GetProduct"]) == 4


async def test_products_with_an_etag_are_never_sent_twice(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    gateway.fail("UpsertProducts", DOWN)
    with pytest.raises(Unavailable):
        await client.upsert_products([Product("a", "A", etag="e1")])
    assert len(gateway.requests["UpsertProducts"]) == 1


async def test_products_without_an_etag_are_tried_again(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    gateway.fail("UpsertProducts", DOWN)
    assert (await client.upsert_products([Product("a", "A")])).stored_count == 1
    assert len(gateway.requests["UpsertProducts"]) == 2


async def test_an_unreachable_gateway_is_named() -> None:
    async with SightlineClient("127.0.0.1:1") as client:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1") as caught:
            await client.status()
    assert caught.value.reason == "GATEWAY_UNREACHABLE"


async def test_an_import_is_cut_into_batches_and_followed(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    products = (Product(f"p{i}", "title") for i in range(250))
    batches = [batch async for batch in client.upsert_products(products)]
    assert [len(batch.outcomes) for batch in batches] == [100, 100, 50]
    assert [batch.done for batch in batches] == [100, 200, 250]
    assert [batch.index_token for batch in batches] == ["i1", "i2", "i3"]


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


async def test_every_page_of_products_is_read(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    await client.upsert_products(Product(f"p{i}", "t") for i in range(3))
    ids = [product.product_id async for product in client.list_products(filter=F.brand == "b")]
    assert ids == ["p0", "p1", "p2", "wine-1"]
    assert all(request.HasField("filter") for request in gateway.requests["ListProducts"])


async def test_products_and_photos_are_read_and_deleted(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    assert (await client.get_image("f" * 64)).content == b"photo"
    deletion = await client.delete_products(["wine-1", "never-there"])
    assert (deletion.deleted_count, deletion.index_token) == (1, "i9")
    with pytest.raises(NotFound) as caught:
        await client.get_product("wine-1")
    assert caught.value.reason == "PRODUCT_NOT_FOUND"


async def test_backups_are_asked_for_once_and_listed_to_the_end(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    for method in ("CreateBackup", "RestoreBackup", "RebuildIndex"):
        gateway.fail(method, DOWN)
    await client.create_backup()
    await client.restore_backup("b0", source_catalog="shop", force=True)
    await client.rebuild_index(space="visual")
    for method in ("CreateBackup", "RestoreBackup", "RebuildIndex"):
        first, second = gateway.requests[method]
        assert first.request_id == second.request_id != ""
    whole, damaged = await client.list_backups()
    assert (whole.backup_id, whole.product_count, whole.error) == ("b0", 7, None)
    assert damaged.error is not None
    assert damaged.error.reason == "BACKUP_DAMAGED"


async def test_training_is_idempotent_even_without_an_id(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    gateway.fail("TrainModel", DOWN)
    job = await client.train_model(seed=7)
    assert job.state is JobState.RUNNING
    first, second = gateway.requests["TrainModel"]
    assert first.request_id
    assert first == second


async def test_a_job_is_followed_to_its_end(client: SightlineClient) -> None:
    states = [job.state async for job in client.watch_job("ranker/1")]
    assert states == [JobState.RUNNING, JobState.SUCCEEDED]
    assert (await client.get_job("ranker/1")).results == {"model_version": "m1"}
    assert (await client.cancel_job("ranker/1")).state is JobState.CANCELLED


async def test_a_lost_watch_is_taken_up_again(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    gateway.fail("WatchJob mid-stream", DOWN)
    jobs = [job async for job in client.watch_job("ranker/1")]
    assert [job.state for job in jobs] == [
        JobState.RUNNING,
        JobState.RUNNING,
        JobState.SUCCEEDED,
    ]


async def test_models_are_listed_and_promoted(client: SightlineClient) -> None:
    models = await client.list_models()
    assert [(model.model_version, model.promoted) for model in models] == [
        ("m0", True),
        ("m1", False),
    ]
    assert models[0].metrics[0].sample_count == 7
    assert (await client.promote_model("m1")).promoted


async def test_the_state_of_the_suite_is_typed(client: SightlineClient) -> None:
    state = await client.status()
    assert state.healthy
    assert (state.products, state.pending_images, state.failed_images) == (100, 1, None)


async def test_a_message_over_the_cap_is_refused_and_typed(client: SightlineClient) -> None:
    with pytest.raises(ResourceExhausted):
        await client.recommend(image=bytes(33 * 1024 * 1024))


async def test_another_catalog_is_in_every_request(gateway: FakeGateway) -> None:
    async with SightlineClient(gateway.target, catalog="shop") as client:
        await client.recommend()
        await client.search(text="x")
        await client.upsert_products([Product("a", "A")])
        await client.get_product("a")
        _ = [product async for product in client.list_products()]
        await client.delete_products("a")
        await client.get_image("f")
        await client.write_events([Event("e", EventType.VIEW, "a", user="u")])
        await client.train_model()
        await client.list_models()
        await client.promote_model("m")
        await client.get_job("j")
        await client.cancel_job("j")
        _ = [job async for job in client.watch_job("j")]
        await client.status()
        await client.update_products([ProductUpdate(Product("a", "A"))])
        await client.update_offers([Offer("a")])
        await client.purge_products(F.brand == "none")
        await client.open_import("i")
        await client.import_products("i", [Product("a", "A")])
        await client.close_import("i")
        await client.merge_shopper("v", "u")
        await client.purge_events(product_id="a")
        await client.rollback_model()
        _ = [job async for job in client.list_jobs()]
    catalogs = {r.catalog_id for requests in gateway.requests.values() for r in requests}
    assert len(gateway.requests) == 25
    assert catalogs == {"shop"}


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


async def test_what_no_message_can_hold_is_refused_as_an_invalid_request(
    client: SightlineClient,
) -> None:
    with pytest.raises(InvalidRequest):
        await client.recommend(text="half a \ud83c")
    with pytest.raises(InvalidRequest):
        await client.search(products="p", page_size=2**40)


async def test_a_watch_that_is_lost_again_and_again_ends_with_its_timeout(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    gateway.fail("WatchJob mid-stream", *[DOWN] * 20)
    with pytest.raises((Unavailable, DeadlineExceeded)):
        async for _ in client.watch_job("ranker/1", timeout=1.2):
            pass
    assert len(gateway.requests["WatchJob"]) <= 3


HALF = "half a \ud83c"
EAST = timezone(timedelta(hours=5))


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.get_product(HALF),
        lambda client: client.delete_products([HALF]),
        lambda client: client.get_image(HALF),
        lambda client: client.train_model(request_id=HALF),
        lambda client: client.train_model(seed=2**70),
        lambda client: client.promote_model(HALF),
        lambda client: client.get_job(HALF),
        lambda client: client.cancel_job(HALF),
        lambda client: anext(client.watch_job(HALF)),
        lambda client: anext(client.list_products(filter=F.brand == HALF)),
        lambda client: client.update_products([ProductUpdate(Product(HALF, "t"))]),
        lambda client: client.purge_products(F.brand == HALF),
        lambda client: client.open_import(HALF),
        lambda client: client.close_import(HALF),
        lambda client: client.import_products(HALF, [Product("p", "t")]),
        lambda client: client.merge_shopper(HALF, "u"),
        lambda client: client.purge_events(user=HALF),
        lambda client: client.purge_events(before=datetime.min.replace(tzinfo=EAST)),
        lambda client: anext(client.list_jobs(kind=HALF)),
    ],
)
async def test_an_id_that_no_message_can_hold_is_refused_as_an_invalid_request(
    client: SightlineClient, ask: Callable[[SightlineClient], Awaitable[object]]
) -> None:
    with pytest.raises(InvalidRequest):
        await ask(client)


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


async def test_an_answer_is_read_page_by_page(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    gateway.pages = 3
    products = (product for product in ["a", "b"])  # once only, and needed for each page
    pages = [page async for page in client.recommend_pages(products=products, page_size=1)]
    assert [page.next_page_token for page in pages] == ["2", "3", ""]
    tokens = [request.page_token for request in gateway.requests["Recommend"]]
    assert tokens == ["", "2", "3"]
    assert {len(request.signals) for request in gateway.requests["Recommend"]} == {2}


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
