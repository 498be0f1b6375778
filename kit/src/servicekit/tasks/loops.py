"""Loops of workers: steps that are repeated when there may be work."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from servicekit.liveness import LIVENESS, SILENT_SECONDS
from servicekit.tasks.supervision import FIRST_SECONDS, Backoff, confined, pause, supervised

LATEST_SECONDS = 10.0
"""Maximum seconds between two steps of a loop that is woken: work may become due with time."""
_FAILED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Loop:
    """A step that is repeated until a stop. One that fails is told, and repeated after a
    backoff."""

    name: str
    """See servicekit.tasks.supervision."""
    step: Callable[[], Awaitable[object]]
    """Returns True if there is more to do at once."""
    seconds: float = 0.0
    """Minimum seconds between two steps, but for one that returned True."""
    wake: asyncio.Event | None = None
    """Event for which the next step waits after `seconds`, such as one of `Database.commits`; it is
    cleared before each step. None: the next step waits for nothing else."""
    latest: float | None = LATEST_SECONDS
    """Maximum seconds for which `wake` is waited for; None: no limit."""
    alive: str = ""
    """Name under which steps are reported to servicekit.liveness, so that one that hangs is
    detected; a long step must report itself. Empty: not reported."""

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Repeat the step, at first at once, until `stop` is set, or until cancelled."""
        backoff = Backoff(self.seconds or FIRST_SECONDS, max(self.seconds, _FAILED_SECONDS))
        try:
            await supervised(self.name, lambda: self._once(stop), backoff, stop=stop)
        finally:
            LIVENESS.suspend(self.alive)

    async def _once(self, stop: asyncio.Event | None) -> None:
        if self.alive:
            LIVENESS.report(self.alive)
        if self.wake is not None:
            self.wake.clear()  # before the step, so that work that arrives during it is not missed
        try:
            more = await self.step()
        finally:
            if self.alive:
                seconds = SILENT_SECONDS + self.seconds + (self.latest or 0.0)
                LIVENESS.report(self.alive, seconds)
        if more is not True:
            await _unless(stop, pause(self.seconds, self.wake, self.latest))


async def _unless(stop: asyncio.Event | None, waiting: Coroutine[Any, Any, None]) -> None:
    """Wait for something, or until `stop` is set."""
    if stop is None:
        return await waiting
    waits = [asyncio.create_task(each) for each in (waiting, stop.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def in_each(
    catalogs: Collection[str],
    look: Callable[[str], Awaitable[object]],
    loop: str,
    alive: str,
) -> Callable[[], Awaitable[None]]:
    """Return a step that calls `look` for each catalog of that time, and reports to
    servicekit.liveness as `alive` before. A failed call is told as one of `loop`; the other
    catalogs follow."""

    async def look_at_all() -> None:
        for catalog_id in catalogs:
            LIVENESS.report(alive)
            with confined(loop, catalog=catalog_id):
                await look(catalog_id)

    return look_at_all
