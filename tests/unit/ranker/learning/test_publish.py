"""Publications of models: on a real queue of jobs, with a retriever in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from ranker.adapters.retriever import Published
from ranker.domain.arrays import Floats
from ranker.domain.errors import ModelCorrupt, ModelNotFound, PublishIncomplete
from ranker.domain.model import Model
from ranker.learning import publish
from ranker.learning.publish import PUBLISH, Publication
from ranker.record.models import ModelRegistry
from ranker.record.tables import JOBS
from ranker.serving.vectors import item_vectors, query_vector
from ranker.workers.jobs import work
from ranker.workers.publishing import Publisher
from servicekit.errors import AlreadyExists, Unavailable
from servicekit.jobs.queue import Job, JobCancelled, Jobs, JobState
from servicekit.jobs.worker import JobLeft
from servicekit.sql.database import Database
from tests.fakes.ranker import model, record
from tests.waiting import SECONDS

PRODUCTS = {f"p{n}": [n + 1.0, -n] for n in range(7)}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "BATCH", 3)
    monkeypatch.setattr(publish, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(publish, "LOOK_SECONDS", 0.01)


@dataclass
class FakeModels:
    """Models by version, and which of them serves."""

    known: dict[str, Model]
    serves: str = ""

    async def load(self, catalog_id: str, version: str) -> Model:
        if version not in self.known:
            raise ModelNotFound
        return self.known[version]

    async def serving(self, catalog_id: str) -> str:
        return self.serves


@dataclass
class FakeRetriever:
    """Generations of one catalog in memory, with faults that a test sets."""

    products: set[str]
    made: list[Published] = field(default_factory=list)
    vectors: dict[str, dict[str, Floats]] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)
    down: int = 0
    """Number of calls that fail before one succeeds."""
    finding: str = ""
    """Result of verifications."""
    lose: int = 0
    """Number of writes that lose a vector."""
    stop_after: int = 0
    stop: asyncio.Event | None = None
    """Set after this many writes, as when a worker is stopped."""

    def _answer(self) -> None:
        if self.down:
            self.down -= 1
            raise Unavailable("away", reason="RETRIEVER_UNAVAILABLE")

    def _set(self, name: str, **values: object) -> None:
        self.made = [
            replace(one, **values) if one.name == name else one  # type: ignore[arg-type]
            for one in self.made
        ]

    async def generations(self, catalog_id: str) -> Sequence[Published]:
        self._answer()
        return [
            replace(one, vector_count=len(self.vectors[one.version]) if one.live else 0)
            for one in self.made
        ]

    async def create(
        self, catalog_id: str, name: str, version: str, dimension: int, *, graph: bool
    ) -> None:
        self._answer()
        if any(one.name == name for one in self.made):
            raise AlreadyExists("taken", reason="GENERATION_EXISTS")
        self.made.append(Published(name, version, True, False, False, False, 0))
        self.vectors.setdefault(version, {})

    async def write(
        self, catalog_id: str, version: str, product_ids: Sequence[str], vectors: Floats
    ) -> int:
        self._answer()
        held = [item for item in product_ids if item in self.products]
        self.vectors[version].update(
            (item, row) for item, row in zip(product_ids, vectors, strict=True) if item in held
        )
        if self.lose:
            self.lose -= 1
            self.vectors[version].popitem()
        self.batches.append(len(product_ids))
        if self.stop is not None and len(self.batches) == self.stop_after:
            self.stop.set()
        return len(product_ids) - len(held)

    async def settle(self, catalog_id: str, name: str) -> str:
        self._answer()
        return f"settle {name}"

    async def verify(self, catalog_id: str, name: str) -> str:
        self._answer()
        self._set(name, verified=not self.finding, finding=self.finding)
        return f"verify {name}"

    async def ended(self, catalog_id: str, job_id: str) -> bool:
        self._answer()
        return True

    async def activate(self, catalog_id: str, name: str) -> None:
        self._answer()
        before = next((one.name for one in self.made if one.active), "")
        for one in self.made:
            self._set(one.name, active=one.name == name, previous=one.name == before != name)

    async def drop(self, catalog_id: str, name: str) -> None:
        self._answer()
        self._set(name, live=False, verified=False, active=False, previous=False)

    @property
    def active(self) -> list[str]:
        return [one.version for one in self.made if one.active]


class Bench:
    """A queue, models m0 to m7 of which m0 serves, and a retriever that has all products."""

    def __init__(self, db: Database) -> None:
        self.jobs = Jobs(db, JOBS, max_attempts=3)
        self.models = FakeModels({f"m{n}": model(PRODUCTS, version=f"m{n}") for n in range(8)})
        self.models.serves = "m0"
        self.retriever = FakeRetriever(set(PRODUCTS))
        self.stop = asyncio.Event()

    async def ask(self, version: str = "m0", *, rewrite: bool = False) -> Job:
        await self.jobs.create(PUBLISH, "default", publish.PublishPlan(version, rewrite))
        job = await self.jobs.claim((PUBLISH,), "me", 60)
        assert job is not None
        return job

    async def run(self, job: Job) -> dict[str, str]:
        task = Publication(job, self.models, self.retriever, self.jobs, self.stop)
        result = await task.run()
        await self.jobs.finish(job, result)
        return result

    async def publish(self, version: str = "m0", *, rewrite: bool = False) -> dict[str, str]:
        return await self.run(await self.ask(version, rewrite=rewrite))


@pytest.fixture
def bench(db: Database) -> Bench:
    return Bench(db)


def test_the_inner_product_of_what_is_published_is_the_model_s_score() -> None:
    found = model(PRODUCTS, biases={"p1": 0.5, "p2": -1.25})
    query = np.array([0.25, -2.0], np.float32)
    expected = found.item_vectors @ query + found.item_biases
    assert np.allclose(item_vectors(found) @ query_vector(query), expected)


async def test_a_model_is_written_verified_and_made_active(bench: Bench) -> None:
    result = await bench.publish()
    assert result == {
        "model_version": "m0",
        "generation": "collaborative-m0-1",
        "active": "true",
        "vector_count": "7",
    }
    assert bench.retriever.active == ["m0"]
    assert bench.retriever.batches == [3, 3, 1]
    assert bench.retriever.vectors["m0"]["p2"].tolist() == [3, -2, 0]
    (job,) = await bench.jobs.list(kinds=(PUBLISH,))
    assert (job.done, job.total) == (7, 7)


async def test_products_that_are_gone_and_such_without_a_vector_are_left_out(bench: Bench) -> None:
    bench.retriever.products.remove("p3")
    bench.models.known["m0"] = model({**PRODUCTS, "zero": [0, 0]}, version="m0")
    bench.retriever.products.add("zero")
    assert (await bench.publish())["vector_count"] == "6"
    assert set(bench.retriever.vectors["m0"]) == set(PRODUCTS) - {"p3"}


async def test_a_stopped_job_goes_on_where_it_was(bench: Bench, db: Database) -> None:
    bench.retriever.stop, bench.retriever.stop_after = bench.stop, 2
    job = await bench.ask()
    with pytest.raises(JobLeft):
        await bench.run(job)
    assert (await bench.jobs.get(job.id)).done == 6
    bench.stop.clear()
    bench.retriever.stop = None
    result = await bench.run(await bench.jobs.get(job.id))
    assert bench.retriever.batches == [3, 3, 1]
    assert (result["generation"], result["vector_count"]) == ("collaborative-m0-1", "7")


async def test_a_retriever_that_is_away_is_waited_for(bench: Bench) -> None:
    bench.retriever.down = 20
    assert (await bench.publish())["active"] == "true"


async def test_a_cancel_is_seen_while_the_retriever_is_away(bench: Bench) -> None:
    bench.retriever.down = 1_000_000
    job = await bench.ask()
    await bench.jobs.cancel(job.id)
    with pytest.raises(JobCancelled):
        await bench.run(job)


async def test_counts_that_differ_have_all_written_again(bench: Bench) -> None:
    bench.retriever.lose = 1
    assert (await bench.publish())["vector_count"] == "7"
    assert len(bench.retriever.batches) == 6


async def test_counts_that_never_agree_fail_the_job(bench: Bench) -> None:
    bench.retriever.lose = 1_000
    with pytest.raises(PublishIncomplete, match="of 7 products"):
        await bench.publish()
    assert bench.retriever.active == []


async def test_what_does_not_pass_its_verification_is_never_active(bench: Bench) -> None:
    bench.retriever.finding = "plain recall is low"
    with pytest.raises(PublishIncomplete, match="plain recall is low"):
        await bench.publish()
    assert bench.retriever.active == []


async def test_a_model_that_does_not_serve_is_prepared_and_later_only_activated(
    bench: Bench,
) -> None:
    await bench.publish("m0")
    assert (await bench.publish("m1"))["active"] == "false"
    assert bench.retriever.active == ["m0"]
    bench.models.serves = "m1"
    bench.retriever.batches.clear()
    assert (await bench.publish("m1"))["active"] == "true"
    assert (bench.retriever.active, bench.retriever.batches) == (["m1"], [])


async def test_after_a_rollback_the_former_generation_is_active_again(bench: Bench) -> None:
    for version in ("m0", "m1", "m0"):
        bench.models.serves = version
        await bench.publish(version)
    assert bench.retriever.active == ["m0"]
    assert [one.name for one in bench.retriever.made] == [
        "collaborative-m0-1",
        "collaborative-m1-1",
    ]


async def test_a_late_publication_leaves_the_serving_model_s_generation_active(
    bench: Bench,
) -> None:
    await bench.publish("m0")
    bench.models.serves = "m1"
    await bench.publish("m1")
    assert (await bench.publish("m0", rewrite=True))["active"] == "false"
    assert bench.retriever.active == ["m1"]


async def test_a_rewrite_brings_back_products_that_came_back(bench: Bench) -> None:
    bench.retriever.products.remove("p3")
    await bench.publish()
    bench.retriever.products.add("p3")
    assert (await bench.publish())["vector_count"] == "6"
    assert (await bench.publish(rewrite=True))["vector_count"] == "7"


async def test_old_generations_are_dropped_but_not_those_that_are_needed(bench: Bench) -> None:
    for n in range(7):
        bench.models.serves = f"m{n}"
        await bench.publish(f"m{n}")
    live = [one.version for one in bench.retriever.made if one.live]
    assert live == ["m3", "m4", "m5", "m6"]
    bench.models.serves = "m0"  # a dropped one is published again, under another name
    assert (await bench.publish("m0"))["generation"] == "collaborative-m0-2"


# The worker's part


class Registry(ModelRegistry):
    """The real one, with models of which only the row is known."""

    async def add_all(self, *versions: str) -> None:
        for version in versions:
            await self.add(record(version))


async def published(bench: Bench, count: int) -> tuple[Job, ...]:
    """Run the worker until `count` jobs have ended. Return the jobs, oldest first."""
    stop, jobs = asyncio.Event(), bench.jobs

    async def publication(job: Job) -> dict[str, str]:
        return await Publication(job, bench.models, bench.retriever, jobs, stop).run()

    task = asyncio.create_task(work(jobs, {PUBLISH: publication}, 30.0, 0.01, stop))
    async with asyncio.timeout(SECONDS):
        while True:
            found = await jobs.list(kinds=(PUBLISH,))
            if sum(one.finished_time > 0 for one in found) >= count:
                break
            await asyncio.sleep(0.02)
    stop.set()
    await task
    return found[::-1]


async def test_each_promotion_and_rollback_is_followed_once(bench: Bench, db: Database) -> None:
    registry = Registry(db)
    await registry.add_all("m0", "m1")

    async def followed(count: int) -> tuple[Job, ...]:
        """Follow the serving models twice, by a process that has not requested anything yet. Return
        the jobs."""
        publisher = Publisher(bench.jobs, registry, ("default",))
        await publisher.follow()
        await publisher.follow()
        return await published(bench, count)

    await registry.promote("default", "m0", 1)
    await followed(1)
    await registry.promote("default", "m1", 2)
    bench.models.serves = "m1"
    await followed(2)  # another process asks for nothing twice
    assert bench.retriever.active == ["m1"]
    _, promotion = await registry.before("default")
    await registry.roll_back("default", promotion, 3)
    bench.models.serves = "m0"
    jobs = await followed(3)
    assert [job.params["model_version"] for job in jobs] == ["m0", "m1", "m0"]
    assert {job.state for job in jobs} == {JobState.SUCCEEDED}
    assert bench.retriever.active == ["m0"]


async def test_a_failed_job_names_its_reason(bench: Bench) -> None:
    await bench.jobs.create(PUBLISH, "default", publish.PublishPlan("unknown"))

    async def corrupt(catalog_id: str, version: str) -> Model:
        raise ModelCorrupt("the arrays have another hash")

    (job,) = await published(bench, 1)
    assert (job.state, job.error_reason) == (JobState.FAILED, "MODEL_NOT_FOUND")
    bench.models.load = corrupt  # type: ignore[method-assign]
    await bench.jobs.create(PUBLISH, "default", publish.PublishPlan("m0"))
    _, job = await published(bench, 2)
    assert (job.state, job.error_reason) == (JobState.FAILED, "MODEL_CORRUPT")
