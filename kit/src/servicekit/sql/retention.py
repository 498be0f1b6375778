"""How long tables keep rows; deletion of old jobs, and the term of the audit log. Needs the extra
`sql`."""

from enum import Enum

import sqlalchemy as sa
from pydantic import Field

from servicekit.clock import Clock, now_micros
from servicekit.config import ServiceSettings
from servicekit.sql.database import Database

DAY_MICROS = 86_400_000_000
BATCH = 1_000
"""Rows that are deleted in one transaction."""


class Term(Enum):
    """Retention of the rows of a table."""

    GOES = "rows go after a term, or with what they belong to"
    BOUNDED = "the number of rows has a bound"
    STAYS = "rows stay until an operator deletes them"


class JobSettings(ServiceSettings):
    """Settings of jobs; a mixin of the settings of a service with jobs."""

    job_days: float = Field(default=90.0, ge=0, le=36500)
    """Days after which jobs that have ended are deleted, and in the retriever imports without rows.
    0: never. A request that is repeated later creates a new job."""


class AuditSettings(ServiceSettings):
    """Settings of the audit log; a mixin of the settings of a service that stores one."""

    audit_days: float = Field(default=90.0, ge=0, le=36500)
    """Days for which entries of the audit log stay in the database at least: younger ones can't be
    dropped. They are dropped by `sightline audit drop` alone, which needs an archive of them."""


async def forget_jobs(db: Database, table: sa.Table, days: float, clock: Clock = now_micros) -> int:
    """Delete jobs (see servicekit.jobs.queue.jobs_table) that ended more than `days` ago; 0: none.

    Return their number.
    """
    if not days:
        return 0
    ended, count = table.c.finished_time, 0
    old = sa.and_(ended > 0, ended < clock() - int(days * DAY_MICROS))
    some = sa.delete(table).where(table.c.id.in_(sa.select(table.c.id).where(old).limit(BATCH)))
    while gone := await db.write(lambda connection: connection.execute(some).rowcount):
        count += gone
    return count
