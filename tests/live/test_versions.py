"""A suite whose embedder serves two versions of a space, as during a roll-out."""

import asyncio

import grpc

from local_suite.suite import Suite
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from sightline_client import SightlineClient
from tests.fakes.photos import photo


async def test_the_suite_embeds_into_two_versions_and_its_default_one_is_the_shop_s(
    suite: Suite, gateway: str
) -> None:
    async with grpc.aio.insecure_channel(suite.addresses()["embedder"]) as channel:
        stub = EmbeddingServiceStub(channel)
        async with asyncio.timeout(30):
            while True:
                spaces = (await stub.ListSpaces(pb.ListSpacesRequest())).spaces
                if all(space.ready for space in spaces):
                    break
                await asyncio.sleep(0.1)
        assert [space.model for space in spaces] == ["efficientnet_lite0", "efficientnet_lite2"]
        request = pb.BatchEmbedRequest()
        for version in ("", *(space.version for space in spaces)):
            request.items.add(image=photo(300, 200), space_version=version)
        results = (await stub.BatchEmbed(request)).results
    found = [(r.vector.space_version, r.vector.dimension) for r in results]
    first, second = ((space.version, space.dimension) for space in spaces)
    assert found == [first, first, second]
    assert results[0].vector == results[1].vector
    async with SightlineClient(gateway) as client:
        status = await client.status()
    assert status.embedder_space_version == spaces[0].version
    told = [(each.model, each.version, each.default) for each in status.embedder_spaces]
    assert told == [(each.model, each.version, each.default_version) for each in spaces]
