"""Scheduled deletion: alerts, photos and drafts whose term has ended, jobs that ended long ago,
files that references let go, and what is stored of removed catalogs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from servicekit.catalogs.known import CatalogState, KnownCatalogs
from servicekit.tasks.supervision import confined
from servicekit.telemetry import get_logger
from vision.domain.catalog_keys import MARK
from vision.ports.watching import FramePhotos
from vision.record import Record
from vision.watching.expiry import expire

TURN_SECONDS, REMOVAL_TURN_SECONDS, FILES_TURN_SECONDS = 3_600.0, 5.0, 1.0
FILES_AT_ONCE = 100
ROWS = 2_000
"""Rows that are deleted in one transaction."""
PAUSE_SECONDS = 0.01
"""Pause between transactions: SQLite does not queue the writers of several processes."""
SHELVES = 256
TIDYING, REMOVAL, FILES = "tidying", "removal", "files of references"
"""Names for servicekit.tasks.supervision."""

log = get_logger()


class KeyedFiles(Protocol):
    """Photos by the keys of their catalogs."""

    async def names(self, catalog_id: str, shelf: int) -> list[str]:
        """Return the names that begin with this byte, 0 to 255."""

    async def delete(self, catalog_id: str, name: str) -> None:
        """Delete a photo if it exists."""


@dataclass(frozen=True, slots=True)
class Tidying:
    """Scheduled deletions of a worker."""

    catalogs: KnownCatalogs
    record: Record
    photos: FramePhotos
    files: KeyedFiles
    alert_days: float
    forget_jobs: Callable[[], Awaitable[int]]

    async def step(self) -> bool:
        """Delete everything whose term has ended. Return False: nothing more is due at once."""
        with confined(TIDYING):
            await self.forget_jobs()
        for catalog in self.catalogs:
            with confined(TIDYING, catalog=catalog):
                await expire(catalog, self.alert_days, self.record, self.photos, time.time())
                await self.record.expire_drafts(catalog)
        return False

    async def drop_files(self) -> bool:
        """Delete files that references let go. Return whether there may be more."""
        due = await self.record.due_files(FILES_AT_ONCE)
        for key, name in due:
            await self.files.delete(key, name)
            await self.record.forget_file(key, name)
        return len(due) == FILES_AT_ONCE

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
    the list may be that of another installation."""
    catalog_id, _, uid = key.partition(MARK)
    listed = catalogs.listed(catalog_id)
    if not uid or listed is None:
        return False
    gone = (CatalogState.REMOVING, CatalogState.REMOVED)
    return listed.uid != uid or listed.state in gone
