"""Data that is deleted in one shop of a suite remains in the other."""

import hashlib

import pytest

from sightline_client import JobState, SightlineClient, all_of
from tests.live.conftest import until_indexed
from tests.live.two_shops import PHOTOS, SHARED, beside, isolated, refusal, shops

pytestmark = pytest.mark.full

__all__ = ["beside", "isolated", "shops"]  # fixtures


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
