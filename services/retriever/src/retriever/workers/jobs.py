"""The loop that runs jobs: deletions and copies one at a time, all others concurrently."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from retriever.backup import backups, copies, restores
from retriever.catalog import deletions
from retriever.catalog.takedowns import PermittedPhotos
from retriever.indexing import backfill, fits, generations, rebuild
from retriever.indexing.verification.case import Tools
from retriever.indexing.verification.verify import verify
from retriever.workers.context import Worker
from retriever.workers.tasks import Tasks
from servicekit import tracing
from servicekit.errors import ServiceError, Unavailable
from servicekit.jobs.queue import Job, JobClaimLost
from servicekit.liveness import LIVENESS
from servicekit.tasks.supervision import confined
from servicekit.telemetry import get_logger
from sightline_rules.filters import All

JOBS = "jobs"
"""Name for servicekit.tasks.supervision."""
SIDE_BY_SIDE = (
    generations.BACKFILL,
    generations.VERIFY,
    generations.DROP,
    *rebuild.KINDS,
    *fits.KINDS,
)
"""Kinds that run concurrently: a backfill or a fit may take hours, and mostly waits. Deletions run
one at a time, and so do COPIES, which need disk space and memory."""
COPIES = (*backups.KINDS, copies.COPY)
KINDS = (*deletions.KINDS, *COPIES, *SIDE_BY_SIDE)
VERIFY_PATIENCE_SECONDS = 60.0
"""Seconds that a verification waits for the embedder or the engine before it fails."""
RETRY_SECONDS = 1.0

log = get_logger()


@dataclass(frozen=True, slots=True)
class JobLoop:
    """Claims and runs jobs."""

    worker: Worker
    tasks: Tasks
    checks: rebuild.Checks

    async def do_next(self, kinds: Sequence[str]) -> bool:
        """Run the oldest job of some kinds. Return whether there was one."""
        job = await self._claim(kinds)
        if job is None:
            return False
        try:
            await self._finish(job, await self._work_on(job))
        except (Unavailable, JobClaimLost):
            raise  # another attempt starts after the claim expires, here or in another worker
        except Exception as error:
            await self._fail(job, error)
        return True

    async def begin_next(self) -> bool:
        """Start the oldest job of SIDE_BY_SIDE. Return whether there was one."""
        job = await self._claim(SIDE_BY_SIDE)
        if job is None:
            await self._tidy_up()
            return False
        self.tasks.start(self._carry_out(job))
        return True

    async def _carry_out(self, job: Job) -> None:
        """Run a job to its end, and log its outcome."""
        try:
            async with self.worker.jobs.renewing(job):
                await self._finish(job, await self._patiently(job))
        except JobClaimLost:
            log.warning("job lost to another worker", job=job.id, kind=job.kind)
        except Exception as error:
            with confined(JOBS, job=job.id):  # the claim expires, and the job restarts
                await self._fail(job, error)

    async def _patiently(self, job: Job) -> Mapping[str, Any]:
        """Run a job, and wait for unavailable services; a verification waits for a limited time
        only."""
        begun = time.monotonic()
        while True:
            try:
                return await self._work_on(job)
            except Unavailable as error:
                late = time.monotonic() - begun > VERIFY_PATIENCE_SECONDS
                if job.kind == generations.VERIFY and late:
                    raise
                log.warning("job waits", job=job.id, kind=job.kind, reason=error.reason)
                await asyncio.sleep(RETRY_SECONDS)

    async def _work_on(self, job: Job) -> Mapping[str, Any]:
        """Run a job. Return its result."""
        with tracing.job(job.kind, job.catalog_id, job.id):
            return await self._result(job)

    async def _result(self, job: Job) -> Mapping[str, Any]:
        worker, record, jobs = self.worker, self.worker.record, self.worker.jobs
        photos = PermittedPhotos(worker.photos, record)
        copying = backups.BackupTools(record, photos, worker.backups, jobs)
        match job.kind:
            case generations.BACKFILL:
                return await backfill.backfill(job, record, jobs)
            case generations.VERIFY:
                tools = Tools(record, worker.photos, worker.index, worker.embedder, jobs)
                return await verify(job, tools)
            case generations.DROP:
                return await backfill.clear(job, record, worker.index, jobs)
            case rebuild.REBUILD:
                return await rebuild.rebuild(job, record, jobs, self.checks)
            case fits.FIT | fits.FIT_REFERENCE:
                fitting = fits.FitTools(record, worker.photos, worker.embedder, jobs)
                return await fits.fit(job, fitting)
            case backups.BACKUP:
                return await backups.back_up(job, copying, version("sightline-retriever"))
            case copies.COPY:
                seconds = worker.options.catalog_settle_seconds
                deps = copies.CopyTools(copying, record, worker.embedder, seconds)
                return await copies.copy(job, deps, worker.options.milvus_prefix)
            case backups.RESTORE:
                return await restores.restore(job, copying, worker.options.milvus_prefix)
        purges = job.kind == deletions.PURGE
        condition = worker.read_filter(job.params["filter"]) if purges else All()
        return {"deleted_count": await deletions.delete(job, condition, record, jobs)}

    async def _tidy_up(self) -> None:
        """Delete the pending items of a backfill that was cancelled while no worker ran it."""
        for catalog in self.worker.catalogs:
            with confined(JOBS, catalog=catalog):
                await self._tidy_catalog(catalog)

    async def _tidy_catalog(self, catalog: str) -> None:
        open_jobs = await generations.open_jobs(catalog, generations.BACKFILL, self.worker.jobs)
        wanted = {job.params["generation"] for job in open_jobs}
        for generation in await self.worker.record.generations(catalog):
            if generation.name not in wanted:
                await backfill.take_back(generation, self.worker.record)

    async def _claim(self, kinds: Sequence[str]) -> Job | None:
        with LIVENESS.watch(f"asking for {kinds[0]} jobs"):  # the job may take hours
            job = await self.worker.jobs.claim(
                kinds, self.worker.name, self.worker.options.worker_lease_seconds
            )
        if job is not None:
            log.info("job begun", job=job.id, kind=job.kind, attempt=job.attempts)
        return job

    async def _finish(self, job: Job, result: Mapping[str, Any]) -> None:
        """Store the result of a job, which may have taken hours, as soon as the record answers."""
        while True:
            try:
                await self.worker.jobs.finish(job, result)
                break
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
        log.info("job done", job=job.id, kind=job.kind, **result)

    async def _fail(self, job: Job, error: Exception) -> None:
        if not isinstance(error, ServiceError):
            log.error("job failed", job=job.id, kind=job.kind, exc_info=error)
        await self.worker.jobs.fail(job, error)
