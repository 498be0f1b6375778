"""Publishes models beside the worker's other jobs: that may have to wait for the retriever."""

import asyncio
import contextlib

from ranker.adapters.retriever import CollaborativeIndex
from ranker.domain.errors import Interrupted
from ranker.models import publish
from ranker.models.publish import PUBLISH, Publication, PublishedModels
from ranker.record.models import ModelRegistry
from ranker.workers.jobs import finish
from ranker.workers.options import Options
from servicekit import telemetry
from servicekit.errors import ServiceError, Unavailable
from servicekit.jobs import Job, JobClaimLost, Jobs
from servicekit.leases import worker_id


class Publisher:
    """Does the jobs that publish models, and asks for one whenever another model serves."""

    def __init__(
        self,
        jobs: Jobs,
        models: PublishedModels,
        index: CollaborativeIndex,
        settings: Options,
        registry: ModelRegistry,
    ) -> None:
        self._jobs = jobs
        self._models = models
        self._index = index
        self._settings = settings
        self._registry = registry
        self._asked: set[str] = set()

    async def work(self, stop: asyncio.Event) -> None:
        """Claim and run jobs until `stop` is set; a job in progress is then left."""
        me = worker_id("ranker-publisher")
        log = telemetry.get_logger()
        while not stop.is_set():
            try:
                if self._settings.publish:
                    await self.follow()
                job = await self._jobs.claim((PUBLISH,), me, self._settings.lease_seconds)
                if job is not None:
                    await self._publish(job, stop)
                    continue
            except ServiceError as error:
                log.warning("job not worked on", reason=error.reason)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._settings.poll_seconds)

    async def follow(self) -> None:
        """Ask for a publication of each serving model, once for each time that it came to serve.

        From the record and not from the call that promotes: nothing is missed when either dies.
        """
        for catalog_id, model in (await self._registry.promoted(self._settings.catalogs)).items():
            key = f"serving {model.version} since {model.promoted_micros}"
            if f"{catalog_id} {key}" not in self._asked:
                await self._jobs.create(PUBLISH, catalog_id, publish.params(model.version), key)
                self._asked.add(f"{catalog_id} {key}")

    async def _publish(self, job: Job, stop: asyncio.Event) -> None:
        log = telemetry.get_logger().bind(job_id=job.id, kind=job.kind, attempt=job.attempts)
        log.info("job begun")
        try:
            async with self._jobs.renewing(job.id):
                publication = Publication(job, self._models, self._index, self._jobs, stop)
                result = await publication.run()
                await finish(self._jobs, job, result, stop)
            log.info("job done", **result)
        except JobClaimLost:
            log.warning("job lost to another worker")
        except Interrupted:
            log.info("job left; it is free again when its claim runs out")
        except Unavailable:
            raise  # the record is away: free again when its claim runs out
        except Exception as error:
            named = isinstance(error, ServiceError)
            log.warning("job ended", reason=getattr(error, "reason", ""), exc_info=not named)
            await self._jobs.fail(job.id, error)
