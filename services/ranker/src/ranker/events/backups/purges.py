"""Notes of purges, erasures and consents beside the backups. A restore repeats them, because it
would otherwise bring back shoppers who asked to be forgotten, and undo withdrawals.

A note holds the purge's conditions or the decisions, with a shopper as a pseudonym; that of an
erasure holds hashes of pseudonyms only.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from ranker.domain.consent import Decision, Purpose, StoredDecision
from ranker.domain.erasure import Person, person_hash
from ranker.domain.selection import PurgePlace, selection_of
from ranker.events.purge import BATCH
from ranker.events.record.consent_changes import ConsentRecord
from ranker.events.record.selections import SelectionRecord
from servicekit.backups.store import STAMP, Backups, stamp
from servicekit.clock import now_micros
from servicekit.jobs import Job

NOTES = "purges"
"""Folder of the notes, beside the backups."""
CONSENTS = "-consents-"
"""Part of the names of notes of consents."""
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


def note_consents(backups: Backups, catalog_id: str, decided: Sequence[StoredDecision]) -> None:
    """Record decisions, oldest first. Raise BackupsUnavailable, BackupsFull."""
    now, newest = now_micros(), decided[-1].decision.decided_micros
    said = {"catalog_id": catalog_id, "consents": [asdict(one) for one in decided]}
    name = f"{stamp(now)}{CONSENTS}{newest}-{catalog_id}.json"
    backups.put_signed(f"{NOTES}/{name}", {**said, "done_micros": now})


def noted_until(backups: Backups, catalog_id: str) -> int:
    """Return the time of the newest decision of a catalog in a note, microseconds since 1970 (UTC);
    0 without any."""
    end = f"-{catalog_id}.json"
    found = [name.removesuffix(end) for name in _notes(backups) if name.endswith(end)]
    times = [name.partition(CONSENTS)[2] for name in found]
    return max((int(time) for time in times if time.isdecimal()), default=0)


async def repeat(
    backups: Backups,
    record: SelectionRecord,
    consents: ConsentRecord,
    erase_again: EraseAgain,
    since_micros: int,
    *,
    unsigned: bool,
) -> tuple[int, int]:
    """Repeat the purges, erasures and consents since then. Return the number of purges and
    erasures, and of records deleted.

    All restored events are older than these purges. Events that arrive later are not deleted: a
    repeated purge ends at the newest event stored now.
    """
    since = stamp(since_micros - MARGIN_MICROS)
    purges = deleted = 0
    for name in (name for name in _notes(backups) if name >= since):
        said = backups.get_signed(f"{NOTES}/{name}", unsigned=unsigned)
        if "consents" in said:
            decided = map(_decided, said["consents"])
            await consents.restore(said["catalog_id"], tuple(decided))
            continue
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


def _decided(said: Mapping[str, Any]) -> StoredDecision:
    decision = dict(said["decision"])
    decision["purpose"] = Purpose(decision["purpose"])
    return StoredDecision(said["actor"], said["key_id"], Decision(**decision))


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
