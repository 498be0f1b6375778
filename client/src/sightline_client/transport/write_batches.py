"""Split items to write into batches that the suite accepts, and track them."""

import warnings
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable
from typing import Any, Generic, TypeVar

from sightline_client.errors import SightlineError, invalid

T = TypeVar("T")
B = TypeVar("B")
R = TypeVar("R")

NOTHING_SENT = (
    "the items were never sent: await the call, or iterate over it with async for"
    " (SyncSightlineClient: a list is sent at once; for an iterator, call report() or iterate)"
)


class Batches(Generic[B, R]):
    """Work in batches. ``await`` it for the report at the end, or ``async for`` it for each batch
    as soon as it is durable. Nothing is sent before; only one of the two is possible, once. A
    RuntimeWarning is issued if neither happens."""

    _begun = True
    """Default for an object whose construction failed."""

    def __init__(
        self, batches: AsyncIterator[B], report: Callable[[AsyncIterator[B]], Awaitable[R]]
    ) -> None:
        self._batches = batches
        self._report = report
        self._begun = False

    def __aiter__(self) -> AsyncIterator[B]:
        self._begun = True
        return self._batches

    def __await__(self) -> Generator[object, None, R]:
        self._begun = True
        return self._report(self._batches).__await__()

    def __del__(self) -> None:
        if not self._begun:
            warnings.warn(NOTHING_SENT, RuntimeWarning, stacklevel=2)

    async def done(self) -> tuple[list[B], R]:
        """Send everything. Return the batches and their report."""
        found = [batch async for batch in self]

        async def again() -> AsyncIterator[B]:
            for batch in found:
                yield batch

        return found, await self._report(again())


async def each(values: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """Yield the values of an iterable or an asynchronous iterable."""
    if isinstance(values, AsyncIterable):
        async for value in values:
            yield value
    else:
        for value in values:
            yield value


async def stored(
    batches: AsyncIterator[Any], report: Callable[[int, tuple[Any, ...], str], R]
) -> R:
    """Sum up batches: how many items are stored, which were rejected, and the newest index
    token."""
    count, failures, token = 0, list[Any](), ""
    async for batch in batches:
        count += batch.stored_count
        failures += batch.failures
        token = batch.index_token or token
    return report(count, tuple(failures), token)


def too_large() -> SightlineError:
    """Return the error for a product that fits no message."""
    return invalid(
        "images",
        "over 32 MiB in one message: write the product with fewer photos, or name photos that the "
        "catalog has by image_id",
        reason="PRODUCT_TOO_LARGE",
    )


async def split(
    items: AsyncIterable[T],
    *,
    max_count: int,
    max_bytes: int,
    size: Callable[[T], int],
    key: Callable[[T], str],
) -> AsyncIterator[list[T]]:
    """Yield batches in order, each of at most ``max_count`` items and ``max_bytes`` by ``size``,
    with no ``key`` twice. An item larger than ``max_bytes`` is a batch of its own. Items are read
    lazily, so that an import need not fit in memory.
    """
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
