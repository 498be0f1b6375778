"""Copies of catalogs in a whole suite: the same answers, and nothing left after deletions."""

import asyncio

import pytest

from local_suite.suite import Suite
from sightline_client import CatalogState, JobState, Product, ProductImage, SightlineClient
from tests.live.catalog_removal import MARK, files_with, removed
from tests.live.conftest import until_indexed
from tests.live.two_shops import PHOTOS, refusal
from tests.waiting import until

pytestmark = pytest.mark.full

SOURCE, COPY = "copy-source", "copy-target"


def shop() -> list[Product]:
    """Return products with photos and texts, which all have the mark."""
    return [
        Product(
            f"p{number}",
            f"{MARK} number {number}",
            description="red wine" if number % 2 else "white wine",
            images=(ProductImage(photo),),
            tags=(MARK,),
        )
        for number, photo in enumerate(PHOTOS[:8])
    ]


async def answers(client: SightlineClient) -> list[list[tuple[str, float]]]:
    """Return ids and similarities of searches by photo, by text and by a product, and ids of
    products similar to one."""
    found = await asyncio.gather(
        client.search(image=PHOTOS[9]),
        client.search(text="red wine"),
        client.search(products=["p3"]),
    )
    ranked = await client.recommend(products=["p1"], scene="similar")
    return [
        *(
            [(each.product.product_id, round(each.similarity, 5)) for each in answer.results]
            for answer in found
        ),
        [(each.product.product_id, 0.0) for each in ranked.results],
    ]


async def test_a_copy_answers_as_its_original_and_is_removed_without_it(
    gateway: str, suite: Suite
) -> None:
    async with (
        SightlineClient(gateway, catalog=SOURCE) as source,
        SightlineClient(gateway, catalog=COPY) as copy,
    ):
        await source.create_catalog(SOURCE, language_code="de", labels={"team": "shop"})
        assert (await source.upsert_products(shop())).failures == ()
        await until_indexed(source, 8)
        expected = await answers(source)
        assert all(expected)

        job = await source.copy_catalog(COPY)
        async for state in source.watch_job(job.job_id):
            job = state
        assert (job.state, job.error) == (JobState.SUCCEEDED, None)
        made = await copy.get_catalog()
        assert (made.state, made.language_code, made.labels) == (
            CatalogState.ACTIVE,
            "de",
            {"team": "shop"},
        )
        assert [one async for one in copy.list_products()] == [
            one async for one in source.list_products()
        ]
        await until_indexed(copy, 8)
        assert await answers(copy) == expected
        assert await refusal(source.copy_catalog(COPY)) == "CATALOG_EXISTS"

        await source.delete_catalog(SOURCE, undo_days=0)
        await until(lambda: removed(source, SOURCE))
        assert await answers(copy) == expected
        assert files_with(suite.layout.data / "retriever", MARK.encode())
        await copy.delete_catalog(COPY, undo_days=0)
        await until(lambda: removed(copy, COPY))
        for service in ("retriever", "ranker", "gateway", "embedder"):
            assert files_with(suite.layout.data / service, MARK.encode()) == []
