"""Removes what the ranker has of deleted catalogs, once their terms have ended."""

import asyncio
from dataclasses import dataclass

from ranker.adapters.export_store import ExportStore
from ranker.adapters.model_store import ModelStore
from ranker.record.removed_catalogs import RemovedCatalogRecord
from servicekit.telemetry import get_logger

ROWS = 2_000
"""Rows that are deleted in one transaction."""
PAUSE_SECONDS = 0.01
"""Pause between transactions: SQLite does not queue the writers of several processes."""


@dataclass(frozen=True, slots=True)
class StoredCatalogs:
    """What the ranker has of catalogs."""

    record: RemovedCatalogRecord
    models: ModelStore
    exports: ExportStore

    async def remove(self, catalog_id: str) -> None:
        """Delete all of a catalog. One that is interrupted begins again."""
        await asyncio.to_thread(self.models.delete_all, catalog_id)
        await self.exports.delete_all(catalog_id)
        rows = 0
        while done := await self.record.remove(catalog_id, ROWS):
            rows += done
            await asyncio.sleep(PAUSE_SECONDS)
        await self.record.erase()
        get_logger().info("catalog removed", catalog=catalog_id, rows=rows)
