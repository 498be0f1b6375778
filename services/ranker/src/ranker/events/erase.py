"""Erasure of a shopper: a job that goes through every store of the registry of personal data.

Each step can be repeated, so that the job continues after an interruption. The hash of the shopper
is stored first: from then on late answers and events of theirs are dropped (record), and a
training that has read their events removes them from its model (learning/training/job.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from ranker.domain import personal_data
from ranker.domain.erasure import ErasedStore, Person, person_of
from ranker.domain.selection import PurgePlace, Selection
from ranker.events.purge import BATCH
from ranker.record.consent_changes import ConsentRecord
from ranker.record.erasures import ErasureRecord
from ranker.record.personal import PersonalRecord
from ranker.record.selections import SelectionRecord
from servicekit.clock import now_micros
from servicekit.errors import FailedPrecondition
from servicekit.jobs.queue import Job, Jobs
from servicekit.jobs.worker import leave_on
from servicekit.personal_data import PersonalStore
from servicekit.sql.database import Database
from servicekit.tasks.supervision import first_raised

WAIT_SECONDS = 0.2
"""Seconds between two looks whether changed days are counted."""
ROWS = (personal_data.ANSWERS, personal_data.ATTRIBUTES, personal_data.ALIASES)
"""Tables whose rows are deleted without further work."""

EraseStore = Callable[[Person], Awaitable[ErasedStore]]
"""Erases a person from a store, and says what is left in it. Repeatable."""


@dataclass(eq=False)
class ErasePerson:
    """The job's stores."""

    jobs: Jobs
    erasures: ErasureRecord
    personal: PersonalRecord
    selections: SelectionRecord
    consents: ConsentRecord
    settle: Callable[[], Awaitable[None]]
    """Removes the bytes of deleted rows."""
    others: Sequence[EraseStore]
    """Stores outside the record."""
    stop: asyncio.Event

    @classmethod
    def of(
        cls,
        database: Database,
        jobs: Jobs,
        selections: SelectionRecord,
        others: Sequence[EraseStore],
        stop: asyncio.Event,
    ) -> Self:
        """Create it for a record. `jobs`: those of the worker that claims this one."""
        erasures = ErasureRecord(database)
        settle = partial(database.erase_deleted, sorted(personal_data.TABLES))
        record = (PersonalRecord(database), selections, ConsentRecord(database))
        return cls(jobs, erasures, *record, settle, others, stop)

    async def run(self, job: Job) -> dict[str, str]:
        """Run the job and return its result. Raise the errors of `jobs.progress` and of the stores,
        and JobLeft."""
        if (known := await self.erasures.erased_count(job.id)) is not None:
            await self.settle()
            return _result(known)  # interrupted after the receipt was written
        person = person_of(job.catalog_id, job.params)
        await self.erasures.begin(person, job.id)
        rows: list[EraseStore] = [self._events, *map(self._rows_of, ROWS)]
        steps: list[EraseStore] = [
            *(*rows, self._counts, self._consents, *self.others),
            partial(self._jobs, job),
        ]
        done = list[ErasedStore]()
        with first_raised(FailedPrecondition) as item:  # such as of a damaged model
            for number, step in enumerate(steps):
                await self.jobs.progress(job, number, len(steps))
                with item():
                    done.append(await step(person))
        for place, step in enumerate(rows):
            # Rows that were on their way to the store when their table was searched.
            late = await step(person)
            done[place] = replace(late, erased_count=done[place].erased_count + late.erased_count)
        await self._counts(person)
        await self.erasures.complete(person, job.id, done, now_micros())
        await self.personal.forget_in_jobs(person)
        await self.settle()
        return _result(sum(one.erased_count for one in done))

    async def again(self, catalog_id: str, erased: Mapping[str, int], job_id: str) -> int:
        """Erase restored data of persons who were erased since the backup. Return the number of
        records. `erased`: request times by hash."""
        await self.erasures.restore(catalog_id, erased, job_id)
        found = await self.personal.known(catalog_id)
        count = 0
        for name, micros in erased.items():
            if name in found:
                person = Person(catalog_id, (found[name],), micros)
                steps = (self._events, *map(self._rows_of, ROWS))
                count += sum([(await step(person)).erased_count for step in steps])
                count += (await self._consents(person)).erased_count
                await self.personal.forget_in_jobs(person)
        await self.erasures.complete_again(catalog_id, job_id, now_micros())
        return count

    async def _events(self, person: Person) -> ErasedStore:
        count = 0
        for actor in person.actors:
            selection = Selection(
                person.catalog_id, actor=actor, received_micros=person.requested_micros
            )
            place: PurgePlace | None = PurgePlace()
            while place is not None:
                self._check()
                batch = await self.selections.delete(selection, place, BATCH)
                count, place = count + batch.count, batch.place
        return ErasedStore(personal_data.EVENTS.name, count)

    def _rows_of(self, store: PersonalStore) -> EraseStore:
        async def step(person: Person) -> ErasedStore:
            count = 0
            while gone := await self.personal.delete(person, store.name, BATCH):
                self._check()
                count += gone
            return ErasedStore(store.name, count)

        return step

    async def _counts(self, person: Person) -> ErasedStore:
        """Wait until the worker has counted the shopper's days again."""
        while not await self.personal.is_counted(person):
            self._check()
            await asyncio.sleep(WAIT_SECONDS)
        return ErasedStore(personal_data.COUNT_UNITS.name)

    async def _consents(self, person: Person) -> ErasedStore:
        count, left = await self.consents.forget(person)
        text = "Withdrawals stay under a hash, as proof, and apply if the shopper returns."
        return ErasedStore(personal_data.CONSENTS.name, count, text=text if left else "")

    async def _jobs(self, job: Job, person: Person) -> ErasedStore:
        """Rewrite the parameters of all jobs but this one, which may be interrupted and needs its
        own."""
        count = await self.personal.forget_in_jobs(person, but=job.id)
        return ErasedStore(personal_data.JOBS.name, count)

    def _check(self) -> None:
        leave_on(self.stop)


def _result(count: int) -> dict[str, str]:
    return {"erased_count": str(count)}
