"""Plans of an HNSW generation over real gRPC, on real SQLite and a real Milvus Lite process.

And the watchdog, where a plan is wrong.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from google.type import money_pb2

from retriever.domain.collection_names import new_collection
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.generation import GenerationState, IndexKind, IndexParameters
from retriever.domain.product import Image, ProductContent, ProductWrite
from retriever.domain.recall import MOST_ROWS
from retriever.domain.vectors import VectorWrite
from retriever.search.recall.watchdog import LEAST_LOOKS
from sightline.common.v1 import answer_pb2, filter_pb2, vector_pb2
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline_rules.filters import Money
from tests.fakes.index import DIMENSION, VERSION
from tests.waiting import until
from tests.wire.retriever_shop import Shop, compare, shop, text

__all__ = ["shop"]  # fixtures


@pytest.fixture
def exact_rows() -> int:
    """Return 0: the engine answers."""
    return 0


COUNT = 1_500
FEW = 300
TOP = 100
SPACE = EmbeddingSpace("visual", VERSION, DIMENSION, ready=True)


def image_id(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


def product(number: int) -> ProductWrite:
    """Return a product with a brand of 2%, a tag of 2% and a price from 0 to 1,499 EUR."""
    content = ProductContent(
        product_id=f"p{number}",
        title="A wine",
        brand=f"b{number % 50}",
        tags=("rare",) if number % 50 == 7 else (),
        price=Money("EUR", number * 10**6),
        image_ids=(image_id(number),),
    )
    return ProductWrite(content, {image_id(number): Image(image_id(number), "image/jpeg", 9, 4, 3)})


async def fill(shop: Shop, count: int = COUNT) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Fill a generation "graph" beside the active one with the same vectors. Return them."""
    (active,) = await shop.record.generations("default")
    await shop.record.register(
        replace(
            active,
            name="graph",
            active=False,
            state=GenerationState.BUILDING,
            created=active.created + 1,
            collection=new_collection("graph", SPACE.space),
            parameters=IndexParameters(kind=IndexKind.HNSW, ef=64),
        )
    )
    await shop.stop_worker()  # it would look for the photos, which nobody stored
    values = np.random.default_rng(5).standard_normal((count, DIMENSION)).astype(np.float32)
    await shop.record.write("default", [product(n) for n in range(count)])
    await shop.record.save_vectors(
        active, [VectorWrite(image_id(n), values[n]) for n in range(count)]
    )
    shop.start_worker()

    async def holds() -> bool:
        made = await shop.record.find_generation("default", "graph")
        fresh = await shop.record.freshness(made)
        return fresh.seq == fresh.head

    await until(holds)
    made = await shop.record.find_generation("default", "graph")
    await shop.index.flush(made.collection)  # what is in memory Milvus Lite compares one by one
    return values


def price(euros: int) -> filter_pb2.FilterValue:
    return filter_pb2.FilterValue(money=money_pb2.Money(currency_code="EUR", units=euros))


@pytest.mark.full
async def test_every_filter_finds_the_nearest_by_a_plan_that_the_answer_names(shop: Shop) -> None:
    values = await fill(shop)
    everything = range(COUNT)
    query = np.random.default_rng(6).standard_normal(DIMENSION).astype(np.float32)
    asked = vector_pb2.Vector(
        space="visual", space_version=VERSION, dimension=DIMENSION, data=query.tobytes()
    )
    cosines = values @ query / np.linalg.norm(values, axis=1)
    for condition, passing, plan in (
        (None, everything, "graph ef "),
        (compare("price", price(750), "LESS"), range(750), "graph ef "),
        (compare("brand", text("b3")), range(3, COUNT, 50), "exact over 30 matches"),
        (compare("price", price(8), "LESS"), range(8), "exact over 8 matches"),
        (compare("tags", text("rare"), "CONTAINS"), range(7, COUNT, 50), "graph ef "),
    ):
        found = await shop.search(vector=asked, generation="graph", filter=condition, top_k=TOP)
        names = set(found.candidates.product_ids)
        expected = sorted(passing, key=lambda n: -float(cosines[n]))[:TOP]
        assert len(names) == len(expected), found.plan
        assert len(names & {f"p{n}" for n in expected}) >= 0.98 * len(expected), found.plan
        assert found.plan.startswith(plan), found.plan
        assert {timing.stage for timing in found.stage_timings} == {"index", "hydrate"}


@pytest.mark.full
async def test_rows_that_the_engine_lost_are_noticed_reported_and_fixed(shop: Shop) -> None:
    """Check that the watchdog detects it by the answers alone, and changes no search."""
    await fill(shop, FEW)
    made = await shop.record.activate("default", "graph", force=True)
    rows = await shop.record.row_page(made, "", FEW)
    dog = shop.watchdog
    dog.share, dog.settle, dog.rest = 1.0, 0.0, 0.0
    random = np.random.default_rng(6)

    async def search() -> None:
        """Make a search that the watchdog has checked."""
        query = random.standard_normal(DIMENSION).astype(np.float32)
        asked = vector_pb2.Vector(
            space="visual", space_version=VERSION, dimension=DIMENSION, data=query.tobytes()
        )
        found = await shop.search(vector=asked, top_k=20)
        await dog.caught_up()
        assert "watchdog" not in found.plan

    async def reported() -> answer_pb2.RecallEstimate:
        counted = await shop.vectors.Count(vectors_pb.CountRequest())
        (recall,) = counted.recall
        return recall

    await search()
    await shop.stop_worker()  # which may fix what was lost before it was looked at often enough
    await shop.index.delete(made.collection, [row.row_id for row in rows[::3]])

    for _ in range(LEAST_LOOKS + 5):  # some may find no time to look
        await search()
    recall = await reported()
    assert (recall.plan, recall.filter_class, recall.k) == ("graph", "none", 20)
    assert recall.below_floor
    assert recall.lower < recall.recall < recall.upper < 0.95
    assert recall.ef_factor == 1

    async def fixed() -> bool:
        return await shop.index.count(made.collection) == FEW

    shop.start_worker()
    await until(fixed)
    for _ in range(MOST_ROWS // 20 + LEAST_LOOKS):  # until those of before count no more
        await search()
    recall = await reported()
    assert (recall.recall > 0.95, recall.below_floor) == (True, False)
