"""Periodic computation of each catalog's feedback health, with metrics.

The first worker that finds the last result outdated computes a new one; all workers export the
stored result.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from prometheus_client import Gauge

from ranker.adapters.model_store import ModelStore
from ranker.domain.errors import ModelCorrupt
from ranker.domain.events import DAY_MICROS
from ranker.domain.model import Model, ModelRecord
from ranker.domain.online import Period
from ranker.learning.feedback import answered, health
from ranker.learning.feedback.health import ComparedWindows, Health
from ranker.learning.feedback.policies import policies
from ranker.record.answer_feedback import FeedbackRecord
from ranker.record.models import ModelRegistry
from ranker.record.online import OnlineRecord
from ranker.serving.models.live import MOST_CATALOG_LABELS
from servicekit.clock import now_micros
from servicekit.sql.database import Database
from servicekit.tasks.supervision import confined

MOST_ANSWERS = 2_000
"""Maximum number of newest answers, of the present and of the reference, whose candidates are read.
With ten shown products each, that is 20,000 impressions."""
CONVERSION_MICROS = 7 * DAY_MICROS
CHECKING = "feedback check"
"""Name for servicekit.tasks.supervision."""

DRIFT = Gauge(
    "sightline_feedback_drift",
    "1 if any feedback metric differs significantly from its reference, else 0.",
    ("catalog", "item"),
)
UNJOINED = Gauge(
    "sightline_feedback_unjoined_share",
    "Share of recent events with an attribution token whose answer was not found.",
    ("catalog",),
)
COMPUTED = Gauge(
    "sightline_feedback_compute_timestamp_seconds",
    "Time of the last feedback check, seconds since 1970; the earliest of all catalogs.",
)

Blend = Mapping[str, float]
Candidate = tuple[str, Blend]
"""A model's version and its blend."""


class Watch:
    def __init__(
        self,
        database: Database,
        store: ModelStore,
        catalogs: Collection[str],
        every_seconds: float,
        compared: Callable[[int], ComparedWindows],
        *,
        clock: Callable[[], int] = now_micros,
    ) -> None:
        """Set the catalogs to watch and the interval. `compared` returns the windows to compare at
        a time of `clock` (microseconds since 1970, UTC).
        """
        self._catalogs, self._every_seconds = catalogs, every_seconds
        self._store, self._compared, self._clock = store, compared, clock
        self._answers = FeedbackRecord(database)
        self._online = OnlineRecord(database)
        self._registry = ModelRegistry(database)

    async def look(self) -> None:
        """Check the catalogs that are due, and export the stored results of all."""
        found: dict[str, Health] = {}
        due = self._clock() - round(self._every_seconds * 1e6)
        for catalog_id in self._catalogs:
            with confined(CHECKING, catalog=catalog_id):
                found[catalog_id] = await self._current(catalog_id, due)
        if found:
            _export(found)

    async def _current(self, catalog_id: str, due: int) -> Health:
        """Return the stored result, or a new one if it was computed before `due`."""
        kept = await self._online.kept(catalog_id)
        if kept is not None and kept[0] > due:
            with confined(CHECKING, catalog=catalog_id):  # one that can't be read is replaced
                return health.from_json(kept[1])
        seen = await self._seen(catalog_id)
        await self._online.keep(catalog_id, seen.computed_micros, health.to_json(seen))
        return seen

    async def _seen(self, catalog_id: str) -> Health:
        now = self._clock()
        compared = self._compared(now)
        start = compared.present.start_micros
        # Answers of today count as well: only volumes need whole days.
        present = Period(start, now, CONVERSION_MICROS)
        past = Period(compared.reference.start_micros, start, CONVERSION_MICROS)
        answers, earlier = [
            await answered.feedback(self._answers.answers(catalog_id, period, MOST_ANSWERS))
            for period in (present, past)
        ]
        reference, before, activity = [
            await self._online.activity(catalog_id, window)
            for window in (compared.reference, compared.before, compared.present)
        ]
        serving = await self._registry.serving(catalog_id)
        version = serving.version if serving is not None else ""
        blends = await self._blends(catalog_id, answers.versions)
        candidate = await self._candidate(catalog_id, version)
        return Health(
            computed_micros=now,
            start_micros=start,
            reference_micros=compared.reference.start_micros,
            joined=await self._online.joined(catalog_id, present),
            policies=await asyncio.to_thread(policies, answers, blends, candidate),
            drift=health.drifts(
                compared,
                reference=reference,
                before=before,
                present=activity,
                model=await self._model(serving),
                scores=(health.top_scores(earlier, version), health.top_scores(answers, version)),
            ),
        )

    async def _model(self, serving: ModelRecord | None) -> Model | None:
        """Return the serving model; None if there is none or it can't be read."""
        if serving is None:
            return None
        try:
            return await asyncio.to_thread(self._store.read, *serving.key)
        except ModelCorrupt:
            return None

    async def _candidate(self, catalog_id: str, serving: str) -> Candidate | None:
        """Return the newest model unless it is the serving one."""
        newest = await self._registry.list(catalog_id, limit=1, before=None)
        if not newest or newest[0].version == serving:
            return None
        version = newest[0].version
        blends = await self._blends(catalog_id, (version,))
        return (version, blends[version]) if version in blends else None

    async def _blends(self, catalog_id: str, versions: Sequence[str]) -> Mapping[str, Blend]:
        return await answered.blends(catalog_id, versions, self._registry, self._store)


def _export(found: Mapping[str, Health]) -> None:
    """Set the metrics; if there are many catalogs, the worst value of all under one label."""
    drift: dict[tuple[str, str], bool] = {}
    lost: dict[str, float] = {}
    for catalog_id, seen in found.items():
        label = catalog_id if len(found) <= MOST_CATALOG_LABELS else "several"
        for one in seen.drift:
            drift[label, one.item] = drift.get((label, one.item), False) or one.flagged
        joined = seen.joined
        share = 1 - joined.joined / joined.tokens if joined.tokens else 0.0
        lost[label] = max(lost.get(label, 0.0), share)
    for (label, item), flagged in drift.items():
        DRIFT.labels(label, item).set(flagged)
    for label, share in lost.items():
        UNJOINED.labels(label).set(share)
    COMPUTED.set(min(seen.computed_micros for seen in found.values()) / 1e6)
