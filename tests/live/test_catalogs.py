"""Two shops of one suite with equal ids of products, people, visits and events and different
content: no operation of one affects the other.
"""

import hashlib

import grpc
import pytest

from sightline.common.v1 import event_pb2, job_service_pb2
from sightline.gateway.v1 import catalog_service_pb2
from sightline.ranker.v1 import (
    answer_service_pb2,
    answer_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
)
from sightline_client import EventType, JobState, Product, ProductImage, SightlineClient
from tests.live.two_shops import (
    ANN,
    BESIDE,
    COOKIE,
    ISOLATED,
    NEWCOMER,
    ONLY_HERE,
    PHOTOS,
    Shops,
    beside,
    event,
    isolated,
    products,
    ranker,
    refusal,
    shops,
    titles,
)

__all__ = ["beside", "isolated", "ranker", "shops"]  # fixtures


async def test_each_shop_has_its_own_products_under_the_same_ids(
    isolated: SightlineClient, beside: SightlineClient
) -> None:
    for client in (isolated, beside):
        found = {one.product_id: one async for one in client.list_products()}
        expected = {one.product_id: one for one in products(client.catalog)}
        assert found.keys() == expected.keys()
        for item, one in found.items():
            assert (one.title, one.price) == (expected[item].title, expected[item].price)
            assert (await client.get_product(item)).etag == one.etag
    assert await refusal(beside.get_product(ONLY_HERE)) == "PRODUCT_NOT_FOUND"


async def test_status_counts_one_shops_products_and_photos(
    isolated: SightlineClient, beside: SightlineClient, shops: Shops
) -> None:
    here, there = await isolated.status(), await beside.status()
    assert (here.products, here.indexed_images, here.model_version) == (6, 6, shops.model)
    assert (there.products, there.indexed_images, there.model_version) == (5, 5, "")


async def test_a_photo_is_given_to_its_own_shop_only(
    isolated: SightlineClient, beside: SightlineClient
) -> None:
    image_id = hashlib.sha256(PHOTOS[10]).hexdigest()
    assert (await isolated.get_image(image_id)).content == PHOTOS[10]
    assert await refusal(beside.get_image(image_id)) == "IMAGE_NOT_FOUND"
    stolen = Product("stolen", "by its photo's id", images=(ProductImage(image_id=image_id),))
    report = await beside.upsert_products([stolen])
    (outcome,) = report.failures
    assert outcome.error is not None
    assert outcome.error.reason == "IMAGE_NOT_FOUND"


@pytest.mark.parametrize("photo", [0, 5, 10])
async def test_a_photo_finds_the_asking_shops_products_only(
    isolated: SightlineClient, beside: SightlineClient, photo: int
) -> None:
    for client in (isolated, beside):
        found = (await client.search(image=PHOTOS[photo], page_size=50)).results
        answer = (await client.recommend(image=PHOTOS[photo], page_size=50)).results
        for results in (found, answer):
            assert {one.product.product_id for one in results} <= {
                one.product_id for one in products(client.catalog)
            }
            assert {one.product.title.split()[0] for one in results} == {client.catalog}
    # The photo's own product is the nearest in its own shop, and not under that id elsewhere.
    nearest = (await isolated.search(image=PHOTOS[0])).results[0].product.product_id
    assert nearest == "p0"


async def test_a_product_of_the_other_shop_is_near_to_nothing(beside: SightlineClient) -> None:
    found = await beside.recommend(products=[ONLY_HERE, "p1"])
    assert found.missing_product_ids == (ONLY_HERE,)
    assert {one.product.title.split()[0] for one in found.results} == {BESIDE}


# ---- events, popularity, profiles, hides


async def events_of(channel: grpc.aio.Channel, catalog: str, **who: str) -> list[event_pb2.Event]:
    stub = event_service_pb2_grpc.EventServiceStub(channel)
    request = event_service_pb2.GetEventsRequest(
        catalog_id=catalog, shopper=event_pb2.Shopper(**who), page_size=1000
    )
    return list((await stub.GetEvents(request)).events)


