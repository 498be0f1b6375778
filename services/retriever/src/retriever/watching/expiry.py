"""Deletion of alerts and photos of watches whose term has ended."""

from prometheus_client import Counter

from retriever.domain.watches import DAY
from retriever.ports.photos import PhotoFiles
from retriever.ports.watching import ExpiryRecord

BATCH = 200
"""Rows that are deleted in one transaction."""

EXPIRED = Counter("sightline_watch_photos_expired_total", "Photos of watches that were deleted.")


async def expire(
    catalog_id: str, alert_days: float, record: ExpiryRecord, files: PhotoFiles, now: float
) -> None:
    """Delete a catalog's photos of watches whose term has ended, and alerts older than
    `alert_days`; 0: keep alerts. `now`: seconds since 1970 (UTC)."""
    while True:
        dropped, image_ids = await record.drop_expired_photos(catalog_id, BATCH)
        for image_id in image_ids:
            await files.discard(catalog_id, image_id, now)
        EXPIRED.inc(len(image_ids))
        if dropped < BATCH:
            break
    before = int(now * 1e6 - alert_days * DAY)
    while alert_days and await record.drop_old_alerts(catalog_id, before, BATCH) == BATCH:
        pass
