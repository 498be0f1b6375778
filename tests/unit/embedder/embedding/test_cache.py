"""Cached embeddings, and callers that share a running inference."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from embedder.domain.errors import DeadlinePassed, EmbedderUnavailable, PhotoUndecodable, QueueFull
from embedder.domain.items import Embedding
from embedder.embedding.cache import EmbeddingCache, digest
from servicekit.errors import ServiceError

SIZE = 5 * 2**10
"""Bytes for more than one entry and less than two."""


class Maker:
    """Maker of embeddings on demand that counts its calls."""

    def __init__(self) -> None:
        self.made = 0
        self.go = asyncio.Event()
        self.failure: Callable[[], ServiceError] | None = None

    async def __call__(self) -> Embedding:
        self.made += 1
        number = self.made
        await self.go.wait()
        if self.failure is not None:
            raise self.failure()
        whole = np.full((64, 1000), number, np.float32)
        return Embedding("visual", "v", whole[0])


@pytest.fixture
def make() -> Maker:
    return Maker()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_second_one_gets_what_the_first_one_got(make: Maker) -> None:
    make.go.set()
    cache = EmbeddingCache(2**20)
    first, second = [await cache.get("a", make) for _ in range(2)]
    assert (first.values == second.values).all()
    assert make.made == 1


async def test_no_more_is_kept_than_fits_and_the_least_used_goes_first(make: Maker) -> None:
    make.go.set()
    cache = EmbeddingCache(3 * SIZE)
    for key in ("a", "b", "c", "a", "d"):
        await cache.get(key, make)
    assert make.made == 4
    await cache.get("a", make)
    assert make.made == 4
    await cache.get("b", make)
    assert make.made == 5


async def test_a_vector_is_kept_without_the_batch_that_it_was_made_in(make: Maker) -> None:
    make.go.set()
    cache = EmbeddingCache(2**20)
    await cache.get("a", make)
    kept = await cache.get("a", make)
    assert kept.values.base is None


async def test_those_who_ask_meanwhile_wait_for_the_first(make: Maker) -> None:
    cache = EmbeddingCache(2**20)
    asked = [asyncio.create_task(cache.get("a", make)) for _ in range(5)]
    await settle()
    make.go.set()
    answers = await asyncio.gather(*asked)
    assert make.made == 1
    assert {float(answer.values[0]) for answer in answers} == {1.0}


async def test_the_first_one_s_giving_up_costs_the_others_nothing(make: Maker) -> None:
    cache = EmbeddingCache(2**20)
    first, *others = [asyncio.create_task(cache.get("a", make)) for _ in range(3)]
    await settle()
    first.cancel()
    await settle()
    make.go.set()
    answers = await asyncio.gather(*others)
    assert make.made == 2
    assert {float(answer.values[0]) for answer in answers} == {2.0}


async def test_one_who_joined_and_gives_up_does_not_stop_the_first(make: Maker) -> None:
    cache = EmbeddingCache(2**20)
    first, second = [asyncio.create_task(cache.get("a", make)) for _ in range(2)]
    await settle()
    second.cancel()
    await settle()
    make.go.set()
    assert float((await first).values[0]) == 1.0


@pytest.mark.parametrize("failure", [PhotoUndecodable("cut"), EmbedderUnavailable("down")])
async def test_a_failure_reaches_all_waiting_and_not_kept(
    make: Maker, failure: ServiceError
) -> None:
    make.failure = lambda: failure
    cache = EmbeddingCache(2**20)
    asked = [asyncio.create_task(cache.get("a", make)) for _ in range(3)]
    await settle()
    make.go.set()
    assert await asyncio.gather(*asked, return_exceptions=True) == [failure] * 3
    assert make.made == 1
    make.failure = None
    await cache.get("a", make)
    assert make.made == 2


@pytest.mark.parametrize("failure", [DeadlinePassed, QueueFull])
async def test_the_first_one_s_own_haste_is_not_the_others(
    make: Maker, failure: type[ServiceError]
) -> None:
    make.failure = failure
    cache = EmbeddingCache(2**20)
    asked = [asyncio.create_task(cache.get("a", make)) for _ in range(3)]
    await settle()
    make.go.set()
    await asyncio.gather(*asked, return_exceptions=True)
    assert make.made == 3


async def test_a_mistake_of_our_own_leaves_nobody_waiting(make: Maker) -> None:
    cache = EmbeddingCache(2**20)

    async def broken() -> Embedding:
        await make.go.wait()
        raise ZeroDivisionError

    first = asyncio.create_task(cache.get("a", broken))
    await settle()
    second = asyncio.create_task(cache.get("a", make))
    await settle()
    make.go.set()
    with pytest.raises(ZeroDivisionError):
        await first
    assert float((await second).values[0]) == 1.0


async def test_a_digest_distinguishes_photos_whatever_their_size() -> None:
    photos = [b"a", b"b", bytes(2**20), bytes(2**20 + 1)]
    assert len({await digest(photo) for photo in photos}) == 4
    assert await digest(bytes(2**20)) == await digest(bytes(2**20))
