"""Cuts what is to be written into batches that the suite takes, and follows them."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator
from typing import Generic, TypeVar

T = TypeVar("T")
B = TypeVar("B")
R = TypeVar("R")


class Batches(Generic[B, R]):
    """Work in batches. ``await`` it for the report at the end, or ``async for`` it for each batch
    as soon as it is durable. Nothing is sent before one of the two; only one can be done, once."""

    def __init__(
        self, batches: AsyncIterator[B], report: Callable[[AsyncIterator[B]], Awaitable[R]]
    ) -> None:
        self._batches = batches
        self._report = report

    def __aiter__(self) -> AsyncIterator[B]:
        return self._batches

    def __await__(self) -> Generator[object, None, R]:
        return self._report(self._batches).__await__()


async def split(
    items: AsyncIterable[T],
    *,
    max_count: int,
    max_bytes: int,
    size: Callable[[T], int],
    key: Callable[[T], str],
) -> AsyncIterator[list[T]]:
    """Batches in order, each of at most ``max_count`` items and ``max_bytes`` by ``size``, with no
    ``key`` twice. An item larger than ``max_bytes`` comes alone. Items are taken as needed, so that
    an import need not fit in memory."""
    batch: list[T] = []
    keys: set[str] = set()
    total = 0
    async for item in items:
        item_size, item_key = size(item), key(item)
        full = len(batch) == max_count or total + item_size > max_bytes
        if batch and (full or item_key in keys):
            yield batch
            batch, keys, total = [], set(), 0
        batch.append(item)
        keys.add(item_key)
        total += item_size
    if batch:
        yield batch
