"""Answers of searches while a real Milvus Lite is dead, hung or just back, over real gRPC."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from sightline.common.v1 import answer_pb2
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from tests.engines import MilvusLite, milvus_lite
from tests.fakes.photos import photo
from tests.waiting import until, with_time_left
from tests.wire.retriever_shop import Shop, compare, shop, text, vector, wine

pytestmark = pytest.mark.full

__all__ = ["shop"]  # fixtures


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusLite]:
    """Yield a separate engine, because tests of this file kill it."""
    with milvus_lite(tmp_path_factory.mktemp("engine") / "milvus") as running:
        yield running


@pytest.fixture
def exact_rows() -> int:
    """Return 0: the engine answers."""
    return 0


@contextmanager
def hung(engine: MilvusLite) -> Iterator[None]:
    """Stop the engine, with its connections open, during the block."""
    assert engine.process is not None
    os.kill(engine.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(engine.process.pid, signal.SIGCONT)


async def by_the_index(shop: Shop, **fields: Any) -> vectors_pb.SearchResponse:
    """Return the search near the third wine's photo, once the engine answers it."""
    found = vectors_pb.SearchResponse()

    async def answered() -> bool:
        found.CopyFrom(await shop.search(vector=vector(photo(seed=2)), **fields))
        return not found.degradations

    await until(answered)
    return found


async def stocked(shop: Shop) -> vectors_pb.SearchResponse:
    """Write five wines. Return the engine's results near the third one's photo."""
    wines = [wine(f"p{n}", n, brand=f"b{n % 2}") for n in range(5)]
    written = await shop.upsert(*wines)
    return await by_the_index(shop, min_index_token=written.index_token)


def rests_on_the_record(found: vectors_pb.SearchResponse, rows: int) -> bool:
    """Return whether an answer says that the engine was lost, and names its source."""
    words = f"exact comparison with {rows} vectors of the record"
    expected = answer_pb2.Degradation(
        stage="index",
        cause=answer_pb2.Degradation.CAUSE_INDEX_UNAVAILABLE,
        substitute=words,
    )
    assert not found.degradations or found.plan.startswith(words)
    return list(found.degradations) == [expected]


def same(found: vectors_pb.SearchResponse, before: vectors_pb.SearchResponse) -> None:
    assert list(found.candidates.product_ids) == list(before.candidates.product_ids)
    assert list(found.similarities) == pytest.approx(list(before.similarities), abs=1e-5)
    assert list(found.image_ids) == list(before.image_ids)


async def test_a_dead_engine_costs_no_answer_and_is_found_again(
    shop: Shop, engine: MilvusLite
) -> None:
    before = await stocked(shop)
    engine.kill()
    found = await shop.search(vector=vector(photo(seed=2)))
    assert rests_on_the_record(found, 5)
    same(found, before)
    narrow = await shop.search(product_id="p0", filter=compare("brand", text("b0")))
    assert rests_on_the_record(narrow, 3)
    assert set(narrow.candidates.product_ids) == {"p2", "p4"}

    async def reported() -> bool:
        return (await shop.vectors.Count(vectors_pb.CountRequest())).indexed == -1

    await until(reported)
    written = await shop.upsert(wine("new", 5))
    assert not written.results[0].status.code
    seen = await shop.seen(written.index_token)
    assert rests_on_the_record(seen, 6)
    assert "new" in seen.candidates.product_ids
    words = await shop.find("wine new")
    assert words.candidates.product_ids[0] == "new"
    assert not words.degradations
    engine.start()
    caught_up = await by_the_index(shop, min_index_token=seen.freshness.index_token)
    assert "new" in caught_up.candidates.product_ids


async def test_a_hung_engine_leaves_time_to_answer_and_is_found_again(
    shop: Shop, engine: MilvusLite
) -> None:
    before = await stocked(shop)
    with hung(engine):
        found = await with_time_left(
            lambda seconds: shop.search(seconds, vector=vector(photo(seed=2))),
            lambda found: rests_on_the_record(found, 5),
        )
        assert rests_on_the_record(found, 5)
        same(found, before)
        count = await shop.vectors.Count(vectors_pb.CountRequest())
        assert (count.products, count.indexed) == (5, -1)
        # Known to be lost by now: there is no need of time for the engine.

        async def answered_soon() -> bool:
            try:
                found = await shop.search(seconds=0.2, vector=vector(photo(seed=2)))
            except grpc.aio.AioRpcError as error:  # other tests have the processor
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise
                return False
            return rests_on_the_record(found, 5)

        await until(answered_soon)
        written = await shop.upsert(wine("new", 5))
        seen = await shop.seen(written.index_token)
        assert "new" in seen.candidates.product_ids
    await by_the_index(shop)


async def test_no_search_fails_while_the_engine_is_restarted(
    shop: Shop, engine: MilvusLite
) -> None:
    before = await stocked(shop)
    stop = asyncio.Event()
    answers: list[vectors_pb.SearchResponse] = []

    async def client() -> None:
        while not stop.is_set():
            answers.append(await shop.search(vector=vector(photo(seed=2))))
            await asyncio.sleep(0.01)

    clients = [asyncio.create_task(client()) for _ in range(4)]
    await asyncio.to_thread(engine.kill)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(engine.start)
    await by_the_index(shop)
    stop.set()
    await asyncio.gather(*clients)
    assert any(rests_on_the_record(found, 5) for found in answers)
    for found in answers:
        same(found, before)