async def test_one_id_names_an_event_in_each_shop(ranker: grpc.aio.Channel) -> None:
    found = {
        catalog: [(one.event_id, one.product_id) for one in await events_of(ranker, catalog, **who)]
        for catalog in (ISOLATED, BESIDE)
        for who in ({"user_id": "user-5"},)
    }
    assert found == {
        ISOLATED: [("event-bought-5", "p0")],
        BESIDE: [("event-bought-5", "p4")],
    }
    assert len(await events_of(ranker, ISOLATED, user_id=ANN)) == 2
    assert await events_of(ranker, BESIDE, user_id=ANN) == []


async def test_each_shop_recommends_to_newcomers_what_is_popular_there(
    isolated: SightlineClient, beside: SightlineClient
) -> None:
    assert (await titles(isolated, user=NEWCOMER))[0] == "isolated p0"
    assert (await titles(beside, user=NEWCOMER))[0] == "beside p4"


async def test_a_customer_of_one_shop_is_a_newcomer_in_the_other(
    isolated: SightlineClient, beside: SightlineClient
) -> None:
    here = await isolated.recommend(user=ANN, page_size=50)
    assert {part.name for one in here.results for part in one.parts} >= {"taste", "session"}
    known = await beside.recommend(user=ANN, page_size=50)
    unknown = await beside.recommend(user=NEWCOMER, page_size=50)
    assert [(one.product.product_id, one.parts) for one in known.results] == [
        (one.product.product_id, one.parts) for one in unknown.results
    ]


async def test_what_is_hidden_in_one_shop_is_shown_in_the_other(
    isolated: SightlineClient, beside: SightlineClient
) -> None:
    here = await isolated.recommend(user=ANN, image=PHOTOS[0], page_size=50)
    there = await beside.recommend(user=ANN, image=PHOTOS[0], page_size=50)
    assert "p2" not in {one.product.product_id for one in here.results}
    assert "p2" in {one.product.product_id for one in there.results}
    assert (here.hidden_count, there.hidden_count) == (1, 0)


async def test_a_merge_in_one_shop_leaves_the_visitor_a_visitor_in_the_other(
    isolated: SightlineClient, beside: SightlineClient, ranker: grpc.aio.Channel
) -> None:
    for client in (isolated, beside):
        one = event(client.catalog, "cookie", EventType.VIEW, "p3", visitor=COOKIE)
        await client.write_events([one])
    assert await isolated.merge_shopper(COOKIE, "logged-in") == 1
    later = event(BESIDE, "cookie-later", EventType.VIEW, "p3", visitor=COOKIE)
    await beside.write_events([later])
    assert len(await events_of(ranker, ISOLATED, user_id="logged-in")) == 1
    assert await events_of(ranker, BESIDE, user_id="logged-in") == []
    assert len(await events_of(ranker, BESIDE, visitor_id=COOKIE)) == 2


async def test_a_purge_in_one_shop_leaves_the_others_events_and_popularity(
    isolated: SightlineClient, beside: SightlineClient, ranker: grpc.aio.Channel
) -> None:
    for client in (isolated, beside):
        names = ("purged-1", "purged-2")
        await client.write_events(
            [event(client.catalog, name, EventType.CLICK, "p3", user="gone") for name in names]
        )
    before = await beside.recommend(user=NEWCOMER, page_size=50)
    purge = await isolated.purge_events(product_id="p3", user="gone", force=True)
    assert purge.event_count == 2
    assert purge.job is not None
    async for state in isolated.watch_job(purge.job.job_id):
        ended = state
    assert ended.state is JobState.SUCCEEDED
    assert await events_of(ranker, ISOLATED, user_id="gone") == []
    assert len(await events_of(ranker, BESIDE, user_id="gone")) == 2
    after = await beside.recommend(user=NEWCOMER, page_size=50)
    assert [one.parts for one in after.results] == [one.parts for one in before.results]


# ---- models, jobs, answers, tokens


async def test_a_model_serves_its_own_shop_only(beside: SightlineClient, shops: Shops) -> None:
    assert await beside.list_models() == ()
    assert await refusal(beside.promote_model(shops.model)) == "MODEL_NOT_FOUND"
    assert await refusal(beside.rollback_model()) == "MODEL_NOT_FOUND"
    answer = await beside.recommend(user=ANN)
    assert answer.versions.model_version == ""
    assert answer.degradations == (), "that nothing was learned yet is no loss"


