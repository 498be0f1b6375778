"""Answers that follow what a shopper did, in a shop without a model: wines with photos only."""

from collections.abc import AsyncIterator

import pytest_asyncio

from examples.wines import loading
from examples.wines.catalogue import load_wines
from examples.wines.demo import measures, scenes
from sightline_client import Event, EventType, Recommendations, SightlineClient
from tests.waiting import until

SHOP = "personal"
WINES = {wine.id: wine for wine in load_wines()}
KIND = "White"
CLICKED = [wine.id for wine in WINES.values() if wine.type == KIND][:5]
PLACES = ("for-you", "default")


@pytest_asyncio.fixture
async def shop(gateway: str) -> AsyncIterator[SightlineClient]:
    """Yield a client of a new shop, whose photos and texts are indexed."""
    async with SightlineClient(gateway, catalog=SHOP, timeout=60) as client:
        await client.create_catalog(SHOP)
        await loading.import_wines(client, list(WINES.values()))
        await loading.wait_indexed(client, len(WINES))

        async def texts_are_indexed() -> bool:
            answer = await client.recommend(text="wine", page_size=len(WINES))
            return all("text" in row.branches for row in answer.results)

        await until(texts_are_indexed)
        yield client
        await client.delete_catalog(SHOP, undo_days=0)


def others(answer: Recommendations) -> int:
    """Return how many of the products are of the clicked kind, beside the clicked ones."""
    ids = [row.product.product_id for row in answer.results]
    return sum(WINES[item].type == KIND for item in ids if item not in CLICKED)


async def test_five_clicks_fill_the_next_page_of_the_same_shopper_and_of_no_other(
    shop: SightlineClient,
) -> None:
    await shop.write_events(
        [Event(f"click-{item}", EventType.CLICK, item, visitor="ann") for item in CLICKED]
    )
    for scene in PLACES:
        mine = await shop.recommend(visitor="ann", scene=scene, page_size=10)
        assert mine.versions.model_version == ""
        assert mine.degradations == ()
        assert others(mine) >= 5, scene
        assert not {*CLICKED} & {row.product.product_id for row in mine.results}
        for row in mine.results:
            assert {"visual", "text", "affinity"} <= {part.name for part in row.parts}
            codes = [reason.code for reason in row.reasons]
            assert "SIMILAR_TO_VIEWED" in codes
            assert "LOOKS_LIKE_QUERY" not in codes
        strange = await shop.recommend(visitor="nobody", scene=scene, page_size=10)
        assert others(strange) < 5, scene

    # The first click counts, in two languages, and a purchase says more than it.
    seen = WINES[CLICKED[0]]
    await shop.write_events([Event("one", EventType.VIEW, seen.id, visitor="bob")])
    for language, words in (("", "Because you looked at"), ("zh", "因为您看过")):
        answer = await shop.recommend(visitor="bob", language=language, page_size=10)
        named = [one for row in answer.results for one in row.reasons]
        named = [one for one in named if one.code == "SIMILAR_TO_VIEWED"]
        assert {one.parameters["product_id"] for one in named} == {seen.id}
        assert all(one.text.startswith(words) and seen.title in one.text for one in named)

    types = [kind for kind in scenes.by_type(list(WINES.values())) if kind != "Red"]
    measured = await measures.newcomers(shop, list(WINES.values()), types, loading.ignore)
    assert sum(row.falls for row in measured) >= 4, [
        (row.type, row.unseen_mean_ranks) for row in measured
    ]
