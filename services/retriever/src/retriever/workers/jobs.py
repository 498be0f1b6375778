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
from retriever.workers.collection_loop import IndexLoop
from retriever.workers.context import Worker
from retriever.workers.tasks import Tasks
from servicekit.errors import FailedPrecondition, Unavailable
from servicekit.jobs.queue import Job
from servicekit.jobs.worker import JobWorker
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
    checks: IndexLoop
    claims: JobWorker

    async def do_next(self, kinds: Sequence[str]) -> bool:
        """Run the oldest job of some kinds. Return whether there was one."""
        return await self.claims.next(dict.fromkeys(kinds, self._result)) is not None

    async def begin_next(self) -> bool:
        """Start the oldest job of SIDE_BY_SIDE. Return whether there was one."""
        job = await self.claims.claim(SIDE_BY_SIDE)
        if job is None:
            await self._tidy_up()
            return False
        self.tasks.start(self._carry_out(job))
        return True

    async def _carry_out(self, job: Job) -> None:
        """Run a job to its end."""
        with confined(JOBS, job=job.id):  # the claim expires, and the job restarts
            await self.claims.run(job, self._patiently)

    async def _patiently(self, job: Job) -> Mapping[str, Any]:
        """Run a job, and wait for unavailable services; a verification waits for a limited time
        only, then it fails with the reason of the service's error."""
        begun = time.monotonic()
        while True:
            try:
                return await self._result(job)
            except Unavailable as error:
                late = time.monotonic() - begun > VERIFY_PATIENCE_SECONDS
                if job.kind == generations.VERIFY and late:
                    raise FailedPrecondition(error.message, reason=error.reason) from error
                log.warning("job waits", job=job.id, kind=job.kind, reason=error.reason)
                await asyncio.sleep(RETRY_SECONDS)

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
                return await rebuild.rebuild(job, record, jobs, self.checks.want)
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
        packed = job.given(deletions.DeletionPlan).filter
        condition = worker.read_filter(packed) if job.kind == deletions.PURGE else All()
        return {"deleted_count": await deletions.delete(job, condition, record, jobs)}

    async def _tidy_up(self) -> None:
        """Delete the pending items of a backfill that was cancelled while no worker ran it."""
        for catalog in self.worker.catalogs:
            with confined(JOBS, catalog=catalog):
                await self._tidy_catalog(catalog)

    async def _tidy_catalog(self, catalog: str) -> None:
        open_jobs = await generations.open_jobs(catalog, generations.BACKFILL, self.worker.jobs)
        wanted = {job.given(generations.GenerationPlan).generation for job in open_jobs}
        for generation in await self.worker.record.generations(catalog):
            if generation.name not in wanted:
                await backfill.take_back(generation, self.worker.record)
