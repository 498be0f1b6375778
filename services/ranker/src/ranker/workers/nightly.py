"""Nightly training of each catalog's model, with promotion if its evaluation passes.

Of several workers the first one creates the night's job; any of them may promote the result. A
model that was promoted once is not promoted again, because an operator may have rolled it back.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ranker.domain.errors import ModelUnproven
from ranker.domain.model import TRAIN, Model
from ranker.events.record.models import ModelRegistry
from ranker.learning.promotion import require_proof
from ranker.ports import HistoryReader
from servicekit import telemetry
from servicekit.jobs import Jobs, JobState

NIGHT = timedelta(hours=20)
"""Minimum age of the newest model for running a night's training that was due before this worker
started."""


Load = Callable[[str, str], Awaitable[Model]]
"""(catalog, version) to model; ModelNotFound, ModelCorrupt."""


async def judge(
    catalog_id: str, version: str, registry: ModelRegistry, load: Load, now_micros: int
) -> None:
    """Promote a model if its evaluation passes, its files are valid, and it was never promoted
    before."""
    log = telemetry.get_logger().bind(catalog_id=catalog_id, model_version=version)
    model = await registry.get(catalog_id, version)
    if model.promoted_micros is not None:
        return
    try:
        require_proof(model, await registry.serving(catalog_id))
    except ModelUnproven as error:
        log.info("model not promoted", why=error.message)
        return
    await load(catalog_id, version)
    await registry.promote(catalog_id, version, now_micros, verdict=model.verdict)
    log.info("model promoted", verdict=model.verdict)


@dataclass
class Nightly:
    hour: int
    """Hour of the day (UTC) at which the night begins."""
    jobs: Jobs
    registry: ModelRegistry
    events: HistoryReader
    load: Load
    now_micros: Callable[[], int]
    _started: datetime = field(init=False)
    _decided: set[str] = field(init=False, default_factory=set)
    """Jobs whose models were judged."""

    def __post_init__(self) -> None:
        self._started = self._now()

    async def look(self, catalog_id: str) -> None:
        """Request the night's training if it is due, and promote its model if `judge` permits
        it."""
        night = self._now().replace(hour=self.hour, minute=0, second=0, microsecond=0)
        request_id = f"night of {night.date()}"
        if night > self._now():
            return
        job = await self.jobs.find(TRAIN, catalog_id, request_id)
        if job is None:
            if not await self._due(catalog_id, night):
                return
            job = await self.jobs.create(TRAIN, catalog_id, {"seed": 0}, request_id)
        if job.state is JobState.SUCCEEDED and job.id not in self._decided:
            version, now = str(job.result["model_version"]), self.now_micros()
            await judge(catalog_id, version, self.registry, self.load, now)
            self._decided.add(job.id)

    async def _due(self, catalog_id: str, night: datetime) -> bool:
        if not await self.events.most_popular(catalog_id, 1):
            return False
        if night >= self._started:
            return True
        newest = await self.registry.list(catalog_id, limit=1, before=None)
        if not newest:
            return False
        trained = datetime.fromtimestamp(newest[0].trained_micros / 1e6, UTC)
        return self._now() - trained > NIGHT

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.now_micros() / 1e6, UTC)
