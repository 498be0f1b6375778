"""The cost of an expensive request for the gateway and its caller, over real gRPC."""

import asyncio
import random

import pytest
from prometheus_client import REGISTRY

from gateway.state import expensive_requests
from sightline.common.v1 import filter_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2, control_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.retriever.v1 import product_service_pb2, vector_service_pb2
from tests.fakes import gateway_wire_retriever as scripted
from tests.fakes.gateway_script import SPACE
from tests.fakes.gateway_wire import running
from tests.waiting import SECONDS, until
from tests.wire.gateway_calls import photo, refused, suite
from tests.work import longest_turn

__all__ = ["suite"]  # fixtures

CANDIDATES, ATTRIBUTES = 500, 30
LATE = ("DEADLINE_EXCEEDED", "CANCELLED")
OPERATOR = filter_pb2.Comparison.OPERATOR_CONTAINS


def parts_of_attributes(count: int, word: str = "none") -> filter_pb2.Filter:
    """Return a disjunction of conditions that no product meets, so that all are evaluated."""
    conditions = [
        filter_pb2.Filter(
            comparison=filter_pb2.Comparison(
                field="attributes.colour",
                operator=OPERATOR,
                value=filter_pb2.FilterValue(text=f"{word} {n}"),
            )
        )
        for n in range(count)
    ]
    return filter_pb2.Filter(any=filter_pb2.FilterList(filters=conditions))


def boosts(count: int) -> list[control_pb2.Control]:
    """Return boosts by filters with the maximum number of conditions."""
    return [
        control_pb2.Control(
            name=f"boost-{n}",
            kind=control_pb2.Control.KIND_BOOST,
            boost=1.0,
            filter=parts_of_attributes(32, f"word {n}"),
        )
        for n in range(count)
    ]


