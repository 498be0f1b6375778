"""Jobs that are requested once a night, and found again by their ids on whatever day they end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ranker.record.night_jobs import NightCause, NightJob, NightJobRecord, note
from servicekit.jobs.queue import Job, JobNotFound, Jobs


@dataclass(frozen=True, slots=True)
class NightJobs:
    """Jobs that nights request."""

    jobs: Jobs
    record: NightJobRecord
    now_micros: Callable[[], int]

    async def newest(
        self, catalog_id: str, cause: NightCause
    ) -> tuple[NightJob | None, Job | None]:
        """Return the newest job of a cause, noted and as it is now; it may be forgotten."""
        noted = await self.record.newest(catalog_id, cause)
        if noted is None:
            return None, None
        try:
            return noted, await self.jobs.get(noted.job_id)
        except JobNotFound:
            return noted, None

    @staticmethod
    def may_request(newest: NightJob | None, job: Job | None, night_micros: int) -> bool:
        """Return whether the night that began then has no job yet, and the one before has ended:
        nights whose jobs take longer are left out."""
        if newest is None:
            return True
        is_open = job is not None and not job.finished_time
        return newest.requested_micros < night_micros and not is_open

    async def request(
        self,
        kind: str,
        catalog_id: str,
        params: Mapping[str, Any],
        cause: NightCause,
        newest: NightJob | None,
    ) -> Job:
        """Create a job after the newest one. Of several workers, one does."""
        key = f"{cause} after {newest.job_id if newest else 'none'}"
        noted = partial(note, cause=cause, now_micros=self.now_micros())
        return await self.jobs.create(kind, catalog_id, params, key, beside=noted)
