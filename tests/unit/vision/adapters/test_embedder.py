"""The client by which frames are embedded, against a fake embedder on real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from servicekit.admission import costs
from servicekit.admission.costs import Cost
from servicekit.errors import InvalidArgument, Unavailable
from sightline.common.v1 import photo_pb2
from sightline_rules.photo_areas import PhotoArea
from tests.fakes.embedder import FakeEmbedder, embedder_server
from tests.fakes.index import VERSION, vector_of
from vision.adapters.embedder import FINDING, PART, VIEW, EmbedderFrames
from vision.adapters.photo_objects import EmbedderPhotos
from vision.domain.detections import SentPhoto
from vision.domain.errors import ImageRejected, VersionMismatch


@dataclass
class BusyEmbedder(FakeEmbedder):
    """Notes how many calls it answers at once, at most."""

    running: int = 0
    most: int = 0

    async def embed(self, *given: Any, **named: Any) -> Any:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.01)
        self.running -= 1
        return await super().embed(*given, **named)


@pytest.fixture
def fake() -> BusyEmbedder:
    return BusyEmbedder()


@pytest.fixture
async def frames(fake: BusyEmbedder) -> AsyncIterator[EmbedderFrames]:
    server, port = embedder_server(fake)
    await server.start()
    made = EmbedderFrames(f"127.0.0.1:{port}")
    yield made
    await made.close()
    await server.stop(None)


async def test_parts_are_embedded_one_after_another(
    frames: EmbedderFrames, fake: BusyEmbedder
) -> None:
    parts = [b"one", b"two", b"three"]
    version, vectors = await frames.embed_parts("default", parts, "")
    assert version == VERSION
    assert fake.embedded == [(VERSION, part) for part in parts]
    assert (fake.calls, fake.most) == ([1, 1, 1], 1)
    for part, vector in zip(parts, vectors, strict=True):
        wanted = vector_of(part)
        assert np.allclose(vector, wanted / np.linalg.norm(wanted), atol=1e-6)


async def test_a_part_that_fails_is_the_error_of_its_frame(
    frames: EmbedderFrames, fake: BusyEmbedder
) -> None:
    fake.poison[b"bad"] = ImageRejected("IMAGE_UNDECODABLE", "no")
    with pytest.raises(ImageRejected):
        await frames.embed_parts("default", [b"good", b"bad", b"other"], "")
    assert fake.calls == [1, 1], "the frame is rejected, so its other parts are not embedded"


async def test_a_version_that_is_not_served_is_named(frames: EmbedderFrames) -> None:
    with pytest.raises(VersionMismatch):
        await frames.embed_parts("default", [b"one"], "gone")


async def test_a_photo_shows_the_objects_that_a_frame_of_it_shows(
    frames: EmbedderFrames, fake: BusyEmbedder
) -> None:
    boxes = photo_pb2.Box(right=0.5, bottom=1.0), photo_pb2.Box(left=0.5, right=1.0, bottom=1.0)
    fake.objects = [(boxes[0], b"one"), (boxes[1], b"two")]
    seen = await frames.find_objects("default", b"shelf", "", vectors=True)
    asked = SentPhoto(b"shelf"), ""
    found = await EmbedderPhotos(frames).objects("default", *asked, most=300, priority=0)
    assert seen is not None
    for one in (seen, found):
        assert [each.box for each in one.objects] == [
            PhotoArea(0.0, 0.0, 0.5, 1.0),
            PhotoArea(0.5, 0.0, 1.0, 1.0),
        ]
    for each, other in zip(seen.objects, found.objects, strict=True):
        assert np.array_equal(each.vector, other.vector)


async def test_a_model_that_is_not_ready_is_unknown_to_a_frame_and_an_error_of_a_photo(
    frames: EmbedderFrames, fake: BusyEmbedder
) -> None:
    fake.finder = Unavailable("no detector", reason="MODEL_NOT_READY")
    assert await frames.find_objects("default", b"shelf", "", vectors=False) is None
    asked = SentPhoto(b"shelf"), ""
    with pytest.raises(Unavailable) as caught:
        await EmbedderPhotos(frames).objects("default", *asked, most=9, priority=0)
    assert caught.value.reason == "MODEL_NOT_READY"


async def test_what_is_wrong_with_a_photo_is_said_of_its_field(
    frames: EmbedderFrames, fake: BusyEmbedder
) -> None:
    fake.finder = InvalidArgument("is text", reason="IMAGE_UNDECODABLE")
    asked = SentPhoto(uri="https://photos.test/a.jpg", name="image_uri"), ""
    with pytest.raises(ImageRejected) as caught:
        await EmbedderPhotos(frames).objects("default", *asked, most=9, priority=0)
    assert (caught.value.reason, caught.value.violations[0].field) == (
        "IMAGE_UNDECODABLE",
        "image_uri",
    )


async def test_what_models_take_counts_for_the_call(
    frames: EmbedderFrames, fake: BusyEmbedder
) -> None:
    cost = Cost()
    given = costs.current.set(cost)
    await frames.embed_parts("default", [b"one", b"two"], "")
    parts = cost.seconds
    fake.objects = [(photo_pb2.Box(right=0.5, bottom=1.0), b"one")]
    found = await frames.find_objects("default", b"shelf", "", vectors=True)
    costs.current.reset(given)
    assert found is not None
    assert 2 * PART < parts < 3 * PART, "the embedder adds what it measured"
    found_for = FINDING + found.views * VIEW
    assert found_for < cost.seconds - parts < 2 * found_for
