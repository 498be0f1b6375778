"""Notes of decisions beside the backups, made by the worker."""

from functools import partial

from ranker.events.backups import purges
from ranker.record.consent_changes import ConsentRecord
from servicekit.artefacts.backups import Backups

MARGIN_MICROS = 60 * 10**6
"""Decisions of that time before the newest noted one are noted again: they may have been stored
later. Repeating a decision does no harm."""
MOST = 10_000
"""Maximum number of decisions of a note."""


class ConsentNotes:
    """Writer of notes of new decisions."""

    def __init__(self, backups: Backups, consents: ConsentRecord) -> None:
        self._backups, self._consents = backups, consents
        self._noted: dict[str, int] = {}
        """By catalog: time of the newest noted decision."""

    async def __call__(self, catalog_id: str) -> None:
        """Note the new decisions of a catalog. Raise BackupsUnavailable, BackupsFull."""
        if catalog_id not in self._noted:
            until = partial(purges.noted_until, self._backups, catalog_id)
            self._noted[catalog_id] = await self._backups.run(until)
        while True:
            last = self._noted[catalog_id]
            since = max(last - MARGIN_MICROS, 0)
            decided = await self._consents.since(catalog_id, since, MOST)
            if not decided or decided[-1].decision.decided_micros <= last:
                return
            write = partial(purges.note_consents, self._backups, catalog_id, decided)
            await self._backups.run(write)
            self._noted[catalog_id] = decided[-1].decision.decided_micros
