"""What the worker requests after erasures, and when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ranker.domain.erasure import Person
from ranker.domain.model import TRAIN, UNLEARN, Model, ModelVerdict
from ranker.domain.report import ProductionAs, Report
from ranker.record.erasures import ErasureRecord
from ranker.record.models import ModelRegistry
from ranker.record.night_jobs import NightJobRecord
from ranker.record.tables import JOBS
from ranker.workers.night_jobs import NightJobs
from ranker.workers.nightly import NightTrainings
from ranker.workers.unlearning import DUE, Unlearning
from servicekit.errors import FailedPrecondition
from servicekit.jobs.queue import Jobs, JobState
from servicekit.sql.database import Database
from tests.fakes.ranker import model, record

DAY = timedelta(days=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NIGHT = datetime(2026, 3, 2, 3, 1, tzinfo=UTC)
DAYS = 10


def micros(time: datetime) -> int:
    return round(time.timestamp() * 1e6)


class Nights:
    """A worker that checks on request, at any time."""

    def __init__(self, db: Database, hour: int = 3) -> None:
        self.time = NOON
        self.registry, self.erasures = ModelRegistry(db), ErasureRecord(db)
        self.jobs = Jobs(db, JOBS, max_attempts=3)
        self.pruned: list[str] = []
        jobs = NightJobs(self.jobs, NightJobRecord(db), self._now)
        trainings = NightTrainings(jobs, self.registry, self._load)
        self._worker = Unlearning(hour, DAYS, trainings, self.erasures, self._prune, self._now)

    async def look(self, at: datetime) -> tuple[int, int]:
        """Return the numbers of requested subtractions and trainings by then."""
        self.time = at
        await self._worker.look("default")
        found = [len(await self.jobs.list(kinds=(kind,))) for kind in (UNLEARN, TRAIN)]
        return found[0], found[1]

    async def add(self, version: str, read: datetime) -> None:
        """Add a model that learned from the events until then."""
        training = {"read_micros": micros(read)}
        await self.registry.add(replace(record(version, trained=micros(read)), training=training))

    async def erase(self, at: datetime) -> None:
        await self.erasures.begin(Person("default", (f"actor at {at}",), micros(at)), "a-job")

    async def train(self, version: str, verdict: ModelVerdict) -> None:
        """End the night's job with a model."""
        job = await self.jobs.claim((TRAIN,), "worker", 30.0)
        assert job is not None
        await self.add(version, self.time)
        report = Report(verdict, "", (), "old", ProductionAs.NONE, 200, micros(self.time))
        await self.registry.keep_report("default", version, report)
        await self.jobs.finish(job, {"model_version": version})

    async def serving(self) -> str:
        found = await self.registry.serving("default")
        return found.version if found else ""

    def _now(self) -> int:
        return micros(self.time)

    async def _load(self, catalog_id: str, version: str) -> Model:
        return model({"p": [1.0]}, version=version)

    async def _prune(self, catalog_id: str) -> None:
        self.pruned.append(catalog_id)


@pytest.fixture
async def nights(db: Database) -> Nights:
    """Return a worker with a serving model and one erasure since."""
    made = Nights(db)
    await made.add("old", NOON - DAY)
    await made.registry.promote("default", "old", micros(NOON - DAY))
    await made.erase(NOON)
    return made


async def test_a_night_after_an_erasure_subtracts_once(nights: Nights) -> None:
    assert await nights.look(NIGHT - timedelta(minutes=2)) == (0, 0)
    assert await nights.look(NIGHT) == (1, 0)
    assert await nights.look(NIGHT + timedelta(hours=5)) == (1, 0)
    assert await nights.look(NIGHT + DAY) == (1, 0), "the night before is not done"
    job = await nights.jobs.claim((UNLEARN,), "worker", 30.0)
    assert job is not None
    await nights.jobs.finish(job)
    assert await nights.look(NIGHT + DAY) == (2, 0)
    assert DUE._value.get() == (NOON + DAYS * DAY).timestamp()


