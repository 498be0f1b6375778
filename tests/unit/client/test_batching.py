"""Batches keep order, count, size and distinct keys."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline_client.transport.write_batches import Batches, split


async def _each(items: list[tuple[str, int]]) -> AsyncIterator[tuple[str, int]]:
    for item in items:
        yield item


def cut(
    items: list[tuple[str, int]], max_count: int, max_bytes: int
) -> list[list[tuple[str, int]]]:
    import asyncio

    async def run() -> list[list[tuple[str, int]]]:
        batches = split(
            _each(items),
            max_count=max_count,
            max_bytes=max_bytes,
            size=lambda item: item[1],
            key=lambda item: item[0],
        )
        return [batch async for batch in batches]

    return asyncio.run(run())


@pytest.mark.slow
@given(
    items=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 20)), max_size=40),
    max_count=st.integers(1, 5),
    max_bytes=st.integers(1, 30),
)
def test_nothing_is_lost_moved_doubled_or_too_large(
    items: list[tuple[str, int]], max_count: int, max_bytes: int
) -> None:
    batches = cut(items, max_count, max_bytes)
    assert [item for batch in batches for item in batch] == items
    for batch in batches:
        assert 1 <= len(batch) <= max_count
        assert sum(size for _, size in batch) <= max_bytes or len(batch) == 1
        assert len({key for key, _ in batch}) == len(batch)


def test_batches_are_as_full_as_they_may_be() -> None:
    assert [len(batch) for batch in cut([(str(i), 1) for i in range(7)], 3, 100)] == [3, 3, 1]
    assert [len(batch) for batch in cut([(str(i), 10) for i in range(5)], 100, 20)] == [2, 2, 1]


async def test_batches_can_be_awaited_or_followed() -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in (1, 2, 3):
            yield number

    async def total(batches: AsyncIterator[int]) -> int:
        return sum([number async for number in batches])

    assert await Batches(numbers(), total) == 6
    assert [number async for number in Batches(numbers(), total)] == [1, 2, 3]
