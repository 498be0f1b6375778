"""Catalogs that are created while the suite runs: used at once, by every service, and kept."""

import asyncio
import json
import re
import shlex
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from local_suite.suite import Suite
from sightline_client import Event, EventType, Product, ProductImage, SightlineClient
from tests.live.catalog_removal import MARK, files_with, marked, removed, snapshot_of
from tests.live.conftest import until_indexed
from tests.live.hands import Hands
from tests.live.two_shops import PHOTOS, refusal
from tests.waiting import until

pytestmark = pytest.mark.full

PAGE = (Path(__file__).parents[2] / "docs/operate/catalogs.md").read_text("utf-8")
COMMANDS = re.findall(r"^sightline (.+)$", PAGE, re.MULTILINE)


async def test_a_catalog_can_be_used_by_every_service_as_soon_as_it_is_created(
    gateway: str,
) -> None:
    async with SightlineClient(gateway, catalog="created") as client:
        assert await refusal(client.status()) == "CATALOG_NOT_FOUND"
        made = await client.create_catalog("created", display_name="A new shop")
        assert made == await client.create_catalog("created", display_name="A new shop")
        assert await refusal(client.create_catalog("created")) == "CATALOG_EXISTS"
        # The retriever, the embedder and the ranker, without a pause.
        status, report, spaces, models = await asyncio.gather(
            client.status(),
            client.upsert_products([Product("p1", "One", images=(ProductImage(PHOTOS[0]),))]),
            client.list_spaces(),
            client.list_models(),
        )
        assert status.products in (0, 1)
        assert report.failures == ()
        assert (spaces != (), models) == (True, ())
        written = await client.write_events([Event("e1", EventType.VIEW, "p1", user="ann")])
        assert written.failures == ()
        await until_indexed(client, 1)
        (found,) = (await client.search(image=PHOTOS[0])).results
        assert found.product.product_id == "p1"
        answer = await client.recommend(image=PHOTOS[0])
        assert [each.product.product_id for each in answer.results] == ["p1"]
        assert {each.catalog_id for each in await client.list_catalogs()} >= {"created", "default"}
    async with SightlineClient(gateway, catalog="default") as other:
        assert await refusal(other.get_product("p1")) == "PRODUCT_NOT_FOUND"


async def test_values_of_a_catalog_change_while_it_is_used(gateway: str) -> None:
    async with SightlineClient(gateway, catalog="changed") as client:
        made = await client.create_catalog("changed", labels={"team": "shop"})
        changed = await client.update_catalog(language_code="zh", etag=made.etag)
        assert (changed.language_code, changed.labels) == ("zh", {"team": "shop"})
        assert await refusal(client.update_catalog(quota_share=2.0, etag=made.etag)) == (
            "ETAG_MISMATCH"
        )
        report = await client.upsert_products(
            [Product("p1", "One", images=(ProductImage(PHOTOS[0]),))]
        )
        assert report.failures == ()
        await until_indexed(client, 1)
        explained = await client.explain("p1", image=PHOTOS[0])
        assert not explained.text.isascii()  # in Chinese
        assert (await client.explain("p1", image=PHOTOS[0], language="en")).text.isascii()


async def test_two_callers_that_create_one_catalog_get_the_same(gateway: str) -> None:
    async with SightlineClient(gateway) as one, SightlineClient(gateway) as two:
        first, second = await asyncio.gather(
            one.create_catalog("raced", display_name="x"),
            two.create_catalog("raced", display_name="x"),
        )
    assert first == second


def test_a_catalog_is_created_and_listed_over_http(suite: Suite) -> None:
    base = f"{suite.http}/v1/catalogs"
    body = json.dumps({"catalogId": "by-http", "catalog": {"displayName": "Web"}}).encode()
    headers = {"content-type": "application/json"}
    with urlopen(Request(base, body, headers, method="POST")) as answer:  # noqa: S310
        made = json.load(answer)
    assert (made["catalogId"], made["state"]) == ("by-http", "CATALOG_STATE_ACTIVE")
    with urlopen(f"{base}/by-http") as answer:  # noqa: S310
        assert json.load(answer) == made
    with urlopen(f"{base}?pageSize=1000") as answer:  # noqa: S310
        assert made in json.load(answer)["catalogs"]


@pytest.mark.parametrize("name", ["A", "a b", "../x", "", "x" * 64])
async def test_a_bad_id_is_rejected(gateway: str, name: str) -> None:
    async with SightlineClient(gateway) as client:
        assert await refusal(client.create_catalog(name)) == "REQUEST_INVALID"


async def test_a_deleted_catalog_is_removed_from_every_store(gateway: str, suite: Suite) -> None:
    async with SightlineClient(gateway, catalog="to-delete") as client:
        await marked(client, suite)
        assert files_with(suite.layout.data / "ranker", MARK.encode())
        await client.set_catalog_alias(f"{MARK}-shop", "to-delete")
        assert await refusal(client.delete_catalog("to-delete", undo_days=0)) == (
            "CATALOG_HAS_ALIAS"
        )
        assert await client.delete_catalog_alias(f"{MARK}-shop")
        await client.delete_catalog("to-delete", undo_days=0)
        assert await refusal(client.get_product("p1")) == "CATALOG_DELETED"
        await until(lambda: removed(client, "to-delete"))
        for service in ("retriever", "ranker", "gateway", "embedder"):
            assert files_with(suite.layout.data / service, MARK.encode()) == []
        assert not snapshot_of(suite, "to-delete").exists()
        assert await refusal(client.get_product("p1")) == "CATALOG_NOT_FOUND"
        entries = [one async for one in client.list_audit()]
        assert any(one.method.endswith("DeleteCatalog") for one in entries)


def test_the_page_s_commands_work_in_their_order(gateway: str, tmp_path: Path) -> None:
    hands = Hands(gateway, tmp_path, "default")
    shown = {line: hands.run(*shlex.split(line)) for line in COMMANDS}
    assert len(shown) >= 11
    assert "active" in shown["catalogs show trial"]
    assert "shop staging" in " ".join(shown["catalogs alias set shop staging"].split())
    assert "shop staging" in " ".join(shown["catalogs alias list"].split())
    assert "Staging shop" in shown[COMMANDS[0]]
    assert "0.5" in shown["catalogs show staging"]
    assert "deleted, removal" in shown["catalogs delete staging --undo-days 1"]
    assert "active" in shown["catalogs undelete staging"]
    assert "staging" in shown["catalogs list"]
    found = hands.facts("catalogs", "show", "staging")
    assert (found["catalogId"], found["quotaShare"]) == ("staging", 0.5)
    stale = hands.run("catalogs", "update", "staging", "--name", "x", "--etag", "old", code=1)
    assert "ETAG_MISMATCH" in stale
    assert "CATALOG_EXISTS" in hands.run("catalogs", "create", "default", code=1)
    (alias,) = json.loads(hands.run("catalogs", "alias", "list", "--json"))["aliases"]
    assert (alias["aliasId"], alias["catalogId"]) == ("shop", "default")
    stale = hands.run("catalogs", "alias", "set", "shop", "staging", "--etag", "old", code=1)
    assert "ETAG_MISMATCH" in stale
    assert "CATALOG_IS_ALIAS" in hands.run("catalogs", "create", "shop", code=1)
    assert "deleted" in hands.run("catalogs", "alias", "delete", "shop")
