"""The client against a gateway with canned answers, over a real connection."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from google.rpc import code_pb2

from sightline.gateway.v1 import admin_service_pb2
from sightline_client import (
    CatalogState,
    DeadlineExceeded,
    Event,
    EventType,
    F,
    InvalidRequest,
    JobState,
    NotFound,
    Offer,
    Product,
    ProductUpdate,
    ResourceExhausted,
    SceneProblem,
    SightlineClient,
    Sort,
    SteeredBy,
    SynonymRule,
    Unavailable,
    money,
)
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status

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


async def test_it_gives_up_after_five_tries(client: SightlineClient, gateway: FakeGateway) -> None:
    gateway.fail("GetProduct", *[DOWN] * 9)
    with pytest.raises(Unavailable, match="DRAINING"):
        await client.get_product("wine-1")
    assert len(gateway.requests["GetProduct"]) == 5


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


async def test_backups_and_takedowns_are_managed(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    assert await client.delete_backup("b0") == 2_500_000
    assert await client.take_down_photo("a" * 64, reason="a face") == ("p1", "p2")
    assert await client.lift_takedown("a" * 64)
    first, second = await client.list_takedowns()
    assert (first.image_id, second.image_id, first.reason) == ("0" * 64, "1" * 64, "a face")
    assert {request.catalog_id for request in gateway.requests["TakeDownPhoto"]} == {"default"}


async def test_products_are_marked_as_different(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    (pair,) = await client.mark_distinct_products(["b", "a"])
    assert (pair.product_id, pair.other_product_id, pair.author) == ("a", "b", "ann")
    assert [each async for each in client.list_distinct_products()] == [pair]
    assert await client.unmark_distinct_products(["a", "b"]) == 1
    assert not [each async for each in client.list_distinct_products()]
    assert gateway.requests["ListDistinctProducts"][0].page_size == 200


async def test_synonyms_are_read_and_replaced(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    held = await client.get_synonyms()
    assert held.rules == (SynonymRule(("vino", "vin"), ("wine",)),)
    made = await client.set_synonyms([SynonymRule(("sofa", "couch"))], etag=held.etag)
    assert (made.rules, made.etag) == ((SynonymRule(("sofa", "couch")),), "e1")
    (sent,) = gateway.requests["SetSynonyms"]
    assert (sent.catalog_id, sent.etag) == ("default", "e0")


async def test_scenes_are_read_checked_and_compared(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    problem = admin_service_pb2.SceneProblem(path="parts", text="unknown")
    gateway.scene = admin_service_pb2.SceneFile(scene="home", version="v1", warnings=[problem])
    gateway.checked_scene = admin_service_pb2.CheckSceneResponse(problems=[problem, problem])
    figure = admin_service_pb2.ExpectedFigure(name="revenue", currency_code="EUR")
    gateway.scene_diff = admin_service_pb2.DiffSceneResponse(answer_count=9, expected=[figure])
    assert [each.scene for each in (await client.list_scenes()).scenes] == ["home"]
    assert (await client.get_scene("home")).warnings == (SceneProblem("parts", "unknown"),)
    checked = await client.check_scene("[parts]", scene="home")
    assert (checked.valid, len(checked.problems)) == (False, 2)
    found = await client.diff_scene(scene="home", since=datetime(2026, 1, 2, tzinfo=UTC))
    assert (found.answer_count, found.expected[0].currency) == (9, "EUR")
    assert found.expected[0].before is None
    assert gateway.requests["CheckScene"][0].toml == "[parts]"
    assert gateway.requests["DiffScene"][0].from_time.seconds == 1_767_312_000


async def test_scenes_of_the_record_are_read_and_changed(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    found = await client.list_scene_documents(with_texts=True)
    assert ([each.scene for each in found.documents], found.steered_by) == (
        ["home", "new"],
        SteeredBy.RECORD,
    )
    document = await client.get_scene_document("home")
    assert document.draft is not None
    assert (document.draft.comment, document.versions[0].number) == ("try", 1)
    assert await client.write_scene_draft("home", "views = 2\n", etag="v1") == document
    assert await client.publish_scene("home", number=1, in_advance=True) == document
    assert await client.delete_scene_document("home")
    await client.update_catalog("staging", steered_by=SteeredBy.RECORD)
    (request,) = gateway.requests["UpdateCatalog"]
    assert (request.catalog.steered_by, [*request.update_mask.paths]) == (2, ["steered_by"])


async def test_catalogs_are_created_changed_and_listed(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    labels = {"team": "shop", "stage": "test"}
    made = await client.create_catalog("staging", display_name="S", labels=labels, quota_share=0.5)
    assert (made.catalog_id, made.display_name, made.labels) == ("staging", "S", labels)
    assert (made.state, made.declared, made.quota_share) == (CatalogState.ACTIVE, False, 0.5)
    first, second = await client.list_catalogs()
    assert (first.catalog_id, second.catalog_id) == ("shop-0", "shop-1")
    assert (await client.get_catalog()).catalog_id == "default"
    await client.update_catalog("staging", quota_share=2.0, labels={}, etag="e1")
    (request,) = gateway.requests["UpdateCatalog"]
    assert sorted(request.update_mask.paths) == ["labels", "quota_share"]
    assert (request.catalog.etag, request.catalog.quota_share) == ("e1", 2.0)
    deleted = await client.delete_catalog("staging")
    assert (deleted.state, deleted.pending_services) == (CatalogState.DELETED, ())
    assert gateway.requests["DeleteCatalog"][0].undo_days == 7
    assert (await client.undelete_catalog("staging")).state is CatalogState.ACTIVE


async def test_a_catalog_is_copied(client: SightlineClient, gateway: FakeGateway) -> None:
    job = await client.copy_catalog("staging")
    assert job.job_id == gateway.job_states[0].job_id
    (request,) = gateway.requests["CopyCatalog"]
    assert (request.catalog_id, request.target_catalog_id) == ("default", "staging")
    assert request.request_id


async def test_aliases_of_catalogs_are_set_listed_and_deleted(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    made = await client.set_catalog_alias("shop", "staging", etag="e0")
    assert (made.alias_id, made.catalog_id, made.etag) == ("shop", "staging", "e1")
    assert gateway.requests["SetCatalogAlias"][0].etag == "e0"
    assert await client.list_catalog_aliases() == (made,)
    assert await client.delete_catalog_alias("shop", etag="e1")
    assert not await client.delete_catalog_alias("other")
    assert {each.catalog_id for each in gateway.requests["DeleteCatalogAlias"]} == {"default"}


async def test_a_product_with_an_etag_is_sent_again_after_a_lost_answer(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    product = Product(product_id="p", title="A wine", etag="e1")
    gateway.fail("UpsertProducts", DOWN)
    await client.upsert_products([product])
    gateway.fail("UpdateProducts", DOWN)
    await client.update_products([ProductUpdate(product, ("title",))])
    for method in ("UpsertProducts", "UpdateProducts"):
        first, second = gateway.requests[method]
        assert first == second


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


@pytest.mark.slow
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
        lambda client: client.recommend(text=HALF),
        lambda client: client.search(products="p", page_size=2**40),
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
async def test_what_no_message_can_hold_is_refused_as_an_invalid_request(
    client: SightlineClient, ask: Callable[[SightlineClient], Awaitable[object]]
) -> None:
    with pytest.raises(InvalidRequest):
        await ask(client)


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


async def test_a_listing_is_read_page_by_page_to_its_end(gateway: FakeGateway) -> None:
    async with SightlineClient(gateway.target) as client:
        pages = [page async for page in client.listing_pages(sort=Sort.BRAND, exclude="a")]
        with pytest.raises(TypeError):
            await client.listing(colour="red")  # type: ignore[call-arg]
    assert [(page.product_count, page.next_page_token) for page in pages] == [
        (37, "second"),
        (37, ""),
    ]
    assert [request.page_token for request in gateway.requests["List"]] == ["", "second"]
    assert list(gateway.requests["List"][0].exclude_product_ids) == ["a"]
