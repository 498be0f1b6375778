"""Two shops of one suite that use the same ids of products, people, visits and events, with other
contents: whatever one of them does and learns, the other neither sees nor feels."""

import asyncio
import hashlib
import re
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import grpc
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from examples.wines.catalogue import HERE
from local_suite.suite import Suite
from sightline.common.v1 import event_pb2, job_service_pb2
from sightline.gateway.v1 import catalog_service_pb2
from sightline.ranker.v1 import (
    answer_service_pb2,
    answer_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
)
from sightline_client import (
    Event,
    EventType,
    Job,
    JobState,
    Product,
    ProductImage,
    SightlineClient,
    SightlineError,
    all_of,
    money,
)
from tests.fakes.photos import photo
from tests.live.conftest import CATALOGS, until_indexed, until_serving
from tests.waiting import SECONDS

ISOLATED, BESIDE = "isolated", "beside"
PHOTOS = [path.read_bytes() for path in sorted((HERE / "images").glob("*.jpg"))[:12]]
SHARED = ("p0", "p1", "p2", "p3", "p4")
ONLY_HERE = "only-in-isolated"
ANN, STRANGER, COOKIE = "ann", "a-stranger", "cookie"


def products(catalog: str) -> list[Product]:
    """The same five ids in both; photos, titles, categories and prices are each shop's own."""
    first = 0 if catalog == ISOLATED else 5
    made = [
        Product(
            item,
            f"{catalog} {item}",
            category_path=(catalog, "all"),
            price=money(str(10 + number), "EUR" if catalog == ISOLATED else "CNY"),
            images=(ProductImage(PHOTOS[first + number]),),
        )
        for number, item in enumerate(SHARED)
    ]
    if catalog == ISOLATED:
        made.append(Product(ONLY_HERE, "isolated", images=(ProductImage(PHOTOS[10]),)))
    return made


def event(catalog: str, name: str, kind: EventType, item: str, **fields: str) -> Event:
    """Its id, its visit and its order are the same in both catalogs."""
    who = fields or {"user": ANN}
    return Event(f"event-{name}", kind, item, session="visit-1", order_id="order-1", **who)


def history(catalog: str) -> list[Event]:
    """In one shop everybody buys p0 and Ann hides p2; in the other one everybody buys p4."""
    best = "p0" if catalog == ISOLATED else "p4"
    bought = [
        event(catalog, f"bought-{n}", EventType.PURCHASE, best, user=f"user-{n}") for n in range(6)
    ]
    viewed = [
        event(catalog, f"viewed-{n}", EventType.VIEW, SHARED[n % 4 + 1], user=f"user-{n}")
        for n in range(4)
    ]
    if catalog == BESIDE:
        return [*bought, *viewed]
    return [
        *bought,
        *viewed,
        event(catalog, "seen", EventType.VIEW, "p1"),
        event(catalog, "hidden", EventType.HIDE, "p2"),
    ]


@dataclass(frozen=True)
class Shops:
    """What was made in the first shop alone, but for the job of the second."""

    model: str
    job: Job
    index_token: str


@pytest.fixture(scope="module")
def shops(gateway: str) -> Shops:
    """Both are filled; only the first has trained and promoted a model."""
    return asyncio.run(_open(gateway))


async def _open(gateway: str) -> Shops:
    async with (
        SightlineClient(gateway, catalog=ISOLATED, timeout=30) as isolated,
        SightlineClient(gateway, catalog=BESIDE, timeout=30) as beside,
    ):
        for client in (isolated, beside):
            await client.upsert_products(products(client.catalog))
            report = await client.write_events(history(client.catalog))
            assert (report.written_count, report.failures) == (len(history(client.catalog)), ())
        job = await isolated.train_model(seed=1)
        async for state in isolated.watch_job(job.job_id):
            job = state
        assert job.state is JobState.SUCCEEDED, job
        version = (await isolated.list_models())[0].model_version
        await isolated.promote_model(version, force=True)
        await until_serving(isolated, version)
        await until_indexed(isolated, images=6)
        await until_indexed(beside, images=5)
        freshness = (await isolated.status()).freshness
        assert freshness is not None
        return Shops(version, job, freshness.index_token)


