"""Removes what the ranker has of deleted catalogs, once their terms have ended."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ranker.adapters.export_store import ExportStore
from ranker.adapters.model_store import ModelStore
from ranker.record.removed_catalogs import RemovedCatalogRecord
from servicekit.catalogs.known import KnownCatalogs, ListedCatalog
from servicekit.tasks.supervision import confined
from servicekit.telemetry import get_logger

ROWS = 2_000
"""Rows that are deleted in one transaction."""
REMOVAL = "catalogs not removed"
"""Name for servicekit.tasks.supervision."""
PAUSE_SECONDS = 0.01
"""Pause between transactions: SQLite does not queue the writers of several processes."""


@dataclass
class CatalogRemoval:
    """Removals of catalogs. One that is interrupted begins again: what is removed stays so."""

    catalogs: KnownCatalogs
    record: RemovedCatalogRecord
    models: ModelStore
    exports: ExportStore
    confirm: Callable[[ListedCatalog], Awaitable[None]]
    """Tells the registry that the ranker has nothing of a catalog any more."""
    _done: set[str] = field(init=False, default_factory=set)
    """Removed catalogs, by uid."""

    async def look(self) -> None:
        """Remove all catalogs that are due."""
        removing = self.catalogs.removing()
        for each in removing:
            if each.uid not in self._done:
                with confined(REMOVAL, catalog=each.catalog_id):
                    await self._remove(each.catalog_id)
                    await self.confirm(each)
                    self._done.add(each.uid)
        self._done &= {each.uid for each in removing}

    async def _remove(self, catalog_id: str) -> None:
        await asyncio.to_thread(self.models.delete_all, catalog_id)
        await self.exports.delete_all(catalog_id)
        rows = 0
        while done := await self.record.remove(catalog_id, ROWS):
            rows += done
            await asyncio.sleep(PAUSE_SECONDS)
        await self.record.erase()
        get_logger().info("catalog removed", catalog=catalog_id, rows=rows)
