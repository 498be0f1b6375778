"""Catalogs that are created while services are down, and restarts without the registry."""

import asyncio

import pytest

from local_suite.suite import Suite
from sightline_client import Event, EventType, Product, ProductImage, SightlineClient
from tests.live.conftest import until_indexed
from tests.live.two_shops import PHOTOS, refusal


@pytest.mark.usefixtures("suite")
async def test_every_process_of_its_own_serves_a_new_catalog_at_once(gateway: str) -> None:
    async with SightlineClient(gateway, catalog="new-apart") as client:
        await client.create_catalog("new-apart")
        spaces, models, report = await asyncio.gather(
            client.list_spaces(),
            client.list_models(),
            client.upsert_products([Product("p1", "One", images=(ProductImage(PHOTOS[0]),))]),
        )
        assert (spaces != (), models, report.failures) == (True, (), ())
        written = await client.write_events([Event("e1", EventType.VIEW, "p1", user="ann")])
        assert written.failures == ()
        await until_indexed(client, 1)
        (found,) = (await client.search(image=PHOTOS[0])).results
        assert found.product.product_id == "p1"


async def test_a_service_that_was_down_knows_what_was_created_meanwhile(
    gateway: str, suite: Suite
) -> None:
    async with SightlineClient(gateway, catalog="new-while-down") as client:
        suite.stop("ranker", kill=True)
        suite.stop("embedder", kill=True)
        try:
            await client.create_catalog("new-while-down")
            report = await client.upsert_products([Product("p1", "One")])
        finally:
            suite.start("embedder")
            suite.start("ranker")
        assert report.failures == ()
        assert await client.list_models() == ()
        assert await client.list_spaces() != ()


async def test_the_list_survives_a_restart_without_the_retriever(
    gateway: str, suite: Suite
) -> None:
    async with SightlineClient(gateway, catalog="kept") as client:
        await client.create_catalog("kept")
        assert await client.list_models() == ()  # the ranker knows it
        assert await client.list_spaces() != ()
        suite.stop("retriever", kill=True)
        try:
            for name in ("ranker", "embedder", "gateway"):
                suite.stop(name, kill=True)
                suite.start(name)
            assert await client.list_models() == ()
            assert await client.list_spaces() != ()
            async with SightlineClient(gateway, catalog="unknown") as other:
                assert await refusal(other.list_models(timeout=5)) == "CATALOGS_UNAVAILABLE"
        finally:
            suite.start("retriever")
