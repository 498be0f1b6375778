"""Scheduled deletion: alerts, photos and drafts whose term has ended, files that nothing names,
jobs that ended long ago, and what is stored of removed catalogs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from servicekit.catalogs.known import CatalogState, KnownCatalogs
from servicekit.tasks.supervision import confined
from servicekit.telemetry import get_logger
from vision.domain.catalog_keys import MARK
from vision.record import Record
from vision.watching.expiry import SHELVES, KeyedFiles, collect, expire

TURN_SECONDS, REMOVAL_TURN_SECONDS = 3_600.0, 5.0
ROWS = 2_000
"""Rows that are deleted in one transaction."""
PAUSE_SECONDS = 0.01
"""Pause between transactions: SQLite does not queue the writers of several processes."""
TIDYING, REMOVAL = "tidying", "removal"
"""Names for servicekit.tasks.supervision."""

log = get_logger()


@dataclass(frozen=True, slots=True)
class Tidying:
    """Scheduled deletions of a worker. Terms end in all catalogs, also in those not in use."""

    catalogs: KnownCatalogs
    record: Record
    """Called by keys."""
    files: KeyedFiles
    alert_days: float
    forget_jobs: Callable[[], Awaitable[int]]

    async def step(self) -> bool:
        """Delete everything whose term has ended. Return False: nothing more is due at once."""
        with confined(TIDYING):
            await self.forget_jobs()
        for key in await self.record.keys():
            with confined(TIDYING, catalog=key):
                await self.record.expire_drafts(key)
                await expire(key, self.alert_days, self.record, self.files, time.time())
                await collect(key, self.record, self.files, time.time())
        return False

    async def remove(self) -> bool:
        """Remove what is stored of removed catalogs. Return False: nothing more is due at once.

        One that is interrupted begins again. Catalogs are told by their keys, so those that were
        removed while no worker ran are found too.
        """
        for key in await self.record.keys():
            if _is_removed(key, self.catalogs):
                with confined(REMOVAL, catalog=key):
                    await self._remove(key)
        return False

    async def _remove(self, key: str) -> None:
        for shelf in range(SHELVES):
            for name in await self.files.names(key, shelf):
                await self.files.delete(key, name)
        rows = 0
        while done := await self.record.remove_rows(key, ROWS):
            rows += done
            await asyncio.sleep(PAUSE_SECONDS)
        await self.record.erase_removed()
        log.info("catalog removed", catalog=key, rows=rows)


def _is_removed(key: str, catalogs: KnownCatalogs) -> bool:
    """Return whether the catalog of a key is gone for good. One that the list does not name stays:
    the list may be that of another installation. So does one that is newer than the list's, as its
    uid tells: the list may be late, or the registry have gone back to a moment before it."""
    catalog_id, _, uid = key.partition(MARK)
    listed = catalogs.listed(catalog_id)
    if not uid or listed is None:
        return False
    gone = (CatalogState.REMOVING, CatalogState.REMOVED)
    return listed.uid > uid or (listed.uid == uid and listed.state in gone)