@pytest_asyncio.fixture
async def isolated(gateway: str, shops: Shops) -> AsyncIterator[SightlineClient]:
    async with SightlineClient(gateway, catalog=ISOLATED) as opened:
        yield opened


@pytest_asyncio.fixture
async def beside(gateway: str, shops: Shops) -> AsyncIterator[SightlineClient]:
    async with SightlineClient(gateway, catalog=BESIDE) as opened:
        yield opened


@pytest_asyncio.fixture
async def ranker(suite: Suite, shops: Shops) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(suite.addresses()["ranker"]) as channel:
        yield channel


async def refusal(call: Awaitable[object]) -> str:
    """The reason of a call that must fail."""
    with pytest.raises(SightlineError) as caught:
        await call
    return caught.value.reason


async def titles(client: SightlineClient, **request: object) -> list[str]:
    answer = await client.recommend(page_size=50, **request)  # type: ignore[arg-type]
    return [result.product.title for result in answer.results]


# ---- products and photos


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


async def test_each_shop_recommends_to_strangers_what_is_popular_there(
    isolated: SightlineClient, beside: SightlineClient
) -> None:
    assert (await titles(isolated, user=STRANGER))[0] == "isolated p0"
    assert (await titles(beside, user=STRANGER))[0] == "beside p4"


async def test_a_customer_of_one_shop_is_a_stranger_in_the_other(
    isolated: SightlineClient, beside: SightlineClient
) -> None:
    here = await isolated.recommend(user=ANN, page_size=50)
    assert {part.name for one in here.results for part in one.parts} >= {"taste", "session"}
    known = await beside.recommend(user=ANN, page_size=50)
    unknown = await beside.recommend(user=STRANGER, page_size=50)
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
    before = await beside.recommend(user=STRANGER, page_size=50)
    purge = await isolated.purge_events(product_id="p3", user="gone", force=True)
    assert purge.event_count == 2
    assert purge.job is not None
    async for state in isolated.watch_job(purge.job.job_id):
        ended = state
    assert ended.state is JobState.SUCCEEDED
    assert await events_of(ranker, ISOLATED, user_id="gone") == []
    assert len(await events_of(ranker, BESIDE, user_id="gone")) == 2
    after = await beside.recommend(user=STRANGER, page_size=50)
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
    answer = await isolated.recommend(user=STRANGER, page_size=1)
    assert answer.next_page_token
    again = {"user": STRANGER, "page_size": 1, "page_token": answer.next_page_token}
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


# ---- metrics, and the end


async def test_metrics_name_neither_products_nor_people_and_tell_the_shops_apart(
    suite: Suite, isolated: SightlineClient, shops: Shops
) -> None:
    ports = [one.ports["metrics"] for one in suite.programs.values() if "metrics" in one.ports]
    assert len(ports) == 7
    text = "\n".join([await asyncio.to_thread(scraped, port) for port in ports])
    values = set(re.findall(r'="([^"]*)"', text))
    secrets = {ANN, STRANGER, COOKIE, ONLY_HERE, *SHARED, shops.model, shops.job.job_id}
    assert not values & secrets
    assert not {value for value in values if hashlib.sha256(PHOTOS[10]).hexdigest() in value}
    labelled = set(re.findall(r'catalog="([^"]*)"', text))
    assert {ISOLATED, BESIDE} <= labelled <= set(CATALOGS)


async def test_what_one_shop_waits_for_moves_no_figure_of_the_other(
    suite: Suite, isolated: SightlineClient, beside: SightlineClient
) -> None:
    names = [f"waits-{number}" for number in range(5)]
    await asyncio.to_thread(until_still, suite, ISOLATED, BESIDE)
    before = await asyncio.to_thread(figures, suite)
    # Without the embedder the photos wait, long enough to be seen waiting.
    await asyncio.to_thread(suite.stop, "embedder")
    try:
        for seed, name in enumerate(names):
            product = Product(name, "Waits", images=(ProductImage(photo(seed=100 + seed)),))
            assert (await isolated.upsert_products([product])).failures == ()
        assert await refusal(isolated.get_product("never-was")) == "PRODUCT_NOT_FOUND"
        waits = await asyncio.to_thread(until_waiting, suite, ISOLATED, len(names))
    finally:
        await asyncio.to_thread(suite.start, "embedder")
    assert calls(waits, "UpsertProducts", "OK") - calls(before, "UpsertProducts", "OK") == 5
    assert calls(waits, "GetProduct", "NOT_FOUND") - calls(before, "GetProduct", "NOT_FOUND") == 1
    assert {name for name, value in of(waits, ISOLATED).items() if value != before[name]} == {
        figure(program, f"sightline_index_{metric}", catalog=ISOLATED, space=space)
        for program in ("retriever", "retriever-worker")
        for metric in ("pending", "lag_seconds")
        for space in ("visual", "text")
    }
    await isolated.delete_products(names)
    await asyncio.to_thread(until_still, suite, ISOLATED)
    after = await asyncio.to_thread(figures, suite)
    assert of(before, BESIDE), "nothing is told of the other shop"
    assert of(before, BESIDE) == of(waits, BESIDE) == of(after, BESIDE)


