"""Patches that vision asks an embedder for, over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import Mock

import grpc
import numpy as np
import pytest

from embedder.domain import errors
from embedder.domain.items import Priority
from embedder.domain.photos import Camera
from embedder.embedding.patch_features import PatchFeatures
from embedder.servicer.embedding import EmbeddingServicer
from servicekit.admission import costs
from servicekit.admission.costs import Cost
from servicekit.config import ServerSettings
from servicekit.errors import InvalidArgument, ServiceError
from servicekit.rpc import server
from servicekit.rpc.server import Binding
from servicekit.status import from_rpc_error
from servicekit.telemetry import Stages
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
from tests.fakes.pieces import piece
from tests.fakes.triton import FakeFetch
from tests.unit.embedder.embedding.test_patch_features import (
    SIDE,
    FakeMaps,
    features,
    model,
    models,
)
from vision.adapters.embedder import EmbedderFrames
from vision.adapters.patches import DESCRIBED, TOGETHER, EmbedderPatches
from vision.domain.errors import EmbedderUnavailable
from vision.domain.inspection import GivenPhoto

__all__ = ["features", "model", "models"]
ADDRESS = "https://a.example/p.jpg"


@pytest.fixture
async def port(features: PatchFeatures) -> AsyncIterator[int]:
    embedder = Mock(fetch=FakeFetch({ADDRESS: piece(5)}))
    parts: dict[str, Any] = dict.fromkeys(("faces", "labels", "regions"))
    servicer = EmbeddingServicer(
        *(embedder, Mock(), Mock(), ("default",)), **parts, patches=features
    )
    running = await server.start([Binding.of(servicer)], ServerSettings(port=0), "embedder")
    yield running.port
    await running.stop()


@pytest.fixture
async def patches(port: int) -> AsyncIterator[EmbedderPatches]:
    frames = EmbedderFrames(f"127.0.0.1:{port}")
    yield EmbedderPatches(frames)
    await frames.close()


async def test_features_and_pixels_arrive_to_the_bit(
    patches: EmbedderPatches, features: PatchFeatures
) -> None:
    stages = Stages()
    seen, found = await patches.describe("default", GivenPhoto(piece(5)), stages)
    own = await features.see(piece(5), Camera.SHOPPER, "default", Priority.BULK, Stages())
    wanted = await features.compute(own.pixels, "default", Priority.BULK, Stages())
    assert np.array_equal(seen.pixels, own.pixels[0])
    assert seen.ratio == own.ratio
    assert np.array_equal(found.patches, wanted.patches)
    assert np.array_equal(found.heads, wanted.heads)
    assert (found.model, found.patches.dtype) == (wanted.model, np.float32)
    assert "infer" in {each.name for each in stages.finished}


async def test_prepared_photos_are_described_as_when_they_were_sent(
    patches: EmbedderPatches, model: FakeMaps
) -> None:
    photos = [GivenPhoto(piece(seed), of_shopper=False) for seed in range(TOGETHER + 2)]
    prepared = [(await patches.prepare("default", each, Stages())).pixels for each in photos]
    assert model.batches == [], "a photo that is prepared only takes no inference"
    found = await patches.compute("default", prepared, Stages())
    for place, photo in enumerate(photos):
        _, one = await patches.describe("default", photo, Stages())
        assert np.array_equal(found.patches[place], one.patches[0])
    assert len(found.heads) == TOGETHER + 2


async def test_the_time_of_the_embedder_and_its_model_counts_for_the_call(
    patches: EmbedderPatches,
) -> None:
    prepared = await patches.prepare("default", GivenPhoto(piece(5)), Stages())
    cost = Cost()
    given = costs.current.set(cost)
    await patches.describe("default", GivenPhoto(piece(5)), Stages())
    assert cost.seconds > DESCRIBED
    before = cost.seconds
    await patches.compute("default", [prepared.pixels] * 3, Stages())
    costs.current.reset(given)
    assert cost.seconds - before > 3 * DESCRIBED


async def test_a_photo_is_fetched_by_the_embedder(patches: EmbedderPatches) -> None:
    by_uri, _ = await patches.describe("default", GivenPhoto(uri=ADDRESS), Stages())
    sent, _ = await patches.describe("default", GivenPhoto(piece(5)), Stages())
    assert np.array_equal(by_uri.pixels, sent.pixels)


async def test_errors_of_a_photo_keep_their_reason(
    patches: EmbedderPatches, model: FakeMaps
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await patches.prepare("default", GivenPhoto(b"no photo"), Stages())
    assert caught.value.reason == "IMAGE_UNDECODABLE"
    await patches.prepare("default", GivenPhoto(piece(1)), Stages())  # loads the model
    model.error = errors.QueueFull()
    with pytest.raises(ServiceError) as full:
        await patches.describe("default", GivenPhoto(piece(1)), Stages())
    assert full.value.reason == "EMBED_QUEUE_FULL"


async def test_an_embedder_that_is_away_is_unavailable() -> None:
    frames = EmbedderFrames("127.0.0.1:9")
    with pytest.raises(EmbedderUnavailable):
        await EmbedderPatches(frames).prepare("default", GivenPhoto(piece(1)), Stages())
    await frames.close()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "ITEM_EMPTY"),
        ({"pixels": b"x"}, "REQUEST_INVALID"),
        ({"pixels": bytes(SIDE * SIDE * 3 * 9)}, "REQUEST_INVALID"),
        ({"image": piece(1), "catalog_id": "none"}, "CATALOG_NOT_FOUND"),
    ],
)
async def test_a_request_that_is_out_of_range_is_rejected(
    port: int, fields: dict[str, Any], reason: str
) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = pb_grpc.EmbeddingServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.DescribePatches(pb.DescribePatchesRequest(**fields))
    assert from_rpc_error(raised.value).reason == reason
