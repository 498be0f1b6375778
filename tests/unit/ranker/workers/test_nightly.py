"""A night's training is requested once, and its model serves if the evidence suffices."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from ranker.domain.errors import ModelCorrupt
from ranker.domain.model import TRAIN, Model, ModelVerdict
from ranker.domain.report import ProductionAs, Report
from ranker.record.models import ModelRegistry
from ranker.record.night_jobs import NightJobRecord
from ranker.record.tables import JOBS
from ranker.workers.night_jobs import NightJobs
from ranker.workers.nightly import Nightly, NightTrainings
from servicekit.jobs.queue import Job, JobCancelled, Jobs
from servicekit.sql.database import Database
from tests.fakes.ranker import FakeReader, model, record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Nights:
    """A worker that checks on request, at any time."""

    def __init__(self, db: Database, hour: int = 3) -> None:
        self._db, self.hour, self.time = db, hour, NOON
        self.events = FakeReader(popular={"p": 1.0})
        self.registry = ModelRegistry(db)
        self.jobs = Jobs(db, JOBS, max_attempts=3)
        self.corrupt = False
        self.begin()

    def begin(self) -> None:
        """Start a worker."""
        jobs = NightJobs(self.jobs, NightJobRecord(self._db), self._now)
        trainings = NightTrainings(jobs, self.registry, self._load)
        self._nightly = Nightly(self.hour, trainings, self.events, self._now)

    async def look(self, at: datetime) -> int:
        """Return the number of trainings requested by then."""
        self.time = at
        await self._nightly.look("default")
        return len(await self.jobs.list(kinds=(TRAIN,)))

    async def train(self, version: str, verdict: ModelVerdict) -> None:
        """End the night's job with a model."""
        job = await self.jobs.claim((TRAIN,), "worker", 30.0)
        assert job is not None
        await self.end(job, version, verdict)

    async def end(self, job: Job, version: str, verdict: ModelVerdict) -> None:
        await self.registry.add(record(version, trained=self._now()))
        against = await self.serving()
        report = Report(verdict, "", (), against, ProductionAs.NONE, 200, self._now())
        await self.registry.keep_report("default", version, report)
        await self.jobs.finish(job, {"model_version": version})

    async def serving(self) -> str:
        found = await self.registry.promoted(("default",))
        return found["default"].version if found else ""

    async def _load(self, catalog_id: str, version: str) -> Model:
        if self.corrupt:
            raise ModelCorrupt("has another hash")
        return model({"p": [1.0]}, version=version)

    def _now(self) -> int:
        return round(self.time.timestamp() * 1e6)


@pytest.fixture
def nights(db: Database) -> Nights:
    return Nights(db)


NIGHT = datetime(2026, 3, 2, 3, 1, tzinfo=UTC)


async def test_a_night_asks_for_one_training_and_the_next_for_another(nights: Nights) -> None:
    assert await nights.look(NOON) == 0
    assert await nights.look(NIGHT - timedelta(minutes=2)) == 0
    assert await nights.look(NIGHT) == 1
    assert await nights.look(NIGHT + timedelta(hours=5)) == 1
    await nights.train("v1", ModelVerdict.PASSED)
    assert await nights.look(NIGHT + timedelta(days=1)) == 2


async def test_several_workers_ask_for_one_training(nights: Nights, db: Database) -> None:
    other = Nights(db)
    other.time = nights.time = NIGHT
    await asyncio.gather(nights.look(NIGHT), other.look(NIGHT))
    assert await other.look(NIGHT + timedelta(minutes=1)) == 1


@pytest.mark.full
@pytest.mark.parametrize(
    ("hour", "hours", "count"),
    [(0, 1, 4), (3, 22, 3), (22, 3, 4), (23, 30, 2)],  # the last one takes every second night
)
@pytest.mark.parametrize(
    "first",
    [
        datetime(2026, 12, 30, 12, tzinfo=UTC),  # a year ends
        datetime(2028, 2, 27, 12, tzinfo=UTC),  # a leap day
        datetime(2026, 3, 28, 12, tzinfo=UTC),  # summer time begins in Europe
        datetime(2016, 12, 30, 12, tzinfo=UTC),  # a leap second
    ],
)
async def test_every_proven_model_serves_on_whatever_day_its_training_ends(
    db: Database, hour: int, hours: int, count: int, first: datetime
) -> None:
    nights, trained, begun = Nights(db, hour), list[str](), None
    nights.time = first
    nights.begin()
    for passed in range(4 * 24):
        now = first + timedelta(hours=passed)
        await nights.look(now)
        if trained:
            assert await nights.serving() == trained[-1]
        if begun is None:
            job = await nights.jobs.claim((TRAIN,), "worker", 1e6)
            begun = None if job is None else (job, now)
        elif now - begun[1] >= timedelta(hours=hours):
            trained.append(f"v{len(trained)}")
            await nights.end(begun[0], trained[-1], ModelVerdict.PASSED)
            begun = None
    assert len(trained) == count


