"""Removes what the retriever has of deleted catalogs, after their terms."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from retriever.domain.collection_names import in_every_shape
from retriever.domain.generation import GenerationState
from retriever.domain.registry import RETRIEVER, CatalogEntry
from retriever.ports.engine import VectorIndex
from retriever.ports.photos import PhotoFiles
from retriever.record import Record
from servicekit.tasks.supervision import confined
from servicekit.telemetry import get_logger

ROWS = 2_000
"""Rows that are deleted in one transaction."""
PAUSE_SECONDS = 0.01
"""Pause between transactions: SQLite does not queue the writers of several processes."""
SHELVES = 256

log = get_logger()


@dataclass(frozen=True, slots=True)
class Removal:
    """Removals of catalogs."""

    record: Record
    photos: PhotoFiles
    index: VectorIndex
    declared: Collection[str]

    async def step(self) -> bool:
        """Remove all catalogs that are due. Return False: nothing more is due immediately.

        A removal that is interrupted begins again: what is removed stays so.
        """
        if await self.record.removals_due():
            for entry in await self.record.begin_removals(self.declared):
                if RETRIEVER in entry.pending:
                    with confined("removal", catalog=entry.catalog_id):
                        await self._remove(entry)
        return False

    async def _remove(self, entry: CatalogEntry) -> None:
        catalog_id = entry.catalog_id
        for generation in await self.record.history(catalog_id):
            # From now on no worker gives it another collection.
            await self.record.mark(generation, state=GenerationState.DROPPED)
            for collection in in_every_shape(generation.collection):
                await self.index.drop(collection)
        photos = 0
        for shelf in range(SHELVES):
            for image_id in await self.photos.names(catalog_id, shelf):
                await self.photos.delete(catalog_id, image_id)
                photos += 1
        rows = 0
        while done := await self.record.remove_rows(catalog_id, ROWS):
            rows += done
            await asyncio.sleep(PAUSE_SECONDS)
        await self.record.erase_removed()
        await self.record.confirm_removal(catalog_id, entry.uid, RETRIEVER)
        log.info("catalog removed", catalog=catalog_id, rows=rows, photos=photos)