async def test_models_trained_after_the_erasure_need_nothing(db: Database) -> None:
    made = Nights(db)
    await made.erase(NOON - DAY)
    await made.add("new", NOON)
    await made.registry.promote("default", "new", micros(NOON))
    assert await made.look(NIGHT) == (0, 0)
    assert await made.look(NIGHT + 30 * DAY) == (0, 0)
    assert DUE._value.get() == 0


async def test_the_last_nights_of_the_term_train_a_model_and_promote_a_proven_one(
    nights: Nights,
) -> None:
    assert (await nights.look(NIGHT + 5 * DAY))[1] == 0
    assert (await nights.look(NIGHT + 7 * DAY))[1] == 1
    await nights.train("new", ModelVerdict.PASSED)
    assert (await nights.look(NIGHT + 7 * DAY))[1] == 1
    assert await nights.serving() == "new"
    await nights.look(NIGHT + 7 * DAY)
    assert DUE._value.get() == 0


@pytest.mark.parametrize(
    ("verdict", "serves"),
    [(ModelVerdict.INCONCLUSIVE, "new"), (ModelVerdict.FAILED, "old")],
)
async def test_the_end_of_the_term_replaces_it_unless_the_new_one_is_worse(
    nights: Nights, verdict: ModelVerdict, serves: str
) -> None:
    await nights.look(NIGHT + 8 * DAY)
    await nights.train("early", verdict)
    await nights.look(NIGHT + 8 * DAY)
    assert await nights.serving() == "old"
    assert (await nights.look(NIGHT + 10 * DAY))[1] == 2
    await nights.train("new", verdict)
    await nights.look(NIGHT + 10 * DAY)
    assert await nights.serving() == serves
    await nights.look(NIGHT + 10 * DAY)
    is_late = DUE._value.get() == (NOON + DAYS * DAY).timestamp()
    assert is_late == (serves == "old")


async def test_a_training_that_ends_after_midnight_replaces_the_model_too(db: Database) -> None:
    made = Nights(db, hour=22)
    await made.add("old", NOON - DAY)
    await made.registry.promote("default", "old", micros(NOON - DAY))
    await made.erase(NOON)
    evening = NOON + timedelta(hours=11) + 10 * DAY
    assert (await made.look(evening))[1] == 1
    made.time = evening + timedelta(hours=3)
    await made.train("new", ModelVerdict.INCONCLUSIVE)
    assert (await made.look(evening + timedelta(hours=3)))[1] == 1
    assert await made.serving() == "new"


async def test_a_training_from_before_the_erasure_does_not_replace_the_model(
    nights: Nights,
) -> None:
    late = NIGHT + 10 * DAY
    await nights.look(late)
    job = await nights.jobs.claim((TRAIN,), "worker", 30.0)
    assert job is not None
    await nights.add("no better", NOON - timedelta(hours=1))
    report = Report(ModelVerdict.INCONCLUSIVE, "", (), "old", ProductionAs.NONE, 200, micros(late))
    await nights.registry.keep_report("default", "no better", report)
    await nights.jobs.finish(job, {"model_version": "no better"})
    await nights.look(late + timedelta(minutes=5))
    assert await nights.serving() == "old"


async def test_the_end_of_the_term_deletes_other_models_that_learned_from_the_shopper(
    nights: Nights,
) -> None:
    await nights.add("older", NOON - 2 * DAY)
    await nights.add("newer", NOON + DAY)
    await nights.look(NIGHT + 8 * DAY)
    assert nights.pruned == []
    await nights.look(NIGHT + 10 * DAY)
    assert nights.pruned == ["default"]
    kept = await nights.registry.with_files("default")
    assert {one.version for one in kept} == {"newer", "old"}


async def test_a_failed_training_is_not_promoted(nights: Nights) -> None:
    await nights.look(NIGHT + 10 * DAY)
    job = await nights.jobs.claim((TRAIN,), "worker", 30.0)
    assert job is not None
    await nights.jobs.fail(job, FailedPrecondition("killed", reason="OUT_OF_MEMORY"))
    await nights.look(NIGHT + 10 * DAY)
    assert await nights.serving() == "old"
    assert (await nights.jobs.get(job.id)).state is JobState.FAILED
