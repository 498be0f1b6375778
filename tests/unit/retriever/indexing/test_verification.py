"""The results of a verification: on a real record, with engine and embedder in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retriever.domain.errors import EmbedderUnavailable, IndexUnavailable
from retriever.domain.generation import (
    EXACT,
    NEAREST_SHARES,
    Generation,
    IndexParameters,
    VectorMetric,
    Verification,
)
from retriever.domain.index_values import WHOLE, Hit, Slice
from retriever.domain.vectors import Floats, VectorWrite, exact_scores
from retriever.indexing import generations
from retriever.indexing.generations import Demand
from retriever.indexing.verification.case import Tools
from retriever.indexing.verification.verify import verify
from retriever.record import Record
from retriever.wiring import job_queue
from servicekit.jobs.queue import Job, Jobs
from servicekit.sql.database import Database
from sightline_rules.filters import All, Filter
from sightline_rules.photos import image_id
from tests.fakes.embedder import SHOPPERS, FakeEmbedder
from tests.fakes.index import FakeIndex, vector_of
from tests.fakes.photo_store import FakePhotos
from tests.unit.retriever.conftest import generation, vectors, write

PHOTOS = [b"photo %d" % n for n in range(60)]
DEMAND = Demand(sample_size=20, k=10)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retriever.indexing.verification.verify.SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("retriever.indexing.verification.trials.PAGE", 7)


class Bench:
    """A catalog of sixty photos, ten a brand, in an index that holds them all."""

    def __init__(self, record: Record, jobs: Jobs) -> None:
        self.record, self.jobs = record, jobs
        self.index, self.embedder = FakeIndex(), FakeEmbedder()
        stored = {("default", image_id(data)): data for data in PHOTOS}
        self.tools = Tools(record, FakePhotos(stored), self.index, self.embedder, jobs)

    async def fill(self) -> Generation:
        self.made = await self.record.create_generation(generation())
        products = [write(f"p{n}", data, brand=f"b{n % 6}") for n, data in enumerate(PHOTOS)]
        await self.record.write("default", products)
        await self.record.save_vectors(self.made, vectors(*PHOTOS))
        await self.sync()
        return self.made

    async def sync(self) -> None:
        """Make the index follow the record."""
        await self.index.create(self.made.collection, 8)
        rows = await self.record.row_page(self.made, "", 1_000)
        await self.index.upsert(self.made.collection, rows)
        for change in await self.record.changes(self.made, 1_000):
            await self.record.advance(self.made, change)

    async def job(self, demand: Demand = DEMAND) -> Job:
        await generations.verify(
            "default", self.made.name, demand, self.record, self.jobs, request_id=""
        )
        job = await self.jobs.claim((generations.VERIFY,), "w", 60)
        assert job is not None
        return job

    async def verify(self, demand: Demand = DEMAND) -> Verification:
        job = await self.job(demand)
        await self.jobs.finish(job, await verify(job, self.tools))
        found = (await self.record.find_generation("default", self.made.name)).verification
        assert found is not None
        return found


@pytest.fixture
async def bench(record: Record, db: Database) -> Bench:
    made = Bench(record, job_queue(db))
    await made.fill()
    return made


@pytest.mark.full
async def test_a_sound_generation_passes(bench: Bench) -> None:
    found = await bench.verify()
    assert found.passed, found.findings
    assert (found.sample_count, found.k) == (20, 10)
    assert (found.recall, found.filtered_recall) == (1.0, 1.0)
    assert found.least_agreement == pytest.approx(1.0)
    assert (found.record_count, found.index_count, found.unsound_count) == (60, 60, 0)
    assert len(found.nearest_cosines) == len(NEAREST_SHARES)
    assert list(found.nearest_cosines) == sorted(found.nearest_cosines)


async def test_the_job_says_how_far_it_is(bench: Bench) -> None:
    job = await bench.job()
    await verify(job, bench.tools)
    seen = await bench.jobs.get(job.id)
    assert (seen.done, seen.total) == (80, 80)


@pytest.mark.full
@pytest.mark.slow
async def test_an_index_that_leaves_neighbours_out_is_found(bench: Bench) -> None:
    search = bench.index.search

    async def forgetful(
        collection: str,
        queries: list[Floats],
        condition: Filter,
        limit: int,
        seconds: float | None,
        *,
        latest: bool = False,
        parameters: IndexParameters = EXACT,
        of: Slice = WHOLE,
    ) -> list[Hit]:
        hits = await search(
            collection,
            queries,
            condition,
            limit,
            seconds,
            latest=latest,
            parameters=parameters,
            of=of,
        )
        return hits if isinstance(condition, All) else hits[::2]

    bench.index.search = forgetful  # type: ignore[assignment]
    found = await bench.verify()
    assert found.recall == 1.0
    assert found.filtered_recall == pytest.approx(0.5)
    assert found.findings == ("filtered recall at 10 is 0.500; 0.98 is asked for",)
    assert (await bench.verify(replace(DEMAND, min_recall=0.4))).passed


@pytest.mark.full
async def test_photos_of_the_same_bytes_are_as_near_as_one_another(bench: Bench) -> None:
    products = [write(f"copy{n}", PHOTOS[0]) for n in range(40)]
    await bench.record.write("default", products)
    await bench.sync()
    found = await bench.verify(Demand(sample_size=60, k=10))
    assert (found.recall, found.passed) == (1.0, True)


@pytest.mark.full
async def test_vectors_that_the_embedder_would_not_make_are_found(bench: Bench) -> None:
    other = [VectorWrite(image_id(data), vector_of(data + b"!")) for data in PHOTOS]
    await bench.record.save_vectors(bench.made, other)
    await bench.sync()
    found = await bench.verify()
    assert found.least_agreement < 0.9
    assert "agrees only" in found.findings[0]


@pytest.mark.full
async def test_a_photo_may_be_a_shopper_s_or_the_catalog_s_where_the_space_knows_both(
    bench: Bench,
) -> None:
    tagged = [VectorWrite(image_id(PHOTOS[0]), vector_of(PHOTOS[0] + SHOPPERS))]
    await bench.record.save_vectors(bench.made, tagged)
    await bench.sync()
    whole = Demand(sample_size=60, k=10)
    assert (await bench.verify(whole)).least_agreement < 0.9
    bench.embedder.shopper_tags = frozenset({"phone"})
    assert (await bench.verify(whole)).least_agreement == pytest.approx(1.0)


@pytest.mark.full
async def test_rows_that_the_engine_lost_or_never_had_are_found(bench: Bench) -> None:
    held = bench.index.rows[bench.made.collection]
    del held[next(iter(held))]
    found = await bench.verify()
    assert (found.record_count, found.index_count) == (60, 59)
    assert "the index holds 59 rows; the record has 60" in found.findings


async def test_vectors_that_cant_be_compared_are_found(bench: Bench) -> None:
    bad = [np.full(8, np.nan, np.float32), np.zeros(8, np.float32)]
    writes = [VectorWrite(image_id(PHOTOS[n]), vector) for n, vector in enumerate(bad)]
    await bench.record.save_vectors(bench.made, writes)
    found = await bench.verify()
    assert found.unsound_count == 2
    assert "2 vectors are not finite or all zero" in found.findings


async def test_photos_that_are_gone_are_found(bench: Bench) -> None:
    bench.tools.photos.stored.clear()  # type: ignore[attr-defined]
    found = await bench.verify()
    assert found.sample_count == 0
    assert "20 photos of the sample could not be read or embedded" in found.findings


async def test_one_that_lacks_what_the_active_one_holds_is_found(bench: Bench) -> None:
    bench.embedder.others = {"v2": 8}
    await bench.record.save_offers("default", await bench.embedder.spaces("default"))
    order = generations.GenerationRequest("visual", "two", "v2")
    bench.made = (await generations.create("default", order, "p", bench.record)).generation
    await bench.index.create(bench.made.collection, 8)
    found = await bench.verify()
    assert found.findings == ("0 photos have its vector, 60 that of the active one: backfill it",)


async def test_an_empty_catalog_has_nothing_wrong(record: Record, db: Database) -> None:
    bench = Bench(record, job_queue(db))
    bench.made = await record.create_generation(generation())
    await bench.index.create(bench.made.collection, 8)
    found = await bench.verify()
    assert found.passed
    assert found.filtered_recall is None


@pytest.mark.full
async def test_what_does_not_answer_says_nothing_of_the_generation(bench: Bench) -> None:
    job = await bench.job()
    bench.index.down = True
    with pytest.raises(IndexUnavailable):
        await verify(job, bench.tools)
    bench.embedder.down = True
    with pytest.raises(EmbedderUnavailable):
        await verify(job, bench.tools)
    assert (await bench.record.find_generation("default", "visual-1")).verification is None


def test_exact_scores_are_those_of_the_metric() -> None:
    rng = np.random.default_rng(3)
    queries = rng.standard_normal((3, 5)).astype(np.float32)
    rows = rng.standard_normal((4, 5)).astype(np.float32)
    for metric in VectorMetric:
        found = exact_scores(queries, rows, metric)
        for i, query in enumerate(queries):
            for j, row in enumerate(rows):
                dot = float(query @ row)
                lengths = float(np.linalg.norm(query) * np.linalg.norm(row))
                distance = float(np.square(query - row).sum())
                wanted = {
                    VectorMetric.COSINE: dot / lengths,
                    VectorMetric.IP: dot,
                    VectorMetric.L2: -distance,
                }[metric]
                assert found[i, j] == pytest.approx(wanted, abs=1e-4)
