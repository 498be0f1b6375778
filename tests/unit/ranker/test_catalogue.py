import grpc
import pytest

from ranker.catalogue import IDEMPOTENT, Catalogue
from servicekit.channel import connect
from servicekit.errors import ServiceError
from tests.fakes.ranker import FakeProducts, product, serving

PRODUCTS = [product(f"p{n}", "Red", brand="A") for n in range(5)]


async def read(products: FakeProducts):
    async with serving(products) as target:
        channel = connect(target, service_configs=IDEMPOTENT)
        try:
            return await Catalogue(channel).products("shop")
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
