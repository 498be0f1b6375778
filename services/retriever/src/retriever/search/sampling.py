"""A sample of each catalog, kept in memory so that a search can estimate what a filter passes.

Drawn in the background, from the record: ids of rows are hashes, so the rows behind any id are a
random sample, and how far they lie apart says how many there are.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass

from retriever.record import Record
from retriever.search.planning import Sample
from servicekit.catalogs.known import CatalogChange
from servicekit.errors import ServiceError

SIZE = 1_000
"""Rows of a sample: about 2 MB of memory a catalog."""
AGE_SECONDS = 60.0
"""Maximum age of a sample, in seconds."""
CHANGED_SECONDS = 1.0
"""The same, in seconds, after writes to a catalog hardly larger than the sample."""
SMALL = 4 * SIZE


@dataclass(slots=True)
class _Kept:
    sample: Sample
    drawn: float
    task: asyncio.Task[Sample] | None = None


class Samples:
    """The samples of all catalogs that were searched."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def of(self, catalog_id: str, head: int, record: Record) -> Sample:
        """Return the current sample; only the first search of a catalog waits for it.

        `head`: the record's newest write.
        """
        kept = self._kept.get(catalog_id)
        if kept is None:
            sample = await self._draw(catalog_id, head, record)
            kept = self._kept.setdefault(catalog_id, _Kept(sample, self._clock()))
        elif self._is_old(kept, head) and (kept.task is None or kept.task.done()):
            renewal = self._renew(kept, catalog_id, head, record)
            kept.task = asyncio.create_task(renewal, context=Context())
        return kept.sample

    def follow(self, change: CatalogChange) -> None:
        """Drop the samples of catalogs that are no longer in use, or were replaced."""
        for catalog_id in change.removed:
            self._kept.pop(catalog_id, None)

    def _is_old(self, kept: _Kept, head: int) -> bool:
        age = self._clock() - kept.drawn
        changed = kept.sample.head != head and kept.sample.rows < SMALL
        return age > (CHANGED_SECONDS if changed else AGE_SECONDS)

    async def _renew(self, kept: _Kept, catalog_id: str, head: int, record: Record) -> Sample:
        """Read the sample again; if the record does not answer, the next search retries."""
        with suppress(ServiceError):
            kept.sample = await self._draw(catalog_id, head, record)
            kept.drawn = self._clock()
        return kept.sample

    async def _draw(self, catalog_id: str, head: int, record: Record) -> Sample:
        facts, rows = await record.sample(catalog_id, secrets.token_hex(16), SIZE)
        return Sample(tuple(facts), rows, head)
