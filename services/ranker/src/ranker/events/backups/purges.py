"""Notes of purges and erasures beside the backups. A restore repeats them, because it would
otherwise bring back shoppers who asked to be forgotten.

A note holds the purge's conditions, with a shopper as a pseudonym; that of an erasure holds hashes
of pseudonyms only.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from ranker.domain.erasure import Person, person_hash
from ranker.domain.selection import PurgePlace, selection_of
from ranker.events.purge import BATCH
from ranker.events.record.selections import SelectionRecord
from servicekit.backups.store import STAMP, Backups, stamp
from servicekit.clock import now_micros
from servicekit.jobs import Job

NOTES = "purges"
"""Folder of the notes, beside the backups."""
EraseAgain = Callable[[str, Mapping[str, int], str], Awaitable[int]]
"""(catalog, request times by hash, job): erases restored data; returns the number of records."""
MARGIN_MICROS = 3_600 * 10**6
"""Margin for clock skew, in microseconds; repeating a purge does no harm."""


def note(backups: Backups, job: Job) -> None:
    """Record a completed purge. Raise BackupsUnavailable, BackupsFull."""
    now = now_micros()
    name = f"{stamp(now)}-{job.id}.json"
    said = {"catalog_id": job.catalog_id, "params": dict(job.params), "done_micros": now}
    backups.put_signed(f"{NOTES}/{name}", said)


def note_erasure(backups: Backups, person: Person, job_id: str) -> None:
    """Record that a person is erased. Raise BackupsUnavailable, BackupsFull."""
    now = now_micros()
    erased = {person_hash(actor): person.requested_micros for actor in person.actors}
    said = {"catalog_id": person.catalog_id, "erased": erased, "job_id": job_id}
    backups.put_signed(f"{NOTES}/{stamp(now)}-{job_id}.json", {**said, "done_micros": now})


async def repeat(
    backups: Backups,
    record: SelectionRecord,
    erase_again: EraseAgain,
    since_micros: int,
    *,
    unsigned: bool,
) -> tuple[int, int]:
    """Repeat the purges and erasures since then. Return their number and the number of records
    deleted.

    All restored events are older than these purges. Events that arrive later are not deleted: a
    repeated purge ends at the newest event stored now.
    """
    since = stamp(since_micros - MARGIN_MICROS)
    purges = deleted = 0
    for name in (name for name in _notes(backups) if name >= since):
        said = backups.get_signed(f"{NOTES}/{name}", unsigned=unsigned)
        if "erased" in said:
            deleted += await erase_again(said["catalog_id"], said["erased"], said["job_id"])
            purges += 1
            continue
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
