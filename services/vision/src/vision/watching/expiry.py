"""Deletion of alerts and photos of watches whose term has ended, and of photos that nothing names.

All of it by the keys of catalogs, also of those that are not in use.
"""

from typing import Protocol

from prometheus_client import Counter

from vision.domain.watches import DAY
from vision.record import Record

BATCH = 200
"""Rows that are deleted in one transaction."""
GRACE_SECONDS = 2 * 3_600.0
"""Seconds from the end of a photo's term to its deletion. A photo that was stored meanwhile stays:
its bytes are stored before the transaction that names them, and an object of a bucket that is not
an hour old isn't written again."""

UNNAMED_SECONDS = 7 * 86_400.0
"""Age of a photo's bytes from which it is deleted if nothing names it: longer than any call or job
takes from storing a photo to naming it, and than a record that was replaced stays unnoticed."""
SHELVES = 256

EXPIRED = Counter("sightline_watch_photos_expired_total", "Photos of watches that were deleted.")


class KeyedPhotos(Protocol):
    """Photos by the keys of their catalogs."""

    async def names(self, catalog_id: str, shelf: int) -> list[str]:
        """Return the names that begin with this byte, 0 to 255."""

    async def delete(self, catalog_id: str, name: str) -> None:
        """Delete a photo if it exists."""

    async def discard(self, catalog_id: str, name: str, before: float) -> bool:
        """Delete a photo unless its bytes were stored since `before` (seconds since 1970, UTC).
        Return whether it was deleted."""


async def expire(
    key: str, alert_days: float, record: Record, files: KeyedPhotos, now: float
) -> None:
    """Delete a catalog's photos of watches whose term has ended, and alerts older than
    `alert_days`; 0: keep alerts. `now`: seconds since 1970 (UTC)."""
    ended = now - GRACE_SECONDS
    while True:
        dropped, image_ids = await record.drop_expired_photos(key, int(ended * 1e6), BATCH)
        for image_id in image_ids:
            await files.discard(key, image_id, ended)
        EXPIRED.inc(len(image_ids))
        if dropped < BATCH:
            break
    before = int(now * 1e6 - alert_days * DAY)
    while alert_days and await record.drop_old_alerts(key, before, BATCH) == BATCH:
        pass


async def collect(key: str, record: Record, files: KeyedPhotos, now: float) -> None:
    """Delete a catalog's photos that nothing names: those of calls that failed after they stored
    one, and of processes that were killed. `now`: seconds since 1970 (UTC)."""
    for shelf in range(SHELVES):
        if stored := await files.names(key, shelf):
            for image_id in await record.unnamed_photos(key, stored):
                EXPIRED.inc(await files.discard(key, image_id, now - UNNAMED_SECONDS))
