"""Deletion of old jobs. Needs the extra `sql`."""

import sqlalchemy as sa
from pydantic import Field

from servicekit.clock import Clock, now_micros
from servicekit.config import ServiceSettings
from servicekit.sql import Database

DAY_MICROS = 86_400_000_000


class JobSettings(ServiceSettings):
    """Settings of jobs; a mixin of the settings of a service with jobs."""

    job_days: float = Field(default=90.0, ge=0, le=36500)
    """Days after which jobs that have ended are deleted. 0: never. A request that is repeated later
    creates a new job."""


async def forget_jobs(db: Database, table: sa.Table, days: float, clock: Clock = now_micros) -> int:
    """Delete jobs (see servicekit.jobs.jobs_table) that ended more than `days` ago; 0: none.

    Return their number.
    """
    if not days:
        return 0
    ended = table.c.finished_time
    old = sa.and_(ended > 0, ended < clock() - int(days * DAY_MICROS))
    return await db.write(
        lambda connection: connection.execute(sa.delete(table).where(old)).rowcount
    )
