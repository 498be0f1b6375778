"""Two shops of one suite that use the same ids of products, photos, people and events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from functools import cache

import grpc
import pytest
import pytest_asyncio

from examples.wines.catalogue import HERE
from local_suite.suite import Suite
from sightline_client import (
    Event,
    EventType,
    Job,
    JobState,
    Product,
    ProductImage,
    SightlineClient,
    SightlineError,
    money,
)
from tests.live.conftest import until_indexed, until_serving
from tests.waiting import SECONDS

ISOLATED, BESIDE = "isolated", "beside"
PHOTOS = [path.read_bytes() for path in sorted((HERE / "images").glob("*.jpg"))[:12]]
SHARED = ("p0", "p1", "p2", "p3", "p4")
ONLY_HERE = "only-in-isolated"
ANN, NEWCOMER, COOKIE = "ann", "a-newcomer", "cookie"


def products(catalog: str) -> list[Product]:
    """Return the same five ids in both shops; photos, titles, categories and prices differ."""
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
    """Return an event whose id, visit and order are the same in both catalogs."""
    who = fields or {"user": ANN}
    return Event(f"event-{name}", kind, item, session="visit-1", order_id="order-1", **who)


def history(catalog: str) -> list[Event]:
    """Return the events: in one shop all shoppers buy p0 and Ann hides p2; in the other all buy
    p4."""
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
    """Objects created in the first shop only, except the job of the second."""

    model: str
    job: Job
    index_token: str


@pytest.fixture(scope="session")
def shops(gateway: str) -> Shops:
    """Fill both shops; only the first has trained and promoted a model."""
    return _opened(gateway)


@cache
def _opened(gateway: str) -> Shops:
    """Fill the shops once for all files that use the fixture."""
    return asyncio.run(_open(gateway))


async def _open(gateway: str) -> Shops:
    async with (
        SightlineClient(gateway, catalog=ISOLATED, timeout=SECONDS) as isolated,
        SightlineClient(gateway, catalog=BESIDE, timeout=SECONDS) as beside,
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
    """Return the reason of a call that must fail."""
    with pytest.raises(SightlineError) as caught:
        await call
    return caught.value.reason


async def titles(client: SightlineClient, **request: object) -> list[str]:
    answer = await client.recommend(page_size=50, **request)  # type: ignore[arg-type]
    return [result.product.title for result in answer.results]
