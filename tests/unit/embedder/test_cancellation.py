"""The embedder after calls that are cancelled at any await."""

import asyncio

import numpy as np

from embedder.domain.items import Embedding, Priority
from embedder.domain.urgency import urgency
from embedder.embedding.cache import EmbeddingCache
from embedder.serving.batched_inference import Batching
from tests.cancelling import cancelled_at_each_await
from tests.fakes.triton import FakeInference


async def test_a_photo_of_a_cancelled_call_is_embedded_again() -> None:
    number = 0

    async def make() -> Embedding:
        await asyncio.sleep(0)
        return Embedding("visual", "v", np.zeros(2, np.float32))

    async def call() -> None:
        nonlocal number
        number += 1
        cache, key = caches[-1], number
        other = asyncio.create_task(cache.get(key, make))
        await asyncio.sleep(0)
        try:
            await cache.get(key, make)
        finally:
            await other

    caches = [EmbeddingCache(10**6)]

    async def check() -> None:
        await call()
        assert not caches[-1]._making

    assert await cancelled_at_each_await(call, check) > 0


async def test_an_inference_of_a_cancelled_call_leaves_its_place() -> None:
    batching = Batching(FakeInference(), 4, 2)

    async def call() -> None:
        urgency.set(Priority.INTERACTIVE)
        await batching.infer({"image": np.zeros((1, 8, 8, 3), np.uint8)})

    async def check() -> None:
        await call()
        for _ in range(5):
            await asyncio.sleep(0)
        assert batching._free == batching._places
        assert not batching._waiting

    assert await cancelled_at_each_await(call, check) > 0