async def test_a_model_is_judged_once(nights: Nights) -> None:
    await nights.look(NIGHT)
    await nights.train("v1", ModelVerdict.INCONCLUSIVE)
    await nights.look(NIGHT + timedelta(minutes=5))
    report = Report(ModelVerdict.PASSED, "", (), "", ProductionAs.NONE, 200, 0)
    await nights.registry.keep_report("default", "v1", report)
    nights.begin()
    await nights.look(NIGHT + timedelta(minutes=10))
    assert await nights.serving() == "", "an operator evaluated it again, and may promote it"


@pytest.mark.parametrize("gone", ["forgotten", "failed", "cancelled"])
async def test_a_night_without_a_model_does_not_end_the_nights(
    nights: Nights, db: Database, gone: str
) -> None:
    await nights.look(NIGHT)
    job = await nights.jobs.claim((TRAIN,), "worker", 30.0)
    assert job is not None
    if gone == "forgotten":
        await db.write(lambda connection: connection.execute(sa.delete(JOBS)))
    elif gone == "cancelled":
        await nights.jobs.cancel(job.id)
        await nights.jobs.fail(job, JobCancelled(job.id))
    else:
        await nights.jobs.fail(job, ValueError())
    before = await nights.look(NIGHT + timedelta(hours=1))
    assert before == (gone != "forgotten"), "not again in the same night"
    assert await nights.look(NIGHT + timedelta(days=1)) == before + 1


async def test_without_events_nothing_is_trained(nights: Nights) -> None:
    nights.events.popular.clear()
    assert await nights.look(NIGHT) == 0


@pytest.mark.parametrize(
    ("verdict", "serves"),
    [(ModelVerdict.PASSED, "v1"), (ModelVerdict.INCONCLUSIVE, ""), (ModelVerdict.FAILED, "")],
)
async def test_only_a_model_with_evidence_serves_in_the_morning(
    nights: Nights, verdict: ModelVerdict, serves: str
) -> None:
    await nights.look(NIGHT)
    await nights.train("v1", verdict)
    assert await nights.serving() == ""
    await nights.look(NIGHT + timedelta(minutes=5))
    assert await nights.serving() == serves


async def test_a_model_that_was_taken_out_of_service_is_not_put_back(nights: Nights) -> None:
    await nights.look(NIGHT)
    await nights.train("v1", ModelVerdict.PASSED)
    await nights.look(NIGHT + timedelta(minutes=5))
    await nights.registry.demote("default", 1)
    nights.begin()
    await nights.look(NIGHT + timedelta(minutes=10))
    assert await nights.serving() == ""


async def test_a_model_whose_files_are_bad_does_not_serve(nights: Nights) -> None:
    await nights.look(NIGHT)
    await nights.train("v1", ModelVerdict.PASSED)
    nights.corrupt = True
    await nights.look(NIGHT + timedelta(minutes=5))
    assert await nights.serving() == ""
    assert await nights.look(NIGHT + timedelta(days=1)) == 2


async def test_a_worker_that_starts_in_the_day_makes_up_for_a_night_that_was_missed(
    nights: Nights,
) -> None:
    await nights.registry.add(record("old", trained=round((NOON.timestamp() - 2 * 86_400) * 1e6)))
    assert await nights.look(NOON) == 1
    fresh = record("new", trained=round((NOON.timestamp() - 3_600) * 1e6))
    await nights.registry.add(fresh)
    assert await nights.look(NOON + timedelta(hours=1)) == 1


async def test_a_worker_that_starts_in_the_day_trains_no_new_shop_at_once(nights: Nights) -> None:
    assert await nights.look(NOON + timedelta(hours=1)) == 0


async def test_a_training_that_was_asked_for_is_followed_by_none_until_the_next_night(
    nights: Nights,
) -> None:
    now = round(NOON.timestamp() * 1e6)
    await nights.registry.add(record("asked", trained=now))
    assert await nights.look(NOON + timedelta(seconds=20)) == 0
    assert await nights.look(NIGHT) == 1


async def test_a_model_that_an_operator_promotes_meanwhile_is_kept(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nights.look(NIGHT)
    await nights.train("good", ModelVerdict.PASSED)
    await nights.registry.add(record("operator", trained=nights._now()))

    async def load(catalog_id: str, version: str) -> Model:
        await nights.registry.promote(catalog_id, "operator", 5, forced=True)
        await nights.registry.demote(catalog_id, 6)
        return model({"p": [1.0]}, version=version)

    monkeypatch.setattr(nights._nightly.trainings, "load", load)
    await nights.look(NIGHT)
    assert await nights.serving() == "", "what was taken back stays so"
