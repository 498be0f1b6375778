"""Processes are killed with SIGKILL during writes; every acknowledged row remains."""

import asyncio
import io
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import grpc
import pytest
import pytest_asyncio
from PIL import Image

from local_suite.suite import Suite
from sightline.common.v1.event_pb2 import Shopper
from sightline.ranker.v1.event_service_pb2 import GetEventsRequest
from sightline.ranker.v1.event_service_pb2_grpc import EventServiceStub
from sightline_client import Event, EventType, Product, ProductImage, SightlineClient, Unavailable
from tests.live.conftest import until_indexed

ROUNDS = 5
PRODUCTS_A_ROUND = 10
EVENTS_A_ROUND = 200


@dataclass
class Acknowledged:
    """Acknowledged writes: product id → etag."""

    products: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def acknowledged() -> Acknowledged:
    return Acknowledged()


@pytest_asyncio.fixture
async def kills(gateway: str) -> AsyncIterator[SightlineClient]:
    async with SightlineClient(gateway, catalog="kills") as opened:
        yield opened


def photo(draw: random.Random) -> bytes:
    """Return a small photo that resembles no other product's."""
    tiles = Image.frombytes("RGB", (8, 8), draw.randbytes(3 * 8 * 8))
    image = tiles.resize((48, 48), Image.Resampling.NEAREST)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


async def write_products(client: SightlineClient, name: str, seen: dict[str, str]) -> None:
    """Write products two by two until all are stored, with retries."""
    draw = random.Random(name)
    products = [
        Product(f"{name}-{number}", f"Bottle {number}", images=(ProductImage(photo(draw)),))
        for number in range(PRODUCTS_A_ROUND)
    ]
    while left := [product for product in products if product.product_id not in seen]:
        try:
            async for batch in client.upsert_products(left, batch_size=2):
                seen |= {row.product_id: row.etag for row in batch.outcomes if row.error is None}
        except Unavailable:
            await asyncio.sleep(0.1)


async def killing(suite: Suite, program: str, work: Awaitable[None], delay: float) -> None:
    """Kill a program during the work. Return when both the work and the program are back."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(delay)
    await asyncio.to_thread(suite.kill, program)
    await task
    await asyncio.to_thread(suite.wait_healthy, program)


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(name, marks=pytest.mark.full)
        for name in ("retriever", "retriever-worker", "milvus")
    ],
)
async def test_no_acknowledged_product_is_lost_and_the_index_catches_up(
    suite: Suite, kills: SightlineClient, acknowledged: Acknowledged, program: str
) -> None:
    draw = random.Random(program)
    for number in range(ROUNDS):
        work = write_products(kills, f"{program}-{number}", acknowledged.products)
        await killing(suite, program, work, draw.uniform(0.02, 0.25))
    assert len(acknowledged.products) % (ROUNDS * PRODUCTS_A_ROUND) == 0
    stored = await stored_products(kills)
    assert acknowledged.products.items() <= stored.items()
    await until_indexed(kills, images=len(stored))
    await found_by_its_own_photo(kills, sorted(acknowledged.products))


async def stored_products(client: SightlineClient) -> dict[str, str]:
    """Return the etags in the record by product id. The gateway may need a moment to reconnect."""
    for _ in range(20):
        try:
            return {product.product_id: product.etag async for product in client.list_products()}
        except Unavailable:
            await asyncio.sleep(0.25)
    raise TimeoutError("the catalog does not come back")


async def found_by_its_own_photo(client: SightlineClient, product_ids: list[str]) -> None:
    """Return whether the index holds each product: each is a neighbour of one of them."""
    found = await client.search(products=product_ids[0], page_size=200)
    nearest = {result.product.product_id for result in found.results}
    assert set(product_ids) - nearest <= {product_ids[0]}


async def test_no_acknowledged_event_is_lost_when_the_ranker_is_killed(
    suite: Suite, kills: SightlineClient
) -> None:
    draw = random.Random("ranker")
    visitor, seen = f"visitor-{uuid.uuid4()}", set[str]()
    for number in range(ROUNDS):
        work = write_events(kills, f"round-{number}", visitor, seen)
        await killing(suite, "ranker", work, draw.uniform(0.02, 0.2))
    assert len(seen) == ROUNDS * EVENTS_A_ROUND
    assert await stored_events(suite, visitor) == seen


async def write_events(client: SightlineClient, name: str, visitor: str, seen: set[str]) -> None:
    """Write events five by five until all are stored; repeat the same ids after a failure."""
    events = [
        Event(f"{visitor}-{name}-{number}", EventType.VIEW, f"p-{number}", visitor=visitor)
        for number in range(EVENTS_A_ROUND)
    ]
    send: Callable[[list[Event]], Awaitable[object]] = client.write_events
    while left := [event for event in events if event.event_id not in seen][:5]:
        try:
            await send(left)
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            seen |= {event.event_id for event in left}


async def stored_events(suite: Suite, visitor: str) -> set[str]:
    """Return the ids of all events of a visitor in the ranker; none is stored twice."""
    ids: list[str] = []
    async with grpc.aio.insecure_channel(suite.addresses()["ranker"]) as channel:
        stub = EventServiceStub(channel)
        request = GetEventsRequest(
            catalog_id="kills", shopper=Shopper(visitor_id=visitor), page_size=1_000
        )
        while True:
            page = await stub.GetEvents(request)
            ids += [event.event_id for event in page.events]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
    assert len(ids) == len(set(ids))
    return set(ids)
