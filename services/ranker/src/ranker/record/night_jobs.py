"""The newest job that nights requested for each cause, in SQL."""

from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.record.rows import TableRecord, upsert
from ranker.record.tables import NIGHT_JOBS
from servicekit.jobs.queue import Job


class NightCause(StrEnum):
    """Cause of a job that a night requests."""

    TRAINING = "training"
    UNLEARNING = "unlearning"


@dataclass(frozen=True, slots=True)
class NightJob:
    """A job that a night requested. Times are microseconds since 1970 (UTC)."""

    job_id: str
    requested_micros: int
    decided_micros: int
    """When its result was judged; 0: not yet."""


class NightJobRecord(TableRecord):
    async def newest(self, catalog_id: str, cause: NightCause) -> NightJob | None:
        """Return the newest job of a cause; None before the first."""
        t = NIGHT_JOBS.c
        columns = sa.select(t.job_id, t.requested_micros, t.decided_micros)
        here = columns.where(t.catalog_id == catalog_id, t.cause == cause.value)
        row = await self._db.read(lambda connection: connection.execute(here).first())
        return None if row is None else NightJob(*row)

    async def decide(self, catalog_id: str, job_id: str, now_micros: int) -> None:
        """Note that a job's result was judged."""
        t = NIGHT_JOBS.c
        here = sa.update(NIGHT_JOBS).where(t.catalog_id == catalog_id, t.job_id == job_id)
        done = here.values(decided_micros=now_micros)
        await self._db.write(lambda connection: connection.execute(done))


def note(connection: Connection, job: Job, *, cause: NightCause, now_micros: int) -> None:
    """Note a new job as the newest of its cause, in the transaction that creates it."""
    row = {
        "catalog_id": job.catalog_id,
        "cause": cause.value,
        "job_id": job.id,
        "requested_micros": now_micros,
        "decided_micros": 0,
    }
    upsert(connection, NIGHT_JOBS, [row])
