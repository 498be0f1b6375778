"""Notes of purges, erasures, consents and expenses of the privacy budget beside the backups. A
restore repeats them, because it would otherwise bring back shoppers who asked to be forgotten, undo
withdrawals, and let a budget be spent again.

A note holds the purge's conditions or the decisions, with a shopper as a pseudonym until they are
erased (shopper_notes.py); that of an erasure holds hashes of pseudonyms only.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ranker.domain.consent import Decision, Purpose, StoredDecision
from ranker.domain.erasure import Person, person_hash
from ranker.domain.pseudonyms import Pseudonyms, Renewal
from ranker.domain.selection import PurgePlace, selection_of
from ranker.events.purge import BATCH
from ranker.record.consent_changes import ConsentRecord
from ranker.record.private_counts import BudgetRecord
from ranker.record.selections import SelectionRecord
from servicekit.artefacts.backup_errors import BackupDamaged
from servicekit.artefacts.backups import STAMP, Backups, stamp
from servicekit.clock import now_micros
from servicekit.jobs.queue import Job

NOTES = "purges"
"""Folder of the notes, beside the backups."""
CONSENTS = "-consents-"
"""Part of the names of notes of consents."""
EraseAgain = Callable[[str, Mapping[str, int], str], Awaitable[int]]
"""(catalog, request times by hash, job): erases restored data; returns the number of records."""
MARGIN_MICROS = 3_600 * 10**6
"""Margin for clock skew, in microseconds; repeating a purge does no harm."""


def note(backups: Backups, job: Job, key: str) -> str:
    """Record a completed purge, and return the note's name. `key`: fingerprint of the key of its
    pseudonym. Raise BackupsUnavailable, BackupsFull."""
    now = now_micros()
    name = f"{stamp(now)}-{job.id}.json"
    said = {"catalog_id": job.catalog_id, "params": dict(job.params), "key": key}
    put(backups, name, {**said, "done_micros": now})
    return name


def note_erasure(backups: Backups, person: Person, job_id: str) -> None:
    """Record that a person is erased. Raise BackupsUnavailable, BackupsFull."""
    now = now_micros()
    erased = {person_hash(actor): person.requested_micros for actor in person.actors}
    said = {"catalog_id": person.catalog_id, "erased": erased, "job_id": job_id}
    put(backups, f"{stamp(now)}-{job_id}.json", {**said, "done_micros": now})


def consents_name(catalog_id: str, decided: Sequence[StoredDecision]) -> str:
    """Return the name of a new note of decisions, oldest first."""
    newest = decided[-1].decision.decided_micros
    return f"{stamp(now_micros())}{CONSENTS}{newest}-{catalog_id}.json"


def put_consents(
    backups: Backups, name: str, catalog_id: str, decided: Sequence[StoredDecision]
) -> None:
    """Write a note of decisions. Raise BackupsUnavailable, BackupsFull."""
    said = {"catalog_id": catalog_id, "consents": [asdict(one) for one in decided]}
    put(backups, name, {**said, "done_micros": now_micros()})


def note_expenses(
    backups: Backups, catalog_id: str, expenses: Sequence[Mapping[str, Any]], job_id: str
) -> None:
    """Record what a catalog spent of its privacy budget. Raise BackupsUnavailable, BackupsFull."""
    now = now_micros()
    said = {"catalog_id": catalog_id, "expenses": [*expenses], "done_micros": now}
    put(backups, f"{stamp(now)}-{job_id}.json", said)


def noted_until(backups: Backups, catalog_id: str) -> int:
    """Return the time of the newest decision of a catalog in a note, microseconds since 1970 (UTC);
    0 without any."""
    end = f"-{catalog_id}.json"
    found = [name.removesuffix(end) for name in names(backups) if name.endswith(end)]
    times = [name.partition(CONSENTS)[2] for name in found]
    return max((int(time) for time in times if time.isdecimal()), default=0)


@dataclass(frozen=True, slots=True)
class Repeating:
    """What a restore repeats notes with."""

    record: SelectionRecord
    consents: ConsentRecord
    budget: BudgetRecord
    erase_again: EraseAgain
    key: Pseudonyms | None
    """Key of the record: a note may hold pseudonyms of a former one. None: unknown, and notes are
    repeated as they are."""

    async def repeat(
        self, backups: Backups, since_micros: int, *, unsigned: bool
    ) -> tuple[int, int]:
        """Repeat purges, erasures, consents and expenses since then. Return the number of purges
        and erasures, and of records deleted."""
        since = stamp(since_micros - MARGIN_MICROS)
        purges = deleted = 0
        for name in (name for name in names(backups) if name >= since):
            said = read(backups, name, unsigned=unsigned)
            if "consents" in said:
                await self._decide(said)
                continue
            if "expenses" in said:
                await self.budget.restore(said["catalog_id"], said["expenses"])
                continue
            purges += 1
            deleted += await (self._erase(said) if "erased" in said else self._purge(said))
        return purges, deleted

    def _renewals(self, key_id: str = "") -> Sequence[Renewal]:
        """Return what renews pseudonyms of the key with this id; of each key, if it is unknown."""
        return [Renewal(())] if self.key is None else self.key.renewals(key_id)

    async def _decide(self, said: Mapping[str, Any]) -> None:
        decided = [
            renewed(one, renewal, self.key)
            for one in map(_decided, said["consents"])
            for renewal in self._renewals(one.key_id)
        ]
        await self.consents.restore(said["catalog_id"], decided)

    async def _erase(self, said: Mapping[str, Any]) -> int:
        erased = {
            renewal.of_hash(name): time
            for renewal in self._renewals()
            for name, time in said["erased"].items()
        }
        return await self.erase_again(said["catalog_id"], erased, said["job_id"])

    async def _purge(self, said: Mapping[str, Any]) -> int:
        """Repeat a purge. All restored events are older than it. Events that arrive later are not
        deleted: it ends at the newest event stored now."""
        noted, deleted = selection_of(said["catalog_id"], said["params"]), 0
        newest = await self.record.last_sequence(noted.catalog_id)
        last = min(newest, noted.last_sequence or newest)
        actors = {renewal.of(noted.actor) if noted.actor else "" for renewal in self._renewals()}
        for actor in sorted(actors):
            selection = replace(noted, last_sequence=last, actor=actor)
            place: PurgePlace | None = PurgePlace()
            while place is not None:
                batch = await self.record.delete(selection, place, BATCH)
                deleted, place = deleted + batch.count, batch.place
        return deleted


def _decided(said: Mapping[str, Any]) -> StoredDecision:
    decision = dict(said["decision"])
    decision["purpose"] = Purpose(decision["purpose"])
    return StoredDecision(said["actor"], said["key_id"], Decision(**decision))


def renewed(one: StoredDecision, renewal: Renewal, key: Pseudonyms | None) -> StoredDecision:
    """Return a decision under the pseudonym, or hash, of a key."""
    if key is None or not renewal or not one.actor:
        return one
    if not one.key_id:
        return replace(one, actor=renewal.of_hash(one.actor))
    return replace(one, actor=renewal.of(one.actor), key_id=key.key_id)


def forget_before(backups: Backups, backup_id: str) -> None:
    """Delete notes that are older than the oldest backup."""
    made = datetime.strptime(backup_id[:16], STAMP).replace(tzinfo=UTC)
    oldest = stamp(int(made.timestamp()) * 10**6 - MARGIN_MICROS)
    for name in names(backups):
        if name < oldest:
            delete(backups, name)


def put(backups: Backups, name: str, said: Mapping[str, Any]) -> None:
    """Write a note. Raise BackupsUnavailable, BackupsFull."""
    backups.put_signed(f"{NOTES}/{name}", said)


def delete(backups: Backups, name: str) -> None:
    """Delete a note, if it exists. Raise BackupsUnavailable."""
    backups.delete_signed(f"{NOTES}/{name}")


def read(backups: Backups, name: str, *, unsigned: bool = False) -> dict[str, Any]:
    """Return a note; see `Backups.get_signed`."""
    return backups.get_signed(f"{NOTES}/{name}", unsigned=unsigned)


def decided_in(name: str, said: Mapping[str, Any]) -> list[StoredDecision]:
    """Return the decisions of a note. Raise BackupDamaged."""
    try:
        return [_decided(one) for one in said["consents"]]
    except (LookupError, TypeError, ValueError) as error:
        raise BackupDamaged(name, "is not a note of decisions") from error


def names(backups: Backups) -> list[str]:
    """Return the names of all notes, oldest first."""
    return [name for name in backups.names(NOTES) if name.endswith(".json")]
