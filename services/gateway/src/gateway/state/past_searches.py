"""Texts that many shoppers searched for, as the ranker counts them, indexed for suggestions."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field

from servicekit.errors import ServiceError
from servicekit.off_loop import off_loop
from sightline_rules.phrases import PhraseIndex
from sightline_rules.words import words_of

SECONDS = 60.0
"""Seconds for which the texts are used before they are read again."""
MOST_SECONDS = 600.0
"""Age from which they are not used: they may have searches of shoppers who were erased."""
AGAIN_SECONDS = 5.0
"""Seconds until they are read again after an error."""
PATIENCE = 0.3
"""Seconds that a request waits for the first read of a catalog."""
_STEPS = 64
"""Cost of reading a text."""

ReadSearches = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the texts of a catalog, most shoppers first. Raises ServiceError."""


@dataclass(frozen=True, slots=True)
class KnownSearches:
    """Past searches of a catalog."""

    texts: Sequence[str]
    """Most shoppers first."""
    index: PhraseIndex
    """Rows as in `texts`."""
    until: float
    """Time of the clock from which they are too old to be used."""


@dataclass(slots=True)
class PastSearches:
    """Past searches by catalog, read again in the background. Not for several event loops."""

    clock: Callable[[], float] = time.monotonic
    patience: float = PATIENCE
    _known: dict[str, KnownSearches] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def of(self, catalog_id: str, read: ReadSearches) -> KnownSearches | None:
        """Return the past searches; None if there are none that may be used."""
        if self.clock() >= self._due.get(catalog_id, 0.0):
            task = self._running.get(catalog_id)
            if task is None:
                # In a separate context, without the caller's deadline and request id.
                task = asyncio.create_task(self._read(catalog_id, read), context=Context())
                self._running[catalog_id] = task
                task.add_done_callback(lambda done: self._end(catalog_id, done))
            if self._usable(catalog_id) is None:
                await asyncio.wait({task}, timeout=self.patience)
        return self._usable(catalog_id)

    def forget(self, catalog_id: str) -> None:
        """Drop what is kept of a catalog, and what is being read."""
        for kept in (self._known, self._due, self._running):
            kept.pop(catalog_id, None)

    def _end(self, catalog_id: str, task: asyncio.Task[None]) -> None:
        if self._running.get(catalog_id) is task:
            del self._running[catalog_id]

    def _usable(self, catalog_id: str) -> KnownSearches | None:
        known = self._known.get(catalog_id)
        return known if known is not None and self.clock() < known.until else None

    async def _read(self, catalog_id: str, read: ReadSearches) -> None:
        until = self.clock() + MOST_SECONDS
        try:
            texts = await read(catalog_id)
            work = PhraseIndex.build((words_of(text), ()) for text in texts)
            index = await off_loop(_STEPS * len(texts), work)
        except ServiceError:
            self._due[catalog_id] = self.clock() + AGAIN_SECONDS
            return
        if self._running.get(catalog_id) is asyncio.current_task():  # it still is that catalog
            self._known[catalog_id] = KnownSearches(texts, index, until)
            self._due[catalog_id] = self.clock() + SECONDS
