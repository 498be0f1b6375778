"""Notes beside the backups without the pseudonyms of erased shoppers.

An erasure is in the record before notes are searched for its shopper, and who writes a note reads
the record afterwards: whichever comes last, in any process, leaves no pseudonym.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from ranker.domain.consent import StoredDecision
from ranker.domain.erasure import Person, is_erased, person_hash
from ranker.events.backups import purges
from ranker.record.consent_changes import ConsentRecord, Withdrawals
from ranker.record.erasures import ErasureRecord
from servicekit.artefacts.backup_errors import BackupDamaged, BackupNotFound, BackupUnsigned
from servicekit.artefacts.backups import Backups
from servicekit.jobs.queue import Job
from servicekit.telemetry import get_logger

T = TypeVar("T")


class ShopperNotes:
    """Notes that name shoppers. Calls raise BackupsUnavailable, BackupsFull."""

    def __init__(self, backups: Backups, consents: ConsentRecord, erasures: ErasureRecord) -> None:
        self._backups, self._consents, self._erasures = backups, consents, erasures

    async def noted_until(self, catalog_id: str) -> int:
        """Return the time of the newest noted decision; see `purges.noted_until`."""
        return await self._run(purges.noted_until, catalog_id)

    async def note_consents(self, catalog_id: str, decided: Sequence[StoredDecision]) -> None:
        """Record decisions, oldest first."""
        await self._put(purges.consents_name(catalog_id, decided), catalog_id, decided, None)

    async def note_purge(self, job: Job) -> None:
        """Record a completed purge. That of an erased shopper is covered by the erasure's note."""
        name = await self._run(purges.note, job, await self._erasures.key())
        erased = await self._erasures.since(job.catalog_id, job.created_time)
        if person_hash(str(job.params.get("actor", ""))) in erased:
            await self._run(purges.delete, name)

    async def forget(self, person: Person) -> int:
        """Remove an erased shopper from all notes. Return the number of notes that can't be read
        and are left."""
        unread = 0
        for name in await self._run(purges.names):
            try:
                await self._forget_in(name, person)
            except BackupNotFound:
                continue  # older than the oldest backup, and deleted meanwhile
            except (BackupDamaged, BackupUnsigned) as error:
                unread += 1
                problem = {"reason": error.reason, "problem": str(error)}
                get_logger().error("unreadable note beside the backups", note=name, **problem)
        return unread

    async def _forget_in(self, name: str, person: Person) -> None:
        said = await self._run(purges.read, name)
        if said.get("catalog_id") != person.catalog_id:
            return
        if "consents" in said:
            decided = purges.decided_in(name, said)
            await self._put(name, person.catalog_id, decided, decided)
        elif "params" in said and _names(said["params"], person):
            await self._run(purges.delete, name)

    async def _put(
        self,
        name: str,
        catalog_id: str,
        decided: Sequence[StoredDecision],
        written: Sequence[StoredDecision] | None,
    ) -> None:
        """Write a note of decisions if it differs from the `written` one, and again if a shopper
        was erased meanwhile."""
        while (kept := await self._kept(catalog_id, decided)) != written:
            await self._run(purges.put_consents, name, catalog_id, kept)
            written = kept

    async def _kept(
        self, catalog_id: str, decided: Sequence[StoredDecision]
    ) -> Sequence[StoredDecision]:
        """Return the decisions without those of erased shoppers, but for withdrawals that the
        record keeps, under a hash."""
        times = [one.decision.decided_micros for one in decided]
        erased = await self._erasures.since(catalog_id, min(times, default=0))
        theirs = {
            one
            for one in decided
            if one.key_id and is_erased(one.actor, one.decision.decided_micros, erased)
        }
        if not theirs:
            return decided
        standing = await self._consents.withdrawals(catalog_id, min(times), max(times))
        found = [_hashed(one, erased, standing) if one in theirs else one for one in decided]
        return [one for one in found if one is not None]

    async def _run(self, work: Callable[..., T], *given: Any) -> T:
        return await self._backups.run(partial(work, self._backups, *given))


def _hashed(
    one: StoredDecision, erased: Mapping[str, int], standing: Withdrawals
) -> StoredDecision | None:
    """Return an erased shopper's decision under the hash that the record has; None if it has no
    such withdrawal. Decisions of a merged visitor are the user's there."""
    decision, own = one.decision, person_hash(one.actor)
    hashes = standing.get((decision.purpose, decision.decided_micros), frozenset())
    whose = own if own in hashes else min(hashes & erased.keys(), default="")
    return replace(one, actor=whose, key_id="") if whose and not decision.granted else None


def _names(params: Any, person: Person) -> bool:
    text = json.dumps(params)
    return any(actor in text for actor in person.actors)
