"""Versions of the visual space that accept texts: those fitted with titles.

The embedder is polled, not called by every request.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from gateway.model.carried import EmbedderSpace
from servicekit.errors import ServiceError

LOOK_SECONDS = 10.0
"""Seconds until the versions of a catalog are read again."""
CALL_SECONDS = 5.0


class TextQuerySpaces:
    """Known versions by catalog."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._looking: dict[str, asyncio.Task[tuple[str, ...]]] = {}

    async def of(
        self, catalog_id: str, ask: Callable[[str], Awaitable[Sequence[EmbedderSpace]]]
    ) -> tuple[str, ...]:
        """Return the versions that take texts, the default one first.

        Only the first request of a catalog waits for the embedder; while it does not answer, the
        previous list is used, at first an empty one.
        """
        held = self._held.get(catalog_id)
        if held is None:
            return await asyncio.shield(self._look(catalog_id, ask))
        if self._clock() - held[0] > LOOK_SECONDS:
            self._look(catalog_id, ask)
        return held[1]

    def forget(self, catalog_id: str) -> None:
        """Drop what is kept of a catalog."""
        self._held.pop(catalog_id, None)

    def _look(
        self, catalog_id: str, ask: Callable[[str], Awaitable[Sequence[EmbedderSpace]]]
    ) -> asyncio.Task[tuple[str, ...]]:
        """Return a catalog's lookup, shared by all requests; it continues if they are cancelled."""
        task = self._looking.get(catalog_id)
        if task is None:
            task = self._looking[catalog_id] = asyncio.create_task(self._asked(catalog_id, ask))
            task.add_done_callback(lambda _: self._looking.pop(catalog_id, None))
        return task

    async def _asked(
        self, catalog_id: str, ask: Callable[[str], Awaitable[Sequence[EmbedderSpace]]]
    ) -> tuple[str, ...]:
        _, before = self._held.get(catalog_id, (0.0, ()))
        try:
            async with asyncio.timeout(CALL_SECONDS):
                spaces = await ask(catalog_id)
        except (ServiceError, TimeoutError):
            versions = before
        else:
            versions = tuple(
                item.version
                for item in sorted(spaces, key=lambda item: not item.default_version)
                if item.space == "visual" and item.takes_texts and item.version
            )
        self._held[catalog_id] = self._clock(), versions
        return versions