Figure: TypeAlias = tuple[str, str, frozenset[tuple[str, str]]]
"""A program's metric with its labels."""


def figure(program: str, metric: str, **labels: str) -> Figure:
    return program, metric, frozenset(labels.items())


def figures(suite: Suite) -> dict[Figure, float]:
    """Every figure that a program of ours, if it runs, tells of itself."""
    return {
        figure(name, sample.name, **sample.labels): sample.value
        for name, program in suite.programs.items()
        if "metrics" in program.ports and name != "triton" and suite.pid(name)
        for family in text_string_to_metric_families(scraped(program.ports["metrics"]))
        for sample in family.samples
    }


def of(found: Mapping[Figure, float], catalog: str) -> dict[Figure, float]:
    """The figures that carry a catalog's label."""
    return {name: value for name, value in found.items() if ("catalog", catalog) in name[2]}


def calls(found: Mapping[Figure, float], method: str, code: str) -> float:
    """How many of the gateway's calls of the catalogue ended with a code."""
    wanted = {("method", f"sightline.gateway.v1.CatalogService/{method}"), ("code", code)}
    return sum(
        value
        for (program, metric, labels), value in found.items()
        if program == "gateway" and metric == "sightline_rpc_seconds_count" and wanted <= labels
    )


def until_waiting(suite: Suite, catalog: str, photos: int) -> dict[Figure, float]:
    """The figures once they say that so many photos, and texts, of a catalog have no vector."""
    until = time.monotonic() + SECONDS
    while True:
        found = figures(suite)
        told = of(found, catalog).items()
        pending = [value for name, value in told if name[1] == "sightline_index_pending"]
        lags = [value for name, value in told if name[1] == "sightline_index_lag_seconds"]
        if set(pending) == {photos} and (photos or not any(lags)):
            return found
        assert time.monotonic() < until, f"{pending} photos of {catalog} wait, not {photos}"
        time.sleep(0.2)


def until_still(suite: Suite, *catalogs: str) -> None:
    """Waits until the figures say that nothing waits."""
    for catalog in catalogs:
        until_waiting(suite, catalog, 0)


def scraped(port: int) -> str:
    """What a program shows to Prometheus."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS) as answer:
        return str(answer.read().decode())


async def test_a_product_deleted_in_one_shop_stays_in_the_other(
    isolated: SightlineClient, beside: SightlineClient
) -> None:
    await isolated.delete_products(["p4"])
    assert await refusal(isolated.get_product("p4")) == "PRODUCT_NOT_FOUND"
    assert (await beside.get_product("p4")).title == "beside p4"
    await until_indexed(isolated, images=5)
    found = await beside.search(image=PHOTOS[9])
    assert found.results[0].product.product_id == "p4"
    again = await isolated.search(image=PHOTOS[4], page_size=50)
    assert "p4" not in {one.product.product_id for one in again.results}


async def test_purging_one_shops_products_leaves_the_other_whole(
    isolated: SightlineClient, beside: SightlineClient
) -> None:
    purge = await isolated.purge_products(all_of(), force=True)
    assert purge.job is not None
    async for state in isolated.watch_job(purge.job.job_id):
        ended = state
    assert ended.state is JobState.SUCCEEDED
    assert [one async for one in isolated.list_products()] == []
    assert len([one async for one in beside.list_products()]) == len(SHARED)
    image_id = hashlib.sha256(PHOTOS[5]).hexdigest()
    assert (await beside.get_image(image_id)).content == PHOTOS[5]
