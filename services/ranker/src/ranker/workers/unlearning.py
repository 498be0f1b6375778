"""Models after erasures: each catalog's models are without its erased shoppers, and without those
who refused trainings since, within the term.

In the night after an erasure a job subtracts the shopper from the sums in kept models
(learning/training/unlearn.py). In the last nights of the term a model is trained in place of a
serving one that learned from the shopper, and promoted if its evaluation passes. At the end of the
term it is promoted unless its evaluation failed, and the files of other models that learned from
the shopper are deleted. If the serving one still did, the metric `DUE` is in the past.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from prometheus_client import Gauge

from ranker.domain.errors import PromotionConflict
from ranker.domain.events import DAY_MICROS
from ranker.domain.model import UNLEARN, ModelRecord, ModelVerdict
from ranker.domain.nights import begun
from ranker.learning.evaluation.verdict import BEST
from ranker.record.erasures import ErasureRecord
from ranker.record.night_jobs import NightCause
from ranker.workers.nightly import NightTrainings
from servicekit.telemetry import get_logger

LAST_NIGHTS_MICROS = 3 * DAY_MICROS
"""Last part of the term, in which each night trains a model."""

DUE = Gauge(
    "sightline_unlearn_due_timestamp_seconds",
    "Time by which a serving model has to be replaced because it learned from erased shoppers,"
    " seconds since 1970; the earliest of all catalogs, and 0 without one.",
)


@dataclass
class Unlearning:
    hour: int
    """Hour of the day (UTC) at which the night begins."""
    days: float
    """Term after an erasure."""
    trainings: NightTrainings
    """Trainings requested by the nights: one a night."""
    erasures: ErasureRecord
    prune: Callable[[str], Awaitable[None]]
    """Deletes the files of models that are not kept, of a catalog."""
    now_micros: Callable[[], int]
    _due: dict[str, int] = field(init=False, default_factory=dict)
    """By catalog."""

    async def look(self, catalog_id: str) -> None:
        """Request what is due tonight."""
        registry = self.trainings.registry
        requests = (await self.erasures.forgotten_since(catalog_id, 0)).values()
        serving = await registry.serving(catalog_id)
        self._due[catalog_id] = self._due_of(serving, requests) if serving else 0
        DUE.set(min((one for one in self._due.values() if one), default=0) / 1e6)
        if not requests:
            return
        night = begun(self.hour, self.now_micros())
        if serving is not None and self._due[catalog_id]:
            await self._replace(serving, requests, night)
        if night is None:
            return
        models = await registry.with_files(catalog_id)
        if any(model.read_micros <= max(requests) for model in models):
            await self._unlearn(catalog_id, night)
        late = [model.version for model in models if self._is_over(model, requests)]
        if late and await registry.retire(catalog_id, late, self.now_micros()):
            await self.prune(catalog_id)

    async def _unlearn(self, catalog_id: str, night_micros: int) -> None:
        jobs, cause = self.trainings.night_jobs, NightCause.UNLEARNING
        newest, job = await jobs.newest(catalog_id, cause)
        if jobs.may_request(newest, job, night_micros):
            await jobs.request(UNLEARN, catalog_id, {}, cause, newest)

    def _is_over(self, model: ModelRecord, requests: Collection[int]) -> bool:
        return 0 < self._due_of(model, requests) <= self.now_micros()

    def _due_of(self, model: ModelRecord, requests: Collection[int]) -> int:
        """Return when a model has to be replaced, microseconds since 1970 (UTC); 0: never."""
        held = [one for one in requests if model.read_micros <= one]
        return min(held) + int(self.days * DAY_MICROS) if held else 0

    async def _replace(
        self, serving: ModelRecord, requests: Collection[int], night_micros: int | None
    ) -> None:
        """Train a model in the place of the serving one near the end of the term, and promote it at
        the end, whenever its training ends."""
        catalog_id, due, now = serving.catalog_id, self._due[serving.catalog_id], self.now_micros()
        if now < due - LAST_NIGHTS_MICROS:
            return
        version = await self.trainings.follow(catalog_id, night_micros, _always)
        if not version or now < due:
            return
        registry = self.trainings.registry
        since = await registry.changes(catalog_id)
        model = await registry.get(catalog_id, version)
        settled = model.serving or self._is_over(model, requests)
        if settled or await self._refuted(model):
            return
        await self.trainings.load(catalog_id, version)
        try:
            await registry.promote(
                catalog_id, version, now, forced=True, verdict=model.verdict, since=since
            )
        except PromotionConflict:
            return  # the next look decides again
        get_logger().info("model promoted to unlearn", model_version=version, verdict=model.verdict)

    async def _refuted(self, model: ModelRecord) -> bool:
        """Return whether the evaluation failed otherwise than against the best promoted model: that
        one may have learned from the erased shoppers, and must not keep their model in service."""
        if model.verdict is not ModelVerdict.FAILED:
            return False
        report = await self.trainings.registry.report(model.catalog_id, model.version)
        failed = {
            one["against"]
            for trial in report["trials"]
            for one in trial["comparisons"]
            if one["decides"] and one["verdict"] == ModelVerdict.FAILED
        }
        return failed != {BEST}


async def _always() -> bool:
    return True
