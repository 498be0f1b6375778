"""Run asynchronous work for synchronous callers: one event loop in its own thread."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from sightline_client.errors import ItemsRejected
from sightline_client.transport.write_batches import Batches

T = TypeVar("T")
B = TypeVar("B")
R = TypeVar("R")


class Loop:
    """Event loop in a thread, which runs coroutines for other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="sightline-client", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop's thread and return its result. Cancel it when waiting is
        interrupted."""
        if self._loop.is_closed():
            work.close()
            raise RuntimeError("the client is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def make(self, maker: Callable[[], T]) -> T:
        """Return what ``maker`` returns in the loop's thread. If it fails, end the thread."""

        async def made() -> T:
            return maker()

        try:
            return self.run(made())
        except BaseException:
            self.close(_nothing)
            raise

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """Yield the items, each awaited when it is needed."""
        try:
            while True:
                try:
                    item = self.run(_next(items))
                except _End:
                    return
                yield item
        finally:
            if not self._loop.is_closed():
                self.run(_close(items))

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the last work and end the thread. Do nothing if it is closed already."""
        if self._loop.is_closed():
            return
        self.run(last())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class SyncBatches(Generic[B, R]):
    """Batches of a synchronous call. A list, or another collection, is sent when the call is made,
    and durable when it returns. An iterator, which may be endless, is sent by iterating over this
    object or by ``report``. Only one of them is possible, once; a RuntimeWarning is issued if
    neither happens.
    """

    def __init__(
        self, loop: Loop, start: Callable[[], Batches[B, R]], items: object, *, raises: bool = False
    ) -> None:
        """``items``: the items to write. ``raises``: whether rejected items of a collection raise
        ItemsRejected."""
        self._loop = loop
        self._batches = start()
        self._done = loop.run(self._batches.done()) if isinstance(items, Collection) else None
        if raises and self._done is not None:
            _raise_rejected(self._done[1])

    def __iter__(self) -> Iterator[B]:
        """Yield each batch as soon as it is durable."""
        if self._done is not None:
            return iter(self._done[0])
        return self._loop.iterate(self._batches.__aiter__())

    def report(self) -> R:
        """Send the remaining items. Return the report of all."""
        return self._done[1] if self._done is not None else self._loop.run(_awaited(self._batches))


def _raise_rejected(report: Any) -> None:
    if report.failures:
        raise ItemsRejected(report, report.failures)


async def _nothing() -> None:
    """Do nothing: closes a loop whose setup failed."""


async def _awaited(work: Awaitable[T]) -> T:
    return await work


class _End(Exception):
    """A StopAsyncIteration can't leave a coroutine."""


async def _next(items: AsyncIterator[T]) -> T:
    try:
        return await anext(items)
    except StopAsyncIteration:
        raise _End from None


async def _close(items: AsyncIterator[T]) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()