def described(number: int) -> product_pb2.Product:
    """Return a product with attributes that no other product has."""
    chance = random.Random(number)
    made = product_pb2.Product(product_id=f"p{number}", title=f"Product {number}")
    for _ in range(ATTRIBUTES):
        words = " ".join(f"word{chance.randrange(2_000)}" for _ in range(6))
        made.attributes.add(key="colour", text=words)
    return made


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let searches find many products with many attributes."""
    products = [described(number) for number in range(CANDIDATES)]
    columns = scripted.columns([each.product_id for each in products], {})
    for each in products:
        columns.attributes.add(values=each.attributes)
    answer = vector_service_pb2.SearchResponse(
        candidates=columns,
        similarities=[1 - number / 1_000 for number in range(CANDIDATES)],
        image_ids=[""] * CANDIDATES,
        space=SPACE,
        plan="flat",
    )

    async def search(self, request, context):
        return answer

    async def read(self, request, context):
        ids = set(request.product_ids)
        found = [each for each in products if each.product_id in ids]
        return product_service_pb2.BatchGetProductsResponse(products=found)

    monkeypatch.setattr(scripted.Vectors, "Search", search)
    monkeypatch.setattr(scripted.Products, "BatchGetProducts", read)


@pytest.mark.usefixtures("many")
async def test_ten_kilobytes_of_boosts_leave_the_event_loop_to_other_calls():
    async with running() as shop:
        request = photo(controls=boosts(8))
        assert 9_000 < request.ByteSize() < 20_000
        answer, turn = await longest_turn(shop.recommendation.Recommend(request))
        assert len(answer.control_outcomes) == 8
        assert turn < 7, "in units of 20 ms; on the loop the filters would take ten more"


async def test_a_request_above_the_bound_reaches_no_peer_and_learns_what_to_change(suite):
    signals = [pb.QuerySignal(text="word " * 800)] * 8
    request = pb.RecommendRequest(signals=signals, controls=boosts(8), page_size=200)
    error = await refused(suite.recommendation.Recommend(request))
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "REQUEST_TOO_EXPENSIVE")
    assert [each.field for each in error.violations] == ["signals", "controls"]
    assert float(error.metadata["price_seconds"]) > float(error.metadata["most_seconds"]) == 1
    assert not suite.embedder.script.seen
    assert not suite.retriever.script.seen


async def test_the_bound_is_a_setting():
    async with running(request_seconds=0.3) as strict:
        listed = catalog_service_pb2.ListProductsRequest(filter=parts_of_attributes(32))
        error = await refused(strict.catalog.ListProducts(listed))
        assert error.reason == "REQUEST_TOO_EXPENSIVE"
        assert [each.field for each in error.violations] == ["filter"]
        await strict.catalog.ListProducts(catalog_service_pb2.ListProductsRequest())
        await strict.recommendation.Recommend(photo())


async def test_expensive_requests_use_up_a_quota_that_cheap_ones_do_not():
    """Check the correction of prices: with scripted peers the actual cost is nearly zero."""
    async with running(quota_processor_seconds=0.0001, quota_burst_seconds=1) as limited:
        for _ in range(3):  # 0.75 s each, of 1 s, before it is corrected
            listed = catalog_service_pb2.ListProductsRequest(filter=parts_of_attributes(32))
            await limited.catalog.ListProducts(listed)
        limited.retriever.script.hang.add("ListProducts")
        assert (await refused(limited.catalog.ListProducts(listed, timeout=0.5))).code in LATE
        error = await refused(limited.catalog.ListProducts(listed))
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED")
        assert error.metadata == {"quota": "processor_seconds"}
        assert error.retry_after is not None
        await limited.catalog.GetProduct(catalog_service_pb2.GetProductRequest(product_id="p1"))


def rejected(reason: str) -> float:
    labels = {"service": "gateway", "reason": reason}
    return REGISTRY.get_sample_value("sightline_refused_total", labels) or 0.0


async def test_a_request_above_the_bound_is_counted_with_the_refused_ones():
    async with running(request_seconds=0.3) as strict:
        before = rejected("REQUEST_TOO_EXPENSIVE")
        listed = catalog_service_pb2.ListProductsRequest(filter=parts_of_attributes(32))
        assert (await refused(strict.catalog.ListProducts(listed))).code == "INVALID_ARGUMENT"
        assert rejected("REQUEST_TOO_EXPENSIVE") == before + 1


async def test_expensive_requests_run_after_one_another_beside_cheap_ones(suite, monkeypatch):
    monkeypatch.setattr(expensive_requests, "HELD_SECONDS", SECONDS)  # on a busy machine, too
    listed = catalog_service_pb2.ListProductsRequest(filter=parts_of_attributes(32))
    lists = suite.retriever.script
    lists.hang.add("ListProducts")
    first = suite.catalog.ListProducts(listed, timeout=60)
    await until(lambda: len(lists.requests("ListProducts")) == 1)
    second = asyncio.ensure_future(suite.catalog.ListProducts(listed, timeout=60))
    before = rejected("SERVICE_OVERLOADED")
    error = await refused(suite.catalog.ListProducts(listed, timeout=0.5))
    assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "SERVICE_OVERLOADED")
    assert error.retry_after is not None
    assert rejected("SERVICE_OVERLOADED") == before + 1
    await suite.recommendation.Recommend(photo())
    await suite.catalog.GetProduct(catalog_service_pb2.GetProductRequest(product_id="p1"))
    assert len(lists.requests("ListProducts")) == 1
    lists.hang.clear()
    first.cancel()
    await second
    assert len(lists.requests("ListProducts")) == 2


async def test_the_number_of_expensive_requests_at_a_time_is_a_setting():
    listed = catalog_service_pb2.ListProductsRequest(filter=parts_of_attributes(32))
    async with running(expensive_requests=0) as shop:
        shop.retriever.script.hang.add("ListProducts")
        calls = [shop.catalog.ListProducts(listed, timeout=60) for _ in range(4)]
        await until(lambda: len(shop.retriever.script.requests("ListProducts")) == 4)
        for call in calls:
            call.cancel()


async def test_new_texts_take_the_time_of_their_model_from_the_quota():
    products = [described(number) for number in range(100)]
    batch = catalog_service_pb2.UpsertProductsRequest(products=products)
    async with running(quota_processor_seconds=0.0001, quota_burst_seconds=3600) as limited:
        await limited.catalog.UpsertProducts(batch)  # all that the quota holds, and more
        error = await refused(limited.catalog.UpsertProducts(batch))
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED")
        assert error.metadata == {"quota": "processor_seconds"}
        debt = error.retry_after.total_seconds() * 0.0001
        assert debt == pytest.approx(3.5, rel=0.1)
        one = catalog_service_pb2.GetProductRequest(product_id="p1")
        error = await refused(limited.catalog.GetProduct(one))
        assert error.reason == "QUOTA_EXHAUSTED", "every call costs"
