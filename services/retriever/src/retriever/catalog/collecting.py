"""Deletion of unused photos: those of failed writes, and those that no product has any longer.

An upload stores the bytes before the transaction that names them. A photo is therefore deleted only
if no product had it for days, according to the record's notes, and its bytes only if they were not
stored again meanwhile: a concurrent upload keeps them. If the record lost its products, or belongs
to another photo store, no photo is deleted for that many days.
"""

from prometheus_client import Counter

from retriever.ports.photos import PhotoFiles
from retriever.record import Record

SHELVES = 256
LOOK = 2_000
"""Photos of the record that are scanned in one statement."""
BATCH = 200
"""Photos that are deleted from the record in one transaction."""
DAY = 86_400.0

COLLECTED = Counter("sightline_photos_collected_total", "Unused photos that were deleted.")


async def collect(
    catalog_id: str, days: float, record: Record, files: PhotoFiles, now: float
) -> int:
    """Note unused photos, and delete those that were unused for `days`. Return the number deleted.
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
        stored = await files.names(catalog_id, shelf)
        if not stored or not (unknown := await record.unknown(catalog_id, stored)):
            continue
        for image_id in await record.taken_down(catalog_id, unknown):
            await files.delete(catalog_id, image_id)  # it was uploaded during the takedown
        await record.note_unnamed(catalog_id, unknown)
    before, count = now - days * DAY, 0
    while overdue := await record.overdue(catalog_id, int(before * 1e6), BATCH):
        for image_id in await record.drop_unnamed(catalog_id, overdue):
            count += await files.discard(catalog_id, image_id, before)
    COLLECTED.inc(count)
    return count
