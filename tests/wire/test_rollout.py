"""A new version of a space is rolled out: gateway, retriever, its worker and a real Milvus Lite.

Gateway and retriever run in this process, the worker in one of its own that is killed; the embedder
is a fake one of two versions behind real gRPC. No ranker runs: searches don't need one.
"""

from __future__ import annotations

import asyncio

import pytest
from google.type import money_pb2

from retriever.domain.index_values import CollectionState
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline.retriever.v1 import index_service_pb2 as index_pb
from tests.fakes.index import VERSION
from tests.waiting import until
from tests.wire.rollout_shop import (
    NEW,
    READY,
    SUCCEEDED,
    TEXTS,
    Load,
    Shop,
    named,
    refused,
    roll_out,
    shop,
    similarity,
    spaces,
)

pytestmark = pytest.mark.full

__all__ = ["shop", "spaces"]  # fixtures


async def test_a_roll_out_under_load_costs_no_request_and_mixes_nothing(shop: Shop) -> None:
    await shop.stock(*range(60))
    async with shop.worker():
        await shop.settled()
        old = (await shop.record.generations("default"))[0].name
        load = Load(shop)
        tasks = [asyncio.create_task(load.search(n)) for n in range(0, 60, 15)]
        tasks += [asyncio.create_task(load.write(first)) for first in (60, 80)]
        try:
            await roll_out(shop, old, load)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
    wrong = [end for end in ends if not isinstance(end, asyncio.CancelledError)]
    assert not wrong, wrong
    assert load.seen == {VERSION, NEW}
    assert load.searches > 50
    assert load.writes > 20


async def test_what_was_not_proved_takes_force_and_comes_back_in_one_call(shop: Shop) -> None:
    await shop.stock(*range(12))
    async with shop.worker():
        await shop.settled()
        await shop.create("two")
        with refused("GENERATION_EXISTS"):
            await shop.admin.CreateGeneration(index_pb.CreateGenerationRequest(name="two"))
        with refused("SPACE_UNAVAILABLE"):
            await shop.admin.CreateGeneration(index_pb.CreateGenerationRequest(space_version="v9"))
        with refused("INDEX_PARAMETERS_INVALID"):
            hnsw = index_pb.IndexParameters(kind=index_pb.IndexParameters.KIND_HNSW, m=1)
            await shop.admin.CreateGeneration(index_pb.CreateGenerationRequest(parameters=hnsw))
        with refused("GENERATION_NOT_FOUND"):
            await shop.backfill("nobody")
        with refused("GENERATION_NOT_VERIFIED"):
            await shop.activate("two")
        found = await shop.verify("two")
        assert not found.passed
        assert "backfill it" in found.findings[-1]
        with refused("GENERATION_NOT_VERIFIED"):
            await shop.activate("two")
        forced = await shop.activate("two", force=True)
        assert (forced.active, forced.forced) == (True, True)
        assert not (await shop.search(3)).results
        with refused("GENERATION_ACTIVE"):
            await shop.admin.DropGeneration(index_pb.DropGenerationRequest(name="two"))
        assert (await shop.rollback()).space_version == VERSION
        assert len(named(await shop.search(3))) == 12


async def test_a_dropped_generation_leaves_nothing(shop: Shop) -> None:
    await shop.stock(*range(12))
    async with shop.worker():
        await shop.settled()
        await shop.create("two")
        assert (await shop.ended(await shop.backfill("two"))).state == SUCCEEDED
        dropped = await shop.record.find_generation("default", "two")
        collection = dropped.collection
        assert await shop.index.count(collection) == 12
        await shop.admin.DropGeneration(index_pb.DropGenerationRequest(name="two"))

        async def gone() -> bool:
            return await shop.index.state(collection) is CollectionState.ABSENT and (
                await shop.record.row_count(dropped) == 0
            )

        await until(gone)
        assert len(named(await shop.search(3))) == 12


async def test_a_photo_of_something_else_is_no_good_match_once_the_index_is_verified(
    shop: Shop,
) -> None:
    await shop.stock(*range(60))
    async with shop.worker():
        await shop.settled()
        assert (await shop.search(3)).match.outcome == rec.Match.OUTCOME_NO_THRESHOLD
        found = await shop.verify((await shop.record.generations("default"))[0].name)
    threshold = found.nearest_cosines[2]
    nearest = {
        n: max(similarity((n,), each, VERSION) for each in range(60)) for n in range(60, 120)
    }
    strange = min(nearest, key=nearest.__getitem__)
    assert nearest[strange] < threshold < 1

    known, other = (await shop.search(3)).match, (await shop.search(strange)).match
    assert (known.outcome, known.product_id) == (rec.Match.OUTCOME_GOOD, "p3")
    assert (other.outcome, other.basis) == (rec.Match.OUTCOME_POOR, rec.Match.BASIS_CATALOG)
    assert other.value == pytest.approx(nearest[strange], abs=1e-4)
    assert other.threshold == pytest.approx(threshold)
    assert (other.space.version, f"{threshold:.3f}" in other.text) == (VERSION, True)


# Texts


@pytest.mark.parametrize("spaces", [("visual", "text")])
async def test_a_space_of_texts_is_filled_and_rolled_out_as_that_of_photos(shop: Shop) -> None:
    await shop.stock(*range(6))
    async with shop.worker():
        await shop.settled()
        first = next(each for each in await shop.record.generations("default") if each.of_texts)
        assert await shop.index.count(first.collection) == 6
        assert await shop.read("Wine 3. b3") == ("p3", 1.0, "t1")
        await only_a_changed_text_is_embedded_again(shop)
        await a_second_version_is_rolled_out_and_back(shop, first.name)
        await shop.catalog.DeleteProducts(catalog_pb.DeleteProductsRequest(product_ids=["p3"]))
        await shop.settled()
        assert await shop.index.count(first.collection) == 5


async def only_a_changed_text_is_embedded_again(shop: Shop) -> None:
    shop.embedder.embedded.clear()
    price = money_pb2.Money(currency_code="EUR", units=9)
    await shop.stock(2, 3, price=price)
    await shop.settled()
    assert shop.embedder.embedded == []
    await shop.stock(3, tags=["organic"])
    await shop.settled()
    assert shop.embedder.embedded == [("t1", "Wine 3. b3. organic")]
    assert await shop.read("Wine 3. b3. organic") == ("p3", 1.0, "t1")


async def a_second_version_is_rolled_out_and_back(shop: Shop, old: str) -> None:
    made = await shop.create("texts2", "t2", "text")
    assert (made.of_products, made.dimension, made.active) == (True, TEXTS["t2"], False)
    with refused("GENERATION_NOT_VERIFIED"):
        await shop.activate("texts2")
    job = await shop.ended(await shop.backfill("texts2"))
    assert (job.state, job.done, job.total) == (SUCCEEDED, 6, 6)
    made = await shop.generation("texts2")
    assert (made.state, made.indexed_count, made.pending_count) == (READY, 6, 0)
    found = await shop.verify("texts2")
    assert found.passed, found.findings
    assert (found.sample_count, found.record_count, found.recall) == (6, 6, 1.0)
    assert (await shop.activate("texts2")).active
    # Its version is not the embedder's default one: the gateway learns it and embeds again.
    assert await shop.read("Wine 3. b3. organic") == ("p3", 1.0, "t2")
    await shop.stock(4, description="no part of the text", tags=["new"])
    await shop.settled()
    assert await shop.read("Wine 4. b4. new") == ("p4", 1.0, "t2")
    assert (await shop.rollback("text")).name == old
    assert await shop.read("Wine 4. b4. new") == ("p4", 1.0, "t1")
