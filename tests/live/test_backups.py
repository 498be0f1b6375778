"""The wines are backed up, restored into another catalog and compared; then the index is lost."""

import asyncio
import shutil
from pathlib import Path

import pytest

from examples.wines.catalogue import load_wines
from local_suite.suite import Suite
from sightline_client import Product, SightlineClient
from tests.live.conftest import until_indexed
from tests.live.hands import Hands

pytestmark = pytest.mark.full

RESTORED = "restored"
WINES = load_wines()
ASKED = WINES[::20]
"""Products whose photos are searched for."""


async def answers(client: SightlineClient) -> list[dict[str, float]]:
    """Return similarities by product for some photos, and for some products."""
    found = [await client.search(image=wine.image, page_size=50) for wine in ASKED]
    found += [await client.search(products=wine.id, page_size=50) for wine in ASKED]
    return [
        {result.product.product_id: result.similarity for result in each.results} for each in found
    ]


async def products(client: SightlineClient) -> dict[str, Product]:
    return {product.product_id: product async for product in client.list_products()}


def same(found: list[dict[str, float]], expected: list[dict[str, float]]) -> None:
    assert [len(answer) for answer in expected] == [50] * len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert list(ours) == list(theirs)
        assert ours == pytest.approx(theirs, abs=1e-6)


async def test_the_wines_answer_the_same_after_a_restore(
    gateway: str, client: SightlineClient, tmp_path: Path
) -> None:
    expected, wines = await answers(client), await products(client)
    made = Hands(gateway, tmp_path, "default").facts("backup", "create")
    backup_id = {item["name"]: item["value"] for item in made["results"]}["backup_id"]
    listed = Hands(gateway, tmp_path, "default").facts("backup", "list")["backups"][0]
    assert (listed["backupId"], listed["productCount"]) == (backup_id, str(len(wines)))
    hands = Hands(gateway, tmp_path, RESTORED)
    restored = hands.facts("backup", "restore", backup_id, "--from", "default")
    assert restored["state"] == "STATE_SUCCEEDED"
    async with SightlineClient(gateway, catalog=RESTORED) as beside:
        await until_indexed(beside, len(WINES))
        same(await answers(beside), expected)
        assert await products(beside) == wines
        photo = wines[ASKED[0].id].images[0].image_id
        assert (await beside.get_image(photo)).content == ASKED[0].image.read_bytes()
    refused = hands.run("backup", "restore", backup_id, "--from", "default", code=1)
    assert "CATALOG_NOT_EMPTY" in refused


async def test_one_command_brings_back_an_index_whose_data_was_deleted(
    suite: Suite, gateway: str, client: SightlineClient, tmp_path: Path
) -> None:
    expected = await answers(client)
    while (suite.layout.data / "milvus").exists():  # the engine writes while it is deleted
        shutil.rmtree(suite.layout.data / "milvus", ignore_errors=True)
    suite.kill("milvus")
    await asyncio.to_thread(suite.wait_healthy, "milvus")
    hands = Hands(gateway, tmp_path, "default")
    for more in ((), ("--space", "text")):
        assert hands.facts("index", "rebuild", *more)["state"] == "STATE_SUCCEEDED"
    same(await answers(client), expected)
    assert (await client.status()).pending_images == 0