async def test_a_job_is_seen_and_stopped_by_its_own_shop_only(
    isolated: SightlineClient, beside: SightlineClient, shops: Shops
) -> None:
    assert shops.job.job_id in {one.job_id async for one in isolated.list_jobs()}
    assert shops.job.job_id not in {one.job_id async for one in beside.list_jobs()}
    for call in (beside.get_job(shops.job.job_id), beside.cancel_job(shops.job.job_id)):
        assert await refusal(call) == "JOB_NOT_FOUND"
    # The same request id asks for a job of each shop's own.
    asked = [await client.train_model(request_id="same") for client in (isolated, beside)]
    assert asked[0].job_id != asked[1].job_id
    for client, job in zip((isolated, beside), asked, strict=True):
        await client.cancel_job(job.job_id)
        async for _ in client.watch_job(job.job_id):
            pass


async def test_a_page_of_one_shops_answer_is_refused_in_the_other(
    isolated: SightlineClient, beside: SightlineClient
) -> None:
    answer = await isolated.recommend(user=NEWCOMER, page_size=1)
    assert answer.next_page_token
    again = {"user": NEWCOMER, "page_size": 1, "page_token": answer.next_page_token}
    assert await refusal(beside.recommend(**again)) == "PAGE_TOKEN_INVALID"  # type: ignore[arg-type]
    second = await isolated.recommend(**again)  # type: ignore[arg-type]
    assert second.results[0].rank == 2


async def test_an_answer_record_is_kept_for_its_own_shop_only(
    isolated: SightlineClient, ranker: grpc.aio.Channel
) -> None:
    stub = answer_service_pb2_grpc.AnswerServiceStub(ranker)
    for catalog in (ISOLATED, BESIDE):
        record = answer_service_pb2.AnswerRecord(answer_id="the-same-id", scene=catalog)
        await stub.RecordAnswers(
            answer_service_pb2.RecordAnswersRequest(catalog_id=catalog, answers=[record])
        )
    for catalog in (ISOLATED, BESIDE):
        request = answer_service_pb2.GetAnswerRequest(catalog_id=catalog, answer_id="the-same-id")
        assert (await stub.GetAnswer(request)).scene == catalog
    missing = answer_service_pb2.GetAnswerRequest(catalog_id="default", answer_id="the-same-id")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetAnswer(missing)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_list_goes_on_in_its_own_shop_only(
    isolated: SightlineClient, beside: SightlineClient
) -> None:
    ours, theirs = isolated.calls, beside.calls
    listed = await ours(
        ours.catalog.ListProducts,
        catalog_service_pb2.ListProductsRequest(catalog_id=ISOLATED, page_size=1),
        10,
    )
    jobs = await ours(
        ours.jobs.ListJobs, job_service_pb2.ListJobsRequest(catalog_id=ISOLATED, page_size=1), 10
    )
    assert listed.next_page_token
    assert jobs.next_page_token
    for call in (
        theirs(
            theirs.catalog.ListProducts,
            catalog_service_pb2.ListProductsRequest(
                catalog_id=BESIDE, page_size=1, page_token=listed.next_page_token
            ),
            10,
        ),
        theirs(
            theirs.jobs.ListJobs,
            job_service_pb2.ListJobsRequest(
                catalog_id=BESIDE, page_size=1, page_token=jobs.next_page_token
            ),
            10,
        ),
    ):
        assert await refusal(call) == "PAGE_TOKEN_INVALID"


async def test_a_mark_of_one_shops_write_is_none_of_the_others(
    isolated: SightlineClient, beside: SightlineClient, shops: Shops
) -> None:
    asked = {"image": PHOTOS[0], "min_index_token": shops.index_token}
    assert (await isolated.search(**asked)).results  # type: ignore[arg-type]
    for call in (beside.search(**asked), beside.recommend(**asked)):  # type: ignore[arg-type]
        assert await refusal(call) == "INDEX_TOKEN_INVALID"
