"""A night's training is requested once, and its model serves if the evidence suffices."""

from datetime import UTC, datetime, timedelta

import pytest

from ranker.domain.errors import ModelCorrupt
from ranker.domain.model import TRAIN, Model, ModelVerdict
from ranker.domain.report import ProductionAs, Report
from ranker.events.record.models import ModelRegistry
from ranker.events.record.tables import JOBS
from ranker.workers.nightly import Nightly
from servicekit.jobs import Jobs
from servicekit.sql import Database
from tests.fakes.ranker import FakeReader, model, record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Nights:
    """A worker that checks on request, at any time."""

    def __init__(self, db: Database) -> None:
        self.time = NOON
        self.events = FakeReader(popular={"p": 1.0})
        self.registry = ModelRegistry(db)
        self.jobs = Jobs(db, JOBS, max_attempts=3)
        self.corrupt = False
        self.begin()

    def begin(self) -> None:
        """Start a worker."""
        self._nightly = Nightly(3, self.jobs, self.registry, self.events, self._load, self._now)

    async def look(self, at: datetime) -> int:
        """Return the number of trainings requested by then."""
        self.time = at
        await self._nightly.look("default")
        return len(await self.jobs.list(kinds=(TRAIN,)))

    async def train(self, version: str, verdict: ModelVerdict) -> None:
        """End the night's job with a model."""
        job = await self.jobs.claim((TRAIN,), "worker", 30.0)
        assert job is not None
        await self.registry.add(record(version, trained=self._now()))
        report = Report(verdict, "", (), "", ProductionAs.NONE, 200, self._now())
        await self.registry.keep_report("default", version, report)
        await self.jobs.finish(job.id, {"model_version": version})

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
    assert await nights.look(NIGHT + timedelta(days=1)) == 2


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
    with pytest.raises(ModelCorrupt):
        await nights.look(NIGHT + timedelta(minutes=5))
    assert await nights.serving() == ""


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
