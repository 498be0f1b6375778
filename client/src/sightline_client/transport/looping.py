"""Runs asynchronous work for callers that are not: one event loop in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from sightline_client.transport.batching import Batches

T = TypeVar("T")
B = TypeVar("B")
R = TypeVar("R")


class Loop:
    """An event loop that other threads hand work to."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="sightline-client", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work comes to; called off when the waiting is interrupted."""
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
        """What ``maker`` makes, made where it will be used. Where it can't, the thread ends."""

        async def made() -> T:
            return maker()

        try:
            return self.run(made())
        except BaseException:
            self.close(_nothing)
            raise

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """The items one by one, each asked for when it is needed."""
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
        """Does the last work and ends the thread. Again, it does nothing."""
        if self._loop.is_closed():
            return
        self.run(last())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class SyncBatches(Generic[B, R]):
    """Work in batches. A list, or another collection, is sent when the call is made, and durable
    when it returns. An iterator, which need not end, is sent as this is gone over, or by
    ``report``; only one can be done, once, and RuntimeWarning where neither was."""

    def __init__(self, loop: Loop, start: Callable[[], Batches[B, R]], items: object) -> None:
        """``items``: what is to be written."""
        self._loop = loop
        self._batches = start()
        self._done = loop.run(self._batches.done()) if isinstance(items, Collection) else None

    def __iter__(self) -> Iterator[B]:
        """Each batch as soon as it is durable."""
        if self._done is not None:
            return iter(self._done[0])
        return self._loop.iterate(self._batches.__aiter__())

    def report(self) -> R:
        """What became of everything; sends what is not sent yet."""
        return self._done[1] if self._done is not None else self._loop.run(_awaited(self._batches))


async def _nothing() -> None:
    """The last work of a loop that came to none."""


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
