"""Catalogs that are created while services are down, and restarts without the registry."""

import asyncio
import contextlib
from functools import partial

import pytest

from local_suite.suite import Suite
from sightline_client import (
    Event,
    EventType,
    JobState,
    Product,
    ProductImage,
    SightlineClient,
    SightlineError,
)
from sightline_client.errors import Unavailable
from tests.live.catalog_removal import MARK, files_with, marked, removed, snapshot_of
from tests.live.conftest import until_indexed
from tests.live.two_shops import PHOTOS, refusal
from tests.waiting import until

pytestmark = pytest.mark.full

CREATED = ("new-apart", "new-while-down", "kept", "to-delete", "copied", "copy")
"""Catalogs that are created here, in the suite of all tests of this folder."""


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


async def answers(client: SightlineClient) -> bool:
    """Return whether a client whose connection was refused has made a new one."""
    try:
        await client.list_models()
    except Unavailable:
        return False
    return True


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
            await until(partial(answers, client))
            assert await client.list_models() == ()
            assert await client.list_spaces() != ()
            async with SightlineClient(gateway, catalog="unknown") as other:
                assert await refusal(other.list_models(timeout=5)) == "CATALOGS_UNAVAILABLE"
        finally:
            suite.start("retriever")


async def test_a_deleted_catalog_is_refused_restored_and_removed_from_every_service(
    gateway: str, suite: Suite
) -> None:
    async with SightlineClient(gateway, catalog="to-delete") as client:
        await client.create_catalog("to-delete")
        product = await marked(client, suite)
        assert files_with(suite.layout.data / "retriever", MARK.encode())
        assert files_with(suite.layout.data / "ranker", MARK.encode())

        await client.delete_catalog("to-delete")
        assert await refusal(client.recommend(image=PHOTOS[0])) == "CATALOG_DELETED"
        assert await refusal(client.upsert_products([product])) == "CATALOG_DELETED"
        await client.undelete_catalog("to-delete")
        assert (await client.get_product("p1")).title == product.title
        assert (await client.search(image=PHOTOS[0])).results

        suite.stop("embedder", kill=True)  # before it can confirm the removal
        try:
            await client.delete_catalog("to-delete", undo_days=0)
            await until(lambda: pending(client, ("embedder",)))
        finally:
            suite.start("embedder")
        await until(lambda: removed(client, "to-delete"))
        for service in ("retriever", "ranker", "gateway", "embedder"):
            assert files_with(suite.layout.data / service, MARK.encode()) == []
        assert not snapshot_of(suite, "to-delete").exists()
        assert await refusal(client.get_product("p1")) == "CATALOG_NOT_FOUND"

        await client.create_catalog("to-delete")
        assert await refusal(client.get_product("p1")) == "PRODUCT_NOT_FOUND"
        assert [one.product_id async for one in client.list_products()] == []


async def pending(client: SightlineClient, services: tuple[str, ...]) -> bool:
    return (await client.get_catalog("to-delete")).pending_services == services


async def test_traffic_during_a_deletion_leaves_nothing(gateway: str, suite: Suite) -> None:
    async with SightlineClient(gateway, catalog="busy") as client:
        await client.create_catalog("busy")
        stop = asyncio.Event()

        async def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                with contextlib.suppress(SightlineError):
                    await client.upsert_products([Product(f"busy{MARK}{number}", "Busy")])
                with contextlib.suppress(SightlineError):
                    await client.write_events(
                        [Event(f"busy{number}", EventType.VIEW, f"busy{MARK}1", user="ann")]
                    )

        writing = asyncio.create_task(write())
        await asyncio.sleep(1.0)
        await client.delete_catalog("busy", undo_days=0)
        await until(lambda: removed(client, "busy"))
        stop.set()
        await writing
        for service in ("retriever", "ranker"):
            assert files_with(suite.layout.data / service, f"busy{MARK}".encode()) == []


async def test_a_copy_that_is_killed_goes_on_by_itself(gateway: str, suite: Suite) -> None:
    async with (
        SightlineClient(gateway, catalog="copied") as client,
        SightlineClient(gateway, catalog="copy") as copy,
    ):
        await client.create_catalog("copied")
        items = [Product(f"p{n:04}", f"Product {n}") for n in range(2_000)]
        items[0] = Product("p0000", "One", images=(ProductImage(PHOTOS[0]),))
        assert (await client.upsert_products(items)).failures == ()
        suite.stop("retriever-worker", kill=True)
        try:
            job = await client.copy_catalog("copy")
            assert await refusal(copy.list_models()) == "CATALOG_COPYING"
        finally:
            suite.start("retriever-worker")

        async def begun() -> bool:
            return (await client.get_job(job.job_id)).state is not JobState.PENDING

        await until(begun)
        suite.stop("retriever-worker", kill=True)
        suite.start("retriever-worker")
        async for state in client.watch_job(job.job_id):
            job = state
        assert (job.state, job.error) == (JobState.SUCCEEDED, None)
        assert [one async for one in copy.list_products()] == [
            one async for one in client.list_products()
        ]
        await until_indexed(copy, 1)
        assert [each.product.product_id for each in (await copy.search(image=PHOTOS[0])).results]
