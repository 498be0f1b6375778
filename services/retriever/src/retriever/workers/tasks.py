"""Everything that runs while a worker leads."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from retriever.workers.retry import Backoff
from servicekit.errors import ServiceError
from servicekit.telemetry import get_logger

log = get_logger()


class Tasks:
    """The tasks of one time of leading."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self.stopping = False
        """Cancelling is not enough: pymilvus calls asyncio.wait_for, which in Python 3.11 swallows
        a cancellation that comes at the moment of the answer (python/cpython#86296)."""

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task of its own. Raises CancelledError when leading is over and the caller's own
        cancellation was swallowed (see `stopping`)."""
        try:
            return self._group.create_task(work)
        except RuntimeError:  # the group takes no more tasks
            work.close()
            raise asyncio.CancelledError from None

    async def repeat(
        self, step: Callable[[], Awaitable[bool]], wake: asyncio.Event, turn: float | None
    ) -> None:
        """Take steps: at once while they return that there was work, else at `wake` or after `turn`
        seconds. Failures are waited out."""
        backoff = Backoff(0.1, 2.0)
        while not self.stopping:
            wake.clear()  # what comes during the step is not missed
            try:
                worked = await step()
            except ServiceError as error:  # the record does not answer
                seconds = backoff.fail()
                log.warning("waiting", reason=error.reason, seconds=round(seconds, 2))
                await asyncio.sleep(seconds)
                continue
            backoff.reset()
            if not worked and not self.stopping:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(turn):
                        await wake.wait()
