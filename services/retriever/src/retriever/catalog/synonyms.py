"""Synonyms of catalogs: read and replaced while the suite runs, and held for searches."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from retriever.domain.scenes import KEPT
from retriever.domain.synonyms import StoredSynonyms, checked
from retriever.record import Record
from servicekit.catalogs.known import POLL_SECONDS, CatalogChange
from servicekit.tasks.refreshed import Refreshed, RefreshRules
from sightline_rules.synonyms import NO_SYNONYMS, SynonymRule, Synonyms

WAIT_SECONDS = 1.0
"""Seconds that a search waits for a read of rules; then it uses those from before."""
RULES = RefreshRules(fresh=POLL_SECONDS, again=POLL_SECONDS, longest=30.0, wait=WAIT_SECONDS)


class HeldSynonyms:
    """The rules of a process's catalogs: those of the record, at most POLL_SECONDS old. While they
    can't be read, those from before are used. Not for several event loops."""

    def __init__(
        self, record: Record, clock: Callable[[], float] = time.monotonic, *, keep: int = KEPT
    ) -> None:
        """`keep`: number of versions that are kept."""
        self._record, self._keep = record, keep
        self._rules = Refreshed[str, tuple[str, Synonyms]]("synonyms", RULES, clock)
        """By catalog, each with its revision."""

    async def of(self, catalog_id: str) -> Synonyms:
        """Return a catalog's rules."""
        read = partial(self._read, catalog_id)
        held = await self._rules.get(catalog_id, read, patience=WAIT_SECONDS)
        return NO_SYNONYMS if held is None else held[1]

    async def get(self, catalog_id: str) -> StoredSynonyms:
        """Return a catalog's rules as the record has them."""
        return await self._record.synonyms(catalog_id)

    async def replace(
        self, catalog_id: str, rules: Sequence[SynonymRule], etag: str, *, author: str = ""
    ) -> StoredSynonyms:
        """Replace a catalog's rules by a version of an author. Raises SynonymsInvalid,
        EtagMismatch."""
        valid = await asyncio.to_thread(checked, rules)
        stored = await self._record.set_synonyms(
            catalog_id, valid, etag, author=author, keep=self._keep
        )
        self._rules.expire(catalog_id)
        return stored

    def follow(self, change: CatalogChange) -> None:
        """Drop the rules of catalogs that are no longer in use, or were replaced."""
        for catalog_id in change.removed:
            self._rules.forget(catalog_id)

    async def _read(self, catalog_id: str) -> tuple[str, Synonyms]:
        held = self._rules.peek(catalog_id)
        found = await self._record.synonyms_since(catalog_id, held and held[0])
        if found is None and held is not None:
            return held
        revision, stored = found or ("", StoredSynonyms(()))
        return revision, await asyncio.to_thread(Synonyms, stored.rules)
