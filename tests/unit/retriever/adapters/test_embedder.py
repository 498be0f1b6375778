"""The embedder's client against a fake embedder on real gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from retriever.adapters.embedder import EmbedderClient
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import EmbedderUnavailable, ImageRejected, VersionMismatch
from retriever.domain.vectors import GivenVector
from servicekit.errors import FailedPrecondition, ServiceError
from sightline.common.v1 import photo_pb2
from tests.fakes.embedder import FakeEmbedder, embedder_server
from tests.fakes.index import DIMENSION, VERSION, vector_of


@pytest.fixture
def fake() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
async def client(fake: FakeEmbedder) -> AsyncIterator[EmbedderClient]:
    server, port = embedder_server(fake)
    await server.start()
    made = EmbedderClient(f"127.0.0.1:{port}", seconds=5)
    yield made
    await made.close()
    await server.stop(None)


async def test_vectors_come_with_their_version(client: EmbedderClient) -> None:
    (found,) = await client.embed("default", "visual", VERSION, [b"photo"])
    data = vector_of(b"photo").tobytes()
    assert found == GivenVector("visual", VERSION, DIMENSION, data)


async def test_photos_are_named_as_the_catalog_s(
    client: EmbedderClient, fake: FakeEmbedder
) -> None:
    await client.embed("default", "visual", VERSION, [b"one", b"two"])
    assert fake.kinds == [photo_pb2.PHOTO_KIND_CATALOGUE] * 2


async def test_photos_that_shoppers_took_are_named_as_theirs(
    client: EmbedderClient, fake: FakeEmbedder
) -> None:
    fake.shopper_tags = frozenset({"phone"})
    (offer,) = await client.spaces("default")
    assert offer.shopper_photo_tags == {"phone"}
    await client.embed("default", "visual", VERSION, [b"one", b"two"], shoppers=[1])
    assert fake.kinds == [photo_pb2.PHOTO_KIND_CATALOGUE, photo_pb2.PHOTO_KIND_SHOPPER]


async def test_each_photo_has_an_outcome_of_its_own(
    client: EmbedderClient, fake: FakeEmbedder
) -> None:
    fake.poison[b"bad"] = ImageRejected("IMAGE_UNDECODABLE", "no")
    bad, good = await client.embed("default", "visual", VERSION, [b"bad", b"good"])
    assert isinstance(bad, ServiceError)
    assert bad.reason == "IMAGE_UNDECODABLE"
    assert isinstance(good, GivenVector)


@pytest.mark.parametrize("reason", ["EMBED_QUEUE_FULL", "SPACE_UNAVAILABLE", "PEER_UNKNOWN"])
async def test_a_reason_that_says_nothing_of_the_photo_means_down(
    client: EmbedderClient, fake: FakeEmbedder, reason: str
) -> None:
    fake.poison[b"photo"] = FailedPrecondition("later", reason=reason)
    (found,) = await client.embed("default", "visual", VERSION, [b"photo"])
    assert isinstance(found, EmbedderUnavailable)


async def test_every_version_of_a_space_is_reported_as_it_is_now(
    client: EmbedderClient, fake: FakeEmbedder
) -> None:
    fake.ready = False
    fake.others = {"v2": 4}
    assert await client.spaces("default") == [
        EmbeddingSpace("visual", VERSION, DIMENSION, ready=False, default=True),
        EmbeddingSpace("visual", "v2", 4, ready=False, default=False),
    ]


async def test_a_version_that_has_not_answered_yet_is_not_offered(
    client: EmbedderClient, fake: FakeEmbedder
) -> None:
    fake.others = {"": 0}
    assert [each.version for each in await client.spaces("default")] == [VERSION]


async def test_photos_are_embedded_with_the_version_asked_for(
    client: EmbedderClient, fake: FakeEmbedder
) -> None:
    fake.others = {"v2": 4}
    (found,) = await client.embed("default", "visual", "v2", [b"photo"])
    assert found == GivenVector("visual", "v2", 4, vector_of(b"photo", 4, "v2").tobytes())
    (other,) = await client.embed("default", "visual", "v3", [b"photo"])
    assert isinstance(other, VersionMismatch)


async def test_nobody_there_means_down() -> None:
    client = EmbedderClient("127.0.0.1:1", seconds=0.5)
    with pytest.raises(EmbedderUnavailable):
        await client.spaces("default")
    with pytest.raises(EmbedderUnavailable):
        await client.embed("default", "visual", VERSION, [b"photo"])
    await client.close()
