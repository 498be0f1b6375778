"""Spaces with one supplied vector per product: on a real record, engine in memory."""

from __future__ import annotations

import numpy as np
import pytest

from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import GenerationNotVerified
from retriever.domain.generation import Generation, GenerationState, IndexParameters, VectorMetric
from retriever.domain.index_values import Hit
from retriever.domain.vectors import Floats, GivenVector
from retriever.indexing import generations
from retriever.indexing.collections import open_collection
from retriever.indexing.generations import Demand, GenerationRequest
from retriever.indexing.outbox import apply_outbox
from retriever.indexing.reconcile import reconcile
from retriever.indexing.verification.case import Tools
from retriever.indexing.verification.verify import verify
from retriever.record import Record
from retriever.search import search
from retriever.search.query import SearchQuery
from retriever.search.vectors import upsert_vectors
from retriever.wiring import job_queue
from servicekit.jobs.queue import Jobs
from servicekit.rpc.requests import RequestInvalid
from servicekit.sql.database import Database
from sightline_rules.facts import passes
from sightline_rules.filters import Comparison, Operator
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import DIMENSION, VERSION, Always, FakeIndex
from tests.fakes.photo_store import FakePhotos
from tests.unit.retriever.conftest import generation, vectors, write
from tests.unit.retriever.rows import searcher

PHOTO = b"photo"
ORDER = GenerationRequest(
    "collaborative", "c1", "lfm-1", parameters=IndexParameters(VectorMetric.IP), dimension=3
)


@pytest.fixture
def jobs(db: Database) -> Jobs:
    return job_queue(db)


@pytest.fixture
async def made(record: Record) -> Generation:
    """Return a generation with supplied vectors, beside the embedder's; not every product has a
    photo."""
    await record.save_offers("default", [EmbeddingSpace("visual", VERSION, DIMENSION, True)])
    visual = await record.create_generation(generation())
    await record.write("default", [write("a", PHOTO), write("b"), write("c")])
    await record.save_vectors(visual, vectors(PHOTO))
    return (await generations.create("default", ORDER, "p", record)).generation


def given(product_id: str, *values: float, image: str = "", version: str = "lfm-1"):  # type: ignore[no-untyped-def]
    data = np.array(values, dtype="<f4").tobytes()
    return product_id, image, GivenVector("collaborative", version, len(values), data)


async def stored(record: Record, *items: tuple[str, str, GivenVector]) -> list[str]:
    """Return why each of the vectors was not stored; empty if it was."""
    outcomes, _ = await upsert_vectors("default", items, record)
    return ["" if one is None else one.reason for one in outcomes]


async def applied(record: Record, made: Generation, engine: FakeIndex) -> Generation:
    """Return the generation after its collection was brought up to date."""
    await open_collection(made, engine)
    done = await apply_outbox(made, record, engine, Always())
    return done.generation


def held(engine: FakeIndex, made: Generation) -> dict[str, Floats]:
    return {row.product_id: row.vector for row in engine.rows[made.collection].values()}


async def test_it_waits_for_its_vectors_and_no_photo_waits_for_it(
    record: Record, made: Generation
) -> None:
    assert (made.state, made.active, made.of_products) == (GenerationState.BUILDING, False, True)
    await record.write("default", [write("new", b"another photo")])
    assert await record.due(made, 10) == []
    assert (await record.freshness(made)).pending == 0


@pytest.mark.parametrize(
    ("order", "field"),
    [
        (GenerationRequest("collaborative", "", "lfm-1", dimension=32_769), "dimension"),
        (GenerationRequest("visual", "", "mine", dimension=3), "dimension"),
        (GenerationRequest("text", "", "mine", dimension=3), "dimension"),
        (GenerationRequest("colla borative", "", "lfm-1", dimension=3), "space"),
        (GenerationRequest("collaborative", "", "", dimension=3), "space_version"),
    ],
)
async def test_what_can_not_be_given_is_named(
    record: Record, order: GenerationRequest, field: str
) -> None:
    await record.save_offers("default", [EmbeddingSpace("visual", VERSION, DIMENSION, True)])
    with pytest.raises(RequestInvalid) as caught:
        await generations.create("default", order, "p", record)
    assert [violation.field for violation in caught.value.violations] == [field]


async def test_vectors_are_stored_by_product_and_what_does_not_fit_is_refused(
    record: Record, made: Generation
) -> None:
    assert await stored(
        record,
        given("a", 1, 0, 0),
        given("b", 0, 1, 0),
        given("nobody", 1, 1, 1),
        given("c", 1, 1),
        given("c", 1, 1, 1, image="0" * 64),
        given("c", 1, 1, 1, version="lfm-2"),
    ) == ["", "", "PRODUCT_NOT_FOUND", "VECTOR_INVALID", "VECTOR_INVALID", "INDEX_VERSION_MISMATCH"]
    (status,) = await record.statuses("default", "collaborative")
    assert (status.indexed, status.pending, status.failed) == (2, 0, 0)
    assert await record.row_count(made) == 2
    held = await record.product_vectors(made, "b")
    assert [vector.tolist() for vector in held] == [[0, 1, 0]]


