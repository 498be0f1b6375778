"""Synonyms of catalogs: read and replaced while the suite runs, and held for searches."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field

from retriever.domain.synonyms import StoredSynonyms, checked
from retriever.record import Record
from servicekit.catalogs.known import POLL_SECONDS, CatalogChange
from servicekit.errors import ServiceError
from servicekit.telemetry import get_logger
from sightline_rules.synonyms import NO_SYNONYMS, SynonymRule, Synonyms

WAIT_SECONDS = 1.0
"""Seconds that a search waits for a read of rules; then it uses those from before."""

log = get_logger()


@dataclass(slots=True)
class _HeldRules:
    revision: str
    synonyms: Synonyms
    due: float
    """Time from which they are read again."""


@dataclass(slots=True)
class HeldSynonyms:
    """The rules of a process's catalogs: those of the record, at most POLL_SECONDS old. While they
    can't be read, those from before are used. Not for several event loops."""

    record: Record
    clock: Callable[[], float] = time.monotonic
    _held: dict[str, _HeldRules] = field(default_factory=dict)
    _reading: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def of(self, catalog_id: str) -> Synonyms:
        """Return a catalog's rules."""
        held = self._held.get(catalog_id)
        if held is None or self.clock() >= held.due:
            await asyncio.wait({self._read(catalog_id)}, timeout=WAIT_SECONDS)
            held = self._held.get(catalog_id)
        return NO_SYNONYMS if held is None else held.synonyms

    async def get(self, catalog_id: str) -> StoredSynonyms:
        """Return a catalog's rules as the record has them."""
        return await self.record.synonyms(catalog_id)

    async def replace(
        self, catalog_id: str, rules: Sequence[SynonymRule], etag: str
    ) -> StoredSynonyms:
        """Replace a catalog's rules. Raises SynonymsInvalid, EtagMismatch."""
        valid = await asyncio.to_thread(checked, rules)
        stored = await self.record.set_synonyms(catalog_id, valid, etag)
        self.forget(catalog_id)
        return stored

    def forget(self, catalog_id: str) -> None:
        """Read a catalog's rules again at the next use."""
        if catalog_id in self._held:
            self._held[catalog_id].due = -float("inf")
        self._reading.pop(catalog_id, None)  # it may have begun before the change

    def follow(self, change: CatalogChange) -> None:
        """Drop the rules of catalogs that are no longer in use, or were replaced."""
        for catalog_id in change.removed:
            self._held.pop(catalog_id, None)
            self._reading.pop(catalog_id, None)

    def _read(self, catalog_id: str) -> asyncio.Task[None]:
        task = self._reading.get(catalog_id)
        if task is None:
            # In a separate context, without the caller's deadline and request id.
            task = asyncio.create_task(self._replace(catalog_id), context=Context())
            self._reading[catalog_id] = task
        return task

    async def _replace(self, catalog_id: str) -> None:
        task, held = asyncio.current_task(), self._held.get(catalog_id)
        found, synonyms = None, NO_SYNONYMS
        try:
            known = None if held is None else held.revision
            found = await self.record.synonyms_since(catalog_id, known)
            if found is not None:
                synonyms = await asyncio.to_thread(Synonyms, found[1].rules)
        except ServiceError as error:
            log.warning("synonyms not read", catalog=catalog_id, reason=error.reason)
        finally:
            current = self._reading.get(catalog_id) is task
            if current:
                del self._reading[catalog_id]
        if not current:  # the rules may have changed since it began
            return
        due = self.clock() + POLL_SECONDS
        if found is not None:
            self._held[catalog_id] = _HeldRules(found[0], synonyms, due)
        elif held is not None:
            held.due = due
