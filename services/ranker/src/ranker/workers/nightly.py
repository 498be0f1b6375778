"""Nightly training of each catalog's model, with promotion if its evaluation passes.

Of several workers the first one creates the night's job; any of them may promote the result, on
whatever day the training ends. A model is judged once, and one that was promoted once is not
promoted again, because an operator may have rolled it back.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from ranker.domain.errors import ModelCorrupt, ModelNotFound, ModelUnproven, PromotionConflict
from ranker.domain.model import TRAIN, Model
from ranker.domain.nights import begun
from ranker.learning.promotion import require_proof
from ranker.ports import HistoryReader
from ranker.record.models import ModelRegistry
from ranker.record.night_jobs import NightCause
from ranker.workers.night_jobs import NightJobs
from servicekit import telemetry
from servicekit.jobs.queue import Job, JobState

NIGHT_MICROS = 20 * 3_600 * 1_000_000
"""Minimum age of the newest model for running a night's training that was due before this worker
started."""


Load = Callable[[str, str], Awaitable[Model]]
"""(catalog, version) to model; ModelNotFound, ModelCorrupt."""
Due = Callable[[], Awaitable[bool]]
"""Whether the night's training is needed."""


async def judge(
    catalog_id: str, version: str, registry: ModelRegistry, load: Load, now_micros: int
) -> None:
    """Promote a model if its evaluation passes, its files are valid, it was never promoted before,
    and no other one was promoted or rolled back meanwhile."""
    log = telemetry.get_logger().bind(catalog_id=catalog_id, model_version=version)
    since = await registry.changes(catalog_id)
    model = await registry.get(catalog_id, version)
    if model.promoted_micros is not None:
        return
    try:
        require_proof(model, await registry.serving(catalog_id))
    except ModelUnproven as error:
        log.info("model not promoted", why=error.message)
        return
    await load(catalog_id, version)
    try:
        await registry.promote(catalog_id, version, now_micros, verdict=model.verdict, since=since)
    except PromotionConflict as error:
        log.info("model not promoted", why=error.message)
        return
    log.info("model promoted", verdict=model.verdict)


@dataclass
class NightTrainings:
    """The trainings that nights request, one after another in each catalog."""

    night_jobs: NightJobs
    registry: ModelRegistry
    load: Load

    async def follow(self, catalog_id: str, night_micros: int | None, due: Due) -> str:
        """Judge the newest training once it has succeeded, however long it took, and request the
        one of the night that began then (None: no other) if it is `due`. Return the version of the
        newest training's model, empty if there is none (yet)."""
        jobs, now = self.night_jobs, self.night_jobs.now_micros()
        newest, job = await jobs.newest(catalog_id, NightCause.TRAINING)
        version = _version(job)
        if newest is not None and version and not newest.decided_micros:
            await self._judge(catalog_id, version)
            await jobs.record.decide(catalog_id, newest.job_id, now)
        if night_micros is None or not jobs.may_request(newest, job, night_micros):
            return version
        if not await due():
            return version
        params = {"seed": 0}
        return _version(await jobs.request(TRAIN, catalog_id, params, NightCause.TRAINING, newest))

    async def _judge(self, catalog_id: str, version: str) -> None:
        now = self.night_jobs.now_micros()
        try:
            await judge(catalog_id, version, self.registry, self.load, now)
        except (ModelCorrupt, ModelNotFound) as error:
            log = telemetry.get_logger().bind(catalog_id=catalog_id, model_version=version)
            log.warning("model not promoted", why=error.message)


def _version(job: Job | None) -> str:
    """Return the version of the model that a training made, empty without one."""
    succeeded = job is not None and job.state is JobState.SUCCEEDED
    return str(job.result["model_version"]) if job is not None and succeeded else ""


@dataclass
class Nightly:
    hour: int
    """Hour of the day (UTC) at which the night begins."""
    trainings: NightTrainings
    events: HistoryReader
    now_micros: Callable[[], int]
    _started_micros: int = field(init=False)

    def __post_init__(self) -> None:
        self._started_micros = self.now_micros()

    async def look(self, catalog_id: str) -> None:
        """Request the night's training if it is due, and promote its model if `judge` permits
        it."""
        night = begun(self.hour, self.now_micros())
        await self.trainings.follow(catalog_id, night, partial(self._due, catalog_id, night))

    async def _due(self, catalog_id: str, night_micros: int | None) -> bool:
        if not await self.events.most_popular(catalog_id, 1):
            return False
        if night_micros is not None and night_micros >= self._started_micros:
            return True
        newest = await self.trainings.registry.list(catalog_id, limit=1, before=None)
        return bool(newest) and self.now_micros() - newest[0].trained_micros > NIGHT_MICROS
