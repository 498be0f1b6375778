"""The client by which frames are embedded, against a fake embedder on real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.fakes.embedder import FakeEmbedder, embedder_server
from tests.fakes.index import VERSION, vector_of
from vision.adapters.embedder import EmbedderFrames
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
