"""Notes of decisions beside the backups, made by the worker."""

from ranker.events.backups.shopper_notes import ShopperNotes
from ranker.record.consent_changes import ConsentRecord

MARGIN_MICROS = 60 * 10**6
"""Decisions of that time before the newest noted one are noted again: they may have been stored
later. Repeating a decision does no harm."""
MOST = 10_000
"""Maximum number of decisions of a note."""


class ConsentNotes:
    """Writer of notes of new decisions."""

    def __init__(self, notes: ShopperNotes, consents: ConsentRecord) -> None:
        self._notes, self._consents = notes, consents
        self._noted: dict[str, int] = {}
        """By catalog: time of the newest noted decision."""

    async def __call__(self, catalog_id: str) -> None:
        """Note the new decisions of a catalog. Raise BackupsUnavailable, BackupsFull."""
        if catalog_id not in self._noted:
            self._noted[catalog_id] = await self._notes.noted_until(catalog_id)
        while True:
            last = self._noted[catalog_id]
            since = max(last - MARGIN_MICROS, 0)
            decided = await self._consents.since(catalog_id, since, MOST)
            if not decided or decided[-1].decision.decided_micros <= last:
                return
            await self._notes.note_consents(catalog_id, decided)
            self._noted[catalog_id] = decided[-1].decision.decided_micros
