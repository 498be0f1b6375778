"""A suite whose embedder serves two versions of a space, as during a roll-out."""

import asyncio
from pathlib import Path

import grpc
import pytest

from examples.wines import loading
from examples.wines.catalogue import load_ratings, load_wines
from examples.wines.upgrade.model import Moment, counts, faults, first_answers
from examples.wines.upgrade.play import roll_out
from local_suite.suite import Suite
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from sightline_client import SightlineClient
from tests.fakes.photos import photo
from tests.live.hands import Hands
from tests.peer_stubs import peer_stub
from tests.waiting import SECONDS

pytestmark = pytest.mark.full


async def test_the_suite_embeds_into_two_versions_and_its_default_one_is_the_shop_s(
    suite: Suite, gateway: str
) -> None:
    async with grpc.aio.insecure_channel(suite.addresses()["embedder"]) as channel:
        stub = peer_stub("embedder", channel, EmbeddingServiceStub)
        async with asyncio.timeout(SECONDS):
            while True:
                listed = (await stub.ListSpaces(pb.ListSpacesRequest())).spaces
                if all(space.ready for space in listed):
                    break
                await asyncio.sleep(0.1)
        spaces = [space for space in listed if space.space == "visual"]
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
    shown = [(each.model, each.version, each.default) for each in status.embedder_spaces]
    assert shown == [(each.model, each.version, each.default_version) for each in listed]


async def test_a_new_model_is_rolled_out_while_shoppers_ask(gateway: str) -> None:
    """Roll out as `make demo-upgrade` does, with fewer wines and shorter pauses."""
    wines, ratings = load_wines()[:12], load_ratings()
    moments: list[Moment] = []
    async with SightlineClient(gateway, catalog="upgraded", timeout=SECONDS) as client:
        await loading.import_wines(client, wines)
        await loading.import_ratings(client, ratings)
        await loading.promote(client, await loading.train(client))
        await loading.wait_indexed(client, len(wines))
        played = await roll_out(
            client,
            gateway,
            wines,
            ratings,
            version="efficientnet_lite2",
            steady_seconds=0.5,
            tell=moments.append,
        )
    assert faults(played) == ()
    assert {kind for kind, _ in counts(played.seen)} == {"photo", "product", "user"}
    steps = [moment.told.partition(":")[0] for moment in moments]
    for step in ("create", "backfill", "verify", "activate", "rolled back", "again"):
        assert step in steps
    assert [moment.told for moment in first_answers(played)] == [
        f"first answer of {name}" for name in (played.after, played.before, played.after)
    ]


@pytest.mark.usefixtures("shop_is_open")
def test_commands_activate_a_generation_only_after_its_verification(
    gateway: str, tmp_path: Path
) -> None:
    hands = Hands(gateway, tmp_path, "default")
    listed = hands.facts("index", "list", "--space", "visual")["generations"]
    (active,) = [each for each in listed if each.get("active")]
    served = hands.facts("status")["embedderSpaces"]
    (other,) = {each["version"] for each in served if each["space"] == "visual"} - {
        active["spaceVersion"]
    }
    made = hands.facts("index", "create", "--version", other)["name"]
    assert "VERIF" in hands.run("index", "activate", made, code=1).upper()
    hands.run("index", "backfill", made)
    hands.run("index", "verify", made)
    hands.run("index", "activate", made)
    hands.run("index", "rollback")
    hands.run("index", "drop", made)
