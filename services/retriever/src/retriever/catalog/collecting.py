"""Deletion of unused photos: those of a failed write, and those that no product has any more.

An upload stores the bytes before the transaction that names them. So a photo goes only once no
product had it for days, by the record's own notes of it, and its bytes only if none came meanwhile:
what is uploaded at that very moment stays. A record that lost its products, or that is another one
than the photos are of, takes as many days to do harm.
"""

from prometheus_client import Counter

from retriever.ports.catalog import UnnamedRecord
from retriever.ports.photos import PhotoFiles

SHELVES = 256
LOOK = 2_000
"""Photos of the record that are looked at in one statement."""
BATCH = 200
"""Photos that are forgotten in one transaction."""
DAY = 86_400.0

COLLECTED = Counter(
    "sightline_photos_collected_total", "Photos that no product had for long and that were deleted."
)


async def collect(
    catalog_id: str, days: float, record: UnnamedRecord, files: PhotoFiles, now: float
) -> int:
    """Note which photos nothing names, and delete those that nothing named for `days`; how many.

    `now`: seconds since 1970 (UTC).
    """
    await record.forget_named(catalog_id)
    after = ""
    while True:
        found, after = await record.unnamed(catalog_id, after, LOOK)
        if found:
            await record.note_unnamed(catalog_id, found)
        if not after:
            break
    for shelf in range(SHELVES):
        unknown = await record.unknown(catalog_id, await files.names(catalog_id, shelf))
        if not unknown:
            continue
        for image_id in await record.taken_down(catalog_id, unknown):
            await files.delete(catalog_id, image_id)  # it came while it was taken down
        await record.note_unnamed(catalog_id, unknown)
    before, count = now - days * DAY, 0
    while overdue := await record.overdue(catalog_id, int(before * 1e6), BATCH):
        for image_id in await record.drop_unnamed(catalog_id, overdue):
            count += await files.discard(catalog_id, image_id, before)
    COLLECTED.inc(count)
    return count
