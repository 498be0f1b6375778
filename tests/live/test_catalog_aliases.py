"""Aliases of catalogs in a whole suite: a switch under traffic, over gRPC and over HTTP."""

import asyncio
import json
from urllib.request import Request, urlopen

import pytest

from local_suite.suite import Suite
from sightline_client import Event, EventType, Product, ProductImage, SightlineClient
from tests.live.conftest import until_indexed
from tests.live.two_shops import PHOTOS, refusal

pytestmark = pytest.mark.full

BLUE, GREEN, ALIAS = "alias-blue", "alias-green", "alias-shop"


async def filled(client: SightlineClient, name: str, photo: bytes) -> None:
    """Create a catalog with one product, which has the catalog's name."""
    await client.create_catalog(name)
    report = await client.upsert_products([Product(name, name, images=(ProductImage(photo),))])
    assert report.failures == ()
    await until_indexed(client, 1)


async def test_all_requests_move_at_once_when_an_alias_switches(gateway: str, suite: Suite) -> None:
    async with (
        SightlineClient(gateway, catalog=BLUE) as blue,
        SightlineClient(gateway, catalog=GREEN) as green,
        SightlineClient(gateway, catalog=ALIAS) as shop,
    ):
        await filled(blue, BLUE, PHOTOS[0])
        await filled(green, GREEN, PHOTOS[1])
        assert await refusal(shop.status()) == "CATALOG_NOT_FOUND"
        first = await blue.set_catalog_alias(ALIAS, BLUE)

        async def found() -> set[str]:
            answers = await asyncio.gather(
                shop.recommend(image=PHOTOS[0], user="ann"),
                shop.search(image=PHOTOS[0]),
                shop.listing(),
            )
            listed = {one.product_id async for one in shop.list_products()}
            return listed | {
                each.product.product_id for answer in answers for each in answer.results
            }

        assert await found() == {BLUE}
        event = Event("e1", EventType.VIEW, BLUE, user="ann")
        assert (await shop.write_events([event])).failures == ()
        second = await blue.set_catalog_alias(ALIAS, GREEN, etag=first.etag)
        assert await found() == {GREEN}
        assert await refusal(blue.set_catalog_alias(ALIAS, BLUE, etag=first.etag)) == (
            "ETAG_MISMATCH"
        )
        assert second in await blue.list_catalog_aliases()
        # Written by the alias, it is the catalog's own.
        assert (await shop.upsert_products([Product("new", "New")])).failures == ()
        assert (await green.get_product("new")).title == "New"
        assert await refusal(blue.get_product("new")) == "PRODUCT_NOT_FOUND"
        await over_http(suite)
        assert await refusal(green.delete_catalog(GREEN)) == "CATALOG_HAS_ALIAS"
        assert await blue.delete_catalog_alias(ALIAS)
        assert await refusal(shop.status()) == "CATALOG_NOT_FOUND"


async def over_http(suite: Suite) -> None:
    """Read by the alias, switch it and read again, over HTTP."""
    base = f"{suite.http}/v1"

    def call(path: str, body: object = None) -> dict[str, object]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        with urlopen(Request(f"{base}/{path}", data, headers)) as answer:  # noqa: S310
            found: dict[str, object] = json.load(answer)
            return found

    def products() -> set[str]:
        page = call(f"catalogs/{ALIAS}/products")
        return {each["productId"] for each in page["products"]}  # type: ignore[attr-defined]

    def switched() -> None:
        assert products() == {GREEN, "new"}
        call(f"catalogAliases/{ALIAS}:set", {"catalogId": BLUE})
        assert products() == {BLUE}
        changed = call(f"catalogAliases/{ALIAS}:set", {"catalogId": GREEN})
        assert changed in call("catalogAliases")["aliases"]  # type: ignore[operator]

    await asyncio.to_thread(switched)
