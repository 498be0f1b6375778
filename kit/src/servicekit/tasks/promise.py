"""Values that one task gives and others wait for.

The only futures made by hand are in this package. An outcome that comes late, because the waiting
call was cancelled or has its outcome already, is ignored, so it can't fail whoever gives it.
"""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Promise(Generic[T]):
    """A value that is given later, once. Not for several event loops."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    @property
    def over(self) -> bool:
        """True if there is an outcome, or the call that waited was cancelled."""
        return self._future.done()

    @property
    def given(self) -> T | None:
        """The value, also if the waiting call was cancelled after it was given; None: there is
        none."""
        future = self._future
        kept = future.done() and not future.cancelled() and future.exception() is None
        return future.result() if kept else None

    def keep(self, value: T) -> bool:
        """Give the value. Return False if the promise is over: the value is ignored."""
        if self._future.done():
            return False
        self._future.set_result(value)
        return True

    def fail(self, error: BaseException) -> bool:
        """Let the waiting call raise an error. Return False if the promise is over."""
        if self._future.done():
            return False
        self._future.set_exception(error)
        return True

    async def value(self) -> T:
        """Wait for the value. The promise is over when this call is cancelled."""
        try:
            return await self._future
        except BaseException:
            if self.given is None:
                # The error's traceback has the frames of those who hold the promise: all would
                # stay.
                self._future = self._future.get_loop().create_future()
                self._future.cancel()
            raise

    async def shared(self) -> T:
        """Wait for the value beside other calls: the promise outlasts a cancelled one."""
        return await asyncio.shield(self._future)
