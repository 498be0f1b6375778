"""Loading stops at the first step that fails."""

import asyncio

import pytest
from google.rpc import code_pb2

from examples.wines import catalogue, loading
from examples.wines.loading import LoadingFailed
from sightline.common.v1 import job_pb2
from sightline_client import SightlineClient
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.waiting import SECONDS

WINES = catalogue.load_wines()
RATINGS = catalogue.load_ratings()
BAD = status(code_pb2.INVALID_ARGUMENT, "not a photo", reason="IMAGE_UNDECODABLE")


async def test_wines_and_ratings_go_in_with_progress() -> None:
    seen: list[int] = []
    with FakeGateway() as fake:
        async with SightlineClient(fake.target) as client:
            token = await loading.import_wines(client, WINES, lambda done, _: seen.append(done))
            await loading.import_ratings(client, RATINGS)
    assert token == "i10"
    assert seen == list(range(10, 101, 10))
    assert {wine.id for wine in WINES} <= set(fake.products)
    assert set(fake.events) == {rating.event_id for rating in RATINGS}


async def test_a_refused_wine_or_rating_is_named() -> None:
    with FakeGateway() as fake:
        fake.refused = {WINES[3].id: BAD, RATINGS[5].event_id: BAD}
        async with SightlineClient(fake.target) as client:
            with pytest.raises(LoadingFailed, match=rf"{WINES[3].id}.*IMAGE_UNDECODABLE"):
                await loading.import_wines(client, WINES)
            with pytest.raises(LoadingFailed, match=RATINGS[5].event_id):
                await loading.import_ratings(client, RATINGS)


async def test_a_photo_that_cannot_be_embedded_ends_the_wait() -> None:
    with FakeGateway() as fake:
        fake.status.failed_images = 2
        async with SightlineClient(fake.target) as client:
            with pytest.raises(LoadingFailed, match="2 photos"):
                await loading.wait_indexed(client, 100)


async def test_the_wait_ends_when_every_photo_is_in_the_index() -> None:
    with FakeGateway() as fake:
        fake.status.indexed_images, fake.status.pending_images = 100, 0
        async with SightlineClient(fake.target) as client:
            await asyncio.wait_for(loading.wait_indexed(client, 100), SECONDS)


async def test_training_gives_the_models_version_or_fails_with_the_reason() -> None:
    with FakeGateway() as fake:
        async with SightlineClient(fake.target) as client:
            assert await loading.train(client) == "m1"
            await loading.promote(client, "m1")
            fake.job_states[-1].CopyFrom(
                job_pb2.Job(
                    state=job_pb2.Job.STATE_FAILED,
                    error=status(code_pb2.FAILED_PRECONDITION, "no events", reason="NO_EVENTS"),
                )
            )
            with pytest.raises(LoadingFailed, match="FAILED: NO_EVENTS"):
                await loading.train(client)
