"""Notes of purges beside the backups. A restore repeats them, because it would otherwise bring back
shoppers who asked to be forgotten.

A note holds the purge's conditions; a shopper is in it as a pseudonym.
"""

from dataclasses import replace
from datetime import UTC, datetime

from ranker.domain.selection import PurgePlace, selection_of
from ranker.events.purge import BATCH
from ranker.events.record.selections import SelectionRecord
from servicekit.backups.store import STAMP, Backups, stamp
from servicekit.clock import now_micros
from servicekit.jobs import Job

NOTES = "purges"
"""Folder of the notes, beside the backups."""
MARGIN_MICROS = 3_600 * 10**6
"""Margin for clock skew, in microseconds; repeating a purge does no harm."""


def note(backups: Backups, job: Job) -> None:
    """Record a completed purge. Raise BackupsUnavailable, BackupsFull."""
    now = now_micros()
    name = f"{stamp(now)}-{job.id}.json"
    said = {"catalog_id": job.catalog_id, "params": dict(job.params), "done_micros": now}
    backups.put_signed(f"{NOTES}/{name}", said)


async def repeat(
    backups: Backups,
    record: SelectionRecord,
    since_micros: int,
    *,
    unsigned: bool,
) -> tuple[int, int]:
    """Repeat the purges since then. Return their number and the number of events deleted.

    All restored events are older than these purges. Events that arrive later are not deleted: a
    repeated purge ends at the newest event stored now.
    """
    since = stamp(since_micros - MARGIN_MICROS)
    purges = deleted = 0
    for name in (name for name in _notes(backups) if name >= since):
        said = backups.get_signed(f"{NOTES}/{name}", unsigned=unsigned)
        selection = selection_of(said["catalog_id"], said["params"])
        newest = await record.last_sequence(selection.catalog_id)
        last = min(newest, selection.last_sequence or newest)
        selection, purges = replace(selection, last_sequence=last), purges + 1
        place: PurgePlace | None = PurgePlace()
        while place is not None:
            batch = await record.delete(selection, place, BATCH)
            deleted, place = deleted + batch.count, batch.place
    return purges, deleted


def forget_before(backups: Backups, backup_id: str) -> None:
    """Delete notes that are older than the oldest backup."""
    made = datetime.strptime(backup_id[:16], STAMP).replace(tzinfo=UTC)
    oldest = stamp(int(made.timestamp()) * 10**6 - MARGIN_MICROS)
    for name in _notes(backups):
        if name < oldest:
            backups.delete_signed(f"{NOTES}/{name}")


def _notes(backups: Backups) -> list[str]:
    """Return the names of all notes, oldest first."""
    return [name for name in backups.names(NOTES) if name.endswith(".json")]
