import grpc
import numpy as np
import pytest

from ranker.adapters.retriever import IDEMPOTENT, Catalog
from ranker.domain.features import PhotoVectors
from servicekit.errors import ServiceError
from servicekit.rpc.channel import connect
from tests.fakes.ranker import FakeProducts, FakeVectors, product, serving

PRODUCTS = [product(f"p{n}", "Red", brand="A") for n in range(5)]


async def read(products: FakeProducts):
    async with serving(products) as target:
        channel = connect(target, service_configs=IDEMPOTENT)
        try:
            return await Catalog(channel).products("shop")
        finally:
            await channel.close(None)


async def test_all_pages_are_read_and_sorted_by_id() -> None:
    fake = FakeProducts(PRODUCTS[::-1], page=2)
    assert await read(fake) == tuple(PRODUCTS)
    assert fake.catalogs == ["shop"] * 3


async def test_a_product_that_moves_to_a_later_page_is_one_product() -> None:
    assert await read(FakeProducts([*PRODUCTS[:2], PRODUCTS[1]], page=2)) == tuple(PRODUCTS[:2])


async def test_a_short_outage_is_not_seen() -> None:
    fake = FakeProducts(PRODUCTS)
    fake.failures = [grpc.StatusCode.UNAVAILABLE]
    assert len(await read(fake)) == 5


async def test_a_refusal_is_raised_as_the_error_it_is() -> None:
    fake = FakeProducts(PRODUCTS)
    fake.failures = [grpc.StatusCode.NOT_FOUND]
    with pytest.raises(ServiceError) as caught:
        await read(fake)
    assert caught.value.code == "NOT_FOUND"


async def test_some_products_are_read_in_one_call_without_those_that_are_gone() -> None:
    fake = FakeProducts(PRODUCTS)
    async with serving(fake) as target:
        channel = connect(target, service_configs=IDEMPOTENT)
        found = await Catalog(channel).some("shop", ["p3", "p1", "gone"])
        await channel.close(None)
    assert found == {"p1": PRODUCTS[1], "p3": PRODUCTS[3]}
    assert fake.catalogs == ["shop"]


async def vectors(fake: FakeVectors | None) -> PhotoVectors | None:
    async with serving(FakeProducts([]), fake) as target:
        channel = connect(target, service_configs=IDEMPOTENT)
        try:
            return await Catalog(channel).vectors("shop")
        finally:
            await channel.close(None)


async def test_vectors_come_from_all_pages_with_the_version_of_their_space() -> None:
    found = await vectors(FakeVectors({"c": [5, 6], "a": [1, 2], "b": [3, 4]}, "v7"))
    assert found is not None
    assert (found.product_ids, found.space_version) == (("a", "b", "c"), "v7")
    np.testing.assert_array_equal(found.vectors, [[1, 2], [3, 4], [5, 6]])


async def test_a_retriever_that_can_not_list_vectors_is_one_without_photos() -> None:
    assert await vectors(None) is None


async def test_an_outage_is_no_catalog_without_photos() -> None:
    fake = FakeVectors({"a": [1.0]})
    fake.failures = [grpc.StatusCode.INTERNAL]
    with pytest.raises(ServiceError):
        await vectors(fake)