async def test_the_index_follows_writes_deletions_and_changed_facts(
    record: Record, made: Generation
) -> None:
    engine = FakeIndex()
    await stored(record, given("a", 1, 0, 0), given("b", 0, 1, 0))
    made = await applied(record, made, engine)
    assert set(held(engine, made)) == {"a", "b"}
    await record.write("default", [write("a", PHOTO, brand="new")])
    await record.delete("default", ["b"])
    made = await applied(record, made, engine)
    (row,) = engine.rows[made.collection].values()
    assert (row.product_id, row.image_id, row.facts.brand) == ("a", "", "new")
    # It comes back without the vector, which went with it.
    await record.write("default", [write("b")])
    made = await applied(record, made, engine)
    assert set(held(engine, made)) == {"a"}


async def test_other_generations_write_no_row_again_for_a_product_s_vector(
    record: Record, made: Generation
) -> None:
    engine, visual = FakeIndex(), await record.find_generation("default", "visual-1")
    visual = await applied(record, visual, engine)
    engine.upsert_sizes.clear()
    await stored(record, given("a", 1, 0, 0))
    await applied(record, visual, engine)
    assert engine.upsert_sizes == []


async def test_those_that_pass_a_filter_are_found_in_the_record(
    record: Record, made: Generation
) -> None:
    await record.write("default", [write("a", PHOTO, brand="new")])
    await stored(record, given("a", 1, 0, 0), given("b", 0, 1, 0))
    brand = Comparison("brand", Operator.EQUAL, "new")
    found = await record.matching_rows(made, brand, brand, 10)
    assert found is not None
    ((row_id, *names),) = found.keys
    assert (names, found.vectors.tolist()) == (["a", ""], [[1, 0, 0]])
    assert (await record.vectors_of_rows(made, [row_id])).keys == found.keys


async def test_what_the_engine_lost_is_reconciled(record: Record, made: Generation) -> None:
    engine = FakeIndex()
    await stored(record, given("a", 1, 0, 0), given("b", 0, 1, 0))
    made = await applied(record, made, engine)
    lost = next(iter(engine.rows[made.collection]))
    engine.restart(lose=[lost])
    await engine.load(made.collection)
    drift = await reconcile(made, record, engine, Always())
    assert (drift.upserted, drift.deleted) == (1, 0)
    assert set(held(engine, made)) == {"a", "b"}


class InnerProduct(FakeIndex):
    """An engine in memory with the inner product as its metric."""

    async def search(self, collection, vectors, condition, limit, seconds, **how):  # type: ignore[no-untyped-def]
        assert how["parameters"].metric is VectorMetric.IP
        rows = self.rows[collection].values()
        (vector,) = vectors
        hits = [
            Hit(row.row_id, row.product_id, row.image_id, float(vector @ row.vector))
            for row in rows
            if passes(condition, row.facts)
        ]
        return sorted(hits, key=lambda hit: -hit.similarity)[:limit]


async def test_it_is_verified_activated_and_searched_by_inner_product(
    record: Record, made: Generation, jobs: Jobs
) -> None:
    engine, embedder = InnerProduct(), FakeEmbedder()
    await stored(record, given("a", 2, 0, 0.5), given("b", 1, 0, 0), given("c", -1, 0, 3))
    made = await applied(record, made, engine)
    with pytest.raises(GenerationNotVerified):
        await generations.activate("default", "c1", record, force=False)
    await record.end_backfill(made)
    demand = Demand(sample_size=3, k=2)
    await generations.verify("default", "c1", demand, record, jobs, request_id="")
    job = await jobs.claim(["verify"], "me", 60)
    assert job is not None
    result = await verify(job, Tools(record, FakePhotos(), engine, embedder, jobs))
    assert result["passed"] == "true"
    status = await generations.activate("default", "c1", record, force=False)
    assert (status.generation.active, status.generation.forced) == (True, False)
    query = SearchQuery("default", vector=given("", 1, 0, 1)[2], top_k=2)
    answer = await search.search(query, searcher(record, engine), lambda: None)
    rows = answer.candidates
    found = list(zip(rows.product_ids, rows.similarities, rows.image_ids, strict=True))
    assert found == [("a", 2.5, ""), ("c", 2.0, "")]


async def test_a_dropped_one_leaves_no_vectors(record: Record, made: Generation) -> None:
    await stored(record, given("a", 1, 0, 0), given("b", 0, 1, 0))
    await record.retire("default", "c1")
    assert await record.discard(made, 10) == 2
    assert await record.row_count(made) == 0


async def test_catalogs_are_apart(record: Record, made: Generation) -> None:
    await record.write("other", [write("a")])
    await generations.create("other", ORDER, "p", record)
    await upsert_vectors("other", [given("a", 1, 2, 3)], record)
    assert await record.row_count(made) == 0
    other = await record.find_generation("other", "c1")
    assert await record.row_count(other) == 1
    assert other.collection != made.collection
