"""Deletion of alerts and photos of watches whose term has ended."""

from prometheus_client import Counter

from vision.domain.watches import DAY
from vision.ports.watching import FramePhotos
from vision.record import Record

BATCH = 200
"""Rows that are deleted in one transaction."""
GRACE_SECONDS = 2 * 3_600.0
"""Seconds from the end of a photo's term to its deletion. A photo that was stored meanwhile stays:
its bytes are stored before the transaction that names them, and an object of a bucket that is not
an hour old isn't written again."""

EXPIRED = Counter("sightline_watch_photos_expired_total", "Photos of watches that were deleted.")


async def expire(
    catalog_id: str, alert_days: float, record: Record, files: FramePhotos, now: float
) -> None:
    """Delete a catalog's photos of watches whose term has ended, and alerts older than
    `alert_days`; 0: keep alerts. `now`: seconds since 1970 (UTC)."""
    ended = now - GRACE_SECONDS
    while True:
        dropped, image_ids = await record.drop_expired_photos(catalog_id, int(ended * 1e6), BATCH)
        for image_id in image_ids:
            await files.discard(catalog_id, image_id, ended)
        EXPIRED.inc(len(image_ids))
        if dropped < BATCH:
            break
    before = int(now * 1e6 - alert_days * DAY)
    while alert_days and await record.drop_old_alerts(catalog_id, before, BATCH) == BATCH:
        pass
