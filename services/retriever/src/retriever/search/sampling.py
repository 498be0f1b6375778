"""A sample of each catalog, kept in memory so that a search can estimate what a filter passes.

Drawn in the background, from the record: ids of rows are hashes, so the rows behind any id are a
random sample, and how far they lie apart says how many there are.
"""

import secrets
import time
from collections.abc import Callable

from retriever.record import Record
from retriever.search.planning import Sample
from servicekit.catalogs.known import CatalogChange
from servicekit.tasks.refreshed import Refreshed, RefreshRules

SIZE = 1_000
"""Rows of a sample: about 2 MB of memory a catalog."""
AGE_SECONDS = 60.0
"""Maximum age of a sample, in seconds."""
CHANGED_SECONDS = 1.0
"""The same, in seconds, after writes to a catalog hardly larger than the sample."""
SMALL = 4 * SIZE


RULES = RefreshRules(fresh=AGE_SECONDS, again=0.0, longest=30.0)


class Samples:
    """The samples of all catalogs that were searched."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept = Refreshed[str, Sample]("samples", RULES, clock)

    async def of(self, catalog_id: str, head: int, record: Record) -> Sample:
        """Return the current sample; only the first search of a catalog waits for it.

        `head`: the record's newest write.
        """
        kept = self._kept.peek(catalog_id)
        changed = kept is not None and kept.head != head and kept.rows < SMALL

        async def draw() -> Sample:
            facts, rows = await record.sample(catalog_id, secrets.token_hex(16), SIZE)
            return Sample(tuple(facts), rows, head)

        fresh = CHANGED_SECONDS if changed else None
        return await self._kept.require(catalog_id, draw, fresh=fresh)

    def follow(self, change: CatalogChange) -> None:
        """Drop the samples of catalogs that are no longer in use, or were replaced."""
        for catalog_id in change.removed:
            self._kept.forget(catalog_id)
