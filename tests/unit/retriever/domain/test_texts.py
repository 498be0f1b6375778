"""The text of a product, and texts that wait for vectors: on a real record, engine in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import EmbedderUnavailable
from retriever.domain.generation import Generation, GenerationStatus
from retriever.domain.product import Attribute, Offer, ProductContent
from retriever.domain.texts import MOST, digest_of, text_of
from retriever.domain.vectors import GivenVector, VectorWrite
from retriever.indexing import backfill, generations
from retriever.indexing.collections import ensure_generation, open_collection
from retriever.indexing.embedding import embed_pending
from retriever.indexing.generations import Demand, GenerationRequest
from retriever.indexing.outbox import apply_outbox
from retriever.indexing.verification.case import Tools
from retriever.indexing.verification.verify import verify
from retriever.record import Record
from retriever.search import search, stats
from retriever.search.query import SearchQuery
from retriever.wiring import job_queue
from servicekit.errors import InvalidArgument
from servicekit.jobs.queue import Job, Jobs
from servicekit.sql.database import Database
from sightline_rules.filters import Money
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import Always, FakeIndex, vector_of
from tests.fakes.photo_store import FakePhotos
from tests.unit.retriever.conftest import Clock, write
from tests.unit.retriever.rows import searcher

WINE = ProductContent(
    "barolo",
    " Barolo  Serralunga 2016 ",
    category_path=("Wine", "Red"),
    brand="Cantina Rossi",
    tags=("vegan", "organic"),
    attributes=(
        Attribute("region", "Piedmont"),
        Attribute("alcohol_percent", 14.5),
        Attribute("year", 2016.0),
        Attribute("sulfite_free", True),
        Attribute("sparkling", False),
    ),
)
TEXTS = {"t1": 6, "t2": 5}
"""Versions of the space of texts, and their dimensions."""


# The text


def test_a_text_names_the_product_most_telling_first() -> None:
    assert text_of(WINE) == (
        "Barolo Serralunga 2016. Wine > Red. Cantina Rossi. organic, vegan. "
        "alcohol percent: 14.5, region: Piedmont, sulfite free, year: 2016"
    )
    assert text_of(ProductContent("p", "Barolo")) == "Barolo"
    assert text_of(ProductContent("p", " \u00a0 ")) == ""


@pytest.mark.parametrize(
    "other",
    [
        {"price": Money("EUR", 5)},
        {"description": "Notes of tar and roses"},
        {"image_ids": ("a" * 64,), "uri": "https://example.com/", "language_code": "it"},
        {"tags": ("organic", "vegan")},
        {"attributes": WINE.attributes[::-1]},
        {"title": "Barolo Serralunga 2016"},
    ],
)
def test_what_names_no_product_changes_no_text(other: dict[str, object]) -> None:
    assert text_of(replace(WINE, **other)) == text_of(WINE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [{"title": "Barolo"}, {"category_path": ("Wine",)}, {"brand": ""}, {"tags": ()}],
)
def test_what_names_it_changes_text_and_digest(other: dict[str, object]) -> None:
    changed = text_of(replace(WINE, **other))  # type: ignore[arg-type]
    assert digest_of(changed) != digest_of(text_of(WINE))


@pytest.mark.parametrize(
    ("title", "product_id"),
    [
        ("a26fcf8f e1a3 4607 9854 9afef6745c86", "hat/a26fcf8f-e1a3-4607-9854-9afef6745c86.jpg"),
        ("D41D8CD98F00B204E9800998ECF8427E", "p"),
        ("IMG 2041", "shirts/IMG_2041.jpg"),
        ("DSC_0007", "p"),
        ("4006381333931", "wine-3"),
        ("B0-07", "b007"),
        ("p 12", "shoes/p_12.webp"),
    ],
)
def test_a_title_that_names_a_file_or_an_id_alone_is_left_out(title: str, product_id: str) -> None:
    content = ProductContent(product_id, title, category_path=("Hats", "Red"))
    assert text_of(content) == "Hats > Red"
    assert text_of(replace(content, category_path=())) == ""


@pytest.mark.parametrize(
    ("title", "product_id"),
    [
        ("red dress", "dresses/red_dress.jpg"),
        ("hat", "hat.jpg"),
        ("1984", "p"),
        ("501", "levis-501"),
        ("WH-1000XM5", "p"),
        ("Photo album", "p"),
        ("Photo album 2", "p"),
        ("Decade facade", "p"),
        ("Беда", "p"),
        ("葡萄酒", "p"),
        ("红酒", "wine/红酒.jpg"),
        ("!", "p"),
    ],
)
def test_a_title_that_names_the_product_stays(title: str, product_id: str) -> None:
    assert text_of(ProductContent(product_id, title)) == title


def test_a_long_text_ends_with_a_whole_word() -> None:
    tags = tuple(f"tag{number:03}" for number in range(300))
    text = text_of(replace(WINE, tags=tags))
    assert MOST - 10 < len(text) <= MOST
    assert text.rpartition(" ")[2] in tags
    assert len(text_of(ProductContent("p", "x" * 512, brand="y" * 256 + "z" * 700))) <= MOST


# What waits for its vector


@pytest.fixture
def jobs(db: Database) -> Jobs:
    return job_queue(db)


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder(texts=dict(TEXTS))


@pytest.fixture
async def made(record: Record) -> Generation:
    """Return the first generation, of products that existed before it; one has no text."""
    products = [write("a", title="Red"), write("b", title="White"), write("blank", title=" ")]
    await record.write("default", products)
    offered = [
        EmbeddingSpace("text", name, size, True, name == "t1") for name, size in TEXTS.items()
    ]
    await record.save_offers("default", offered)
    await ensure_generation("default", offered[0], "p", record)
    return (await record.generations("default"))[0]


async def embed(record: Record, made: Generation, embedder: FakeEmbedder) -> list[str]:
    """Embed all that is due; the texts that the embedder got."""
    embedder.embedded.clear()
    while await record.due(made, 1):
        await embed_pending(made, record, FakePhotos(), embedder, 2)
    return [str(text) for _, text in embedder.embedded]


async def counts(record: Record, name: str = "text-t1-1") -> tuple[int, int, int]:
    """Return the numbers of indexed, pending and failed texts."""
    status: GenerationStatus
    (status,) = [each for each in await record.statuses("default") if each.generation.name == name]
    return status.indexed, status.pending, status.failed


async def applied(record: Record, made: Generation, engine: FakeIndex) -> Generation:
    await open_collection(made, engine)
    return (await apply_outbox(made, record, engine, Always())).generation


async def test_the_first_generation_embeds_each_product_that_has_a_text(
    record: Record, made: Generation, embedder: FakeEmbedder
) -> None:
    assert (made.active, made.of_texts, made.given) == (True, True, False)
    assert sorted(await embed(record, made, embedder)) == ["Red", "White"]
    assert await counts(record) == (2, 0, 0)
    engine = FakeIndex()
    await applied(record, made, engine)
    held = {row.product_id: row for row in engine.rows[made.collection].values()}
    assert set(held) == {"a", "b"}
    assert held["a"].image_id == ""
    census = await stats.count("default", "text", record, engine)
    assert (census.indexed, census.counts.pending, census.counts.failed) == (2, 0, 0)
    assert np.array_equal(held["a"].vector, vector_of("Red", 6, "t1"))


async def test_only_a_changed_text_is_embedded_again(
    record: Record, made: Generation, embedder: FakeEmbedder
) -> None:
    await embed(record, made, embedder)
    await record.write("default", [write("a", title="Red", price=Money("EUR", 9))])
    await record.offer("default", [Offer("b", Money("EUR", 7), None)])
    assert await embed(record, made, embedder) == []
    await record.write("default", [write("a", title="Rosé"), write("b", title="White")])
    assert await counts(record) == (2, 1, 0)
    fresh = await record.freshness(made)
    assert fresh.seq < fresh.head
    assert await embed(record, made, embedder) == ["Rosé"]
    assert await counts(record) == (2, 0, 0)


async def test_the_former_vector_serves_until_the_new_one_is_there(
    record: Record, made: Generation, embedder: FakeEmbedder
) -> None:
    engine = FakeIndex()
    await embed(record, made, embedder)
    await record.write("default", [write("a", title="Rosé", brand="new")])
    made = await applied(record, made, engine)
    (row,) = [row for row in engine.rows[made.collection].values() if row.product_id == "a"]
    assert row.facts.brand == "new"
    assert np.array_equal(row.vector, vector_of("Red", 6, "t1"))
    await embed(record, made, embedder)
    await applied(record, made, engine)
    (row,) = [row for row in engine.rows[made.collection].values() if row.product_id == "a"]
    assert np.array_equal(row.vector, vector_of("Rosé. new", 6, "t1"))


async def test_a_text_that_changes_while_it_is_embedded_is_not_lost(
    record: Record, made: Generation, embedder: FakeEmbedder
) -> None:
    await record.write("default", [write("a", title="Rosé")])
    old = VectorWrite("", vector_of("Red", 6, "t1"), "a", digest_of("Red"))
    assert (await record.save_vectors(made, [old]))[0] == [None]
    assert await record.row_count(made) == 0
    assert "Rosé" in await embed(record, made, embedder)


async def test_a_product_that_loses_its_text_or_goes_leaves_no_row(
    record: Record, made: Generation, embedder: FakeEmbedder
) -> None:
    engine = FakeIndex()
    await embed(record, made, embedder)
    made = await applied(record, made, engine)
    await record.write("default", [write("a", title=" "), write("b", title="Blue")])
    await record.delete("default", ["b"])
    assert await embed(record, made, embedder) == []
    await applied(record, made, engine)
    assert engine.rows[made.collection] == {}
    assert await counts(record) == (0, 0, 0)


async def test_a_text_that_fails_is_given_up_until_the_product_is_written_anew(
    record: Record, made: Generation, embedder: FakeEmbedder
) -> None:
    embedder.poison["Red"] = InvalidArgument("no", reason="TEXT_INVALID")
    await embed(record, made, embedder)
    assert await counts(record) == (1, 0, 1)
    await record.write("default", [write("a", title="Rosé")])
    assert await counts(record) == (1, 1, 0)
    await embed(record, made, embedder)
    assert await counts(record) == (2, 0, 0)


async def test_an_outage_is_waited_out(
    record: Record, made: Generation, embedder: FakeEmbedder, clock: Clock
) -> None:
    embedder.down = True
    with pytest.raises(EmbedderUnavailable):
        await embed_pending(made, record, FakePhotos(), embedder, 8)
    embedder.down = False
    clock.now += 10_000_000
    assert sorted(await embed(record, made, embedder)) == ["Red", "White"]


async def claimed(jobs: Jobs, kind: str) -> Job:
    job = await jobs.claim([kind], "me", 60)
    assert job is not None
    return job


async def test_a_second_version_is_backfilled_and_verified(
    record: Record, made: Generation, embedder: FakeEmbedder, jobs: Jobs
) -> None:
    await embed(record, made, embedder)
    engine = FakeIndex()
    await applied(record, made, engine)
    status = await generations.create(
        "default", GenerationRequest("text", "new", "t2"), "p", record
    )
    second = status.generation
    assert (second.active, second.of_texts) == (False, True)
    assert await counts(record, "new") == (0, 0, 0)
    assert await record.photo_count(second) == 3
    assert await record.enqueue_missing(second, "", 2) == "b"
    assert await record.enqueue_missing(second, "b", 2) is None
    assert await embed(record, second, embedder) == ["Red", "White"]
    await record.write("default", [write("a", title="Rosé")])
    await applied(record, second, engine)
    tools = Tools(record, FakePhotos(), engine, embedder, jobs)
    await generations.verify("default", "new", Demand(k=2), record, jobs, request_id="")
    assert (await verify(await claimed(jobs, "verify"), tools))["passed"] == "true"
    found = (await record.find_generation("default", "new")).verification
    assert found is not None
    # What waits for its new vector is no sign of a changed model.
    assert (found.sample_count, found.record_count) == (1, 2)


async def test_a_text_of_another_model_fails_the_verification(
    record: Record, made: Generation, embedder: FakeEmbedder, jobs: Jobs
) -> None:
    engine = FakeIndex()
    await embed(record, made, embedder)
    await record.save_vectors(made, [VectorWrite("", vector_of("other", 6, "t1"), "a")])
    await applied(record, made, engine)
    tools = Tools(record, FakePhotos(), engine, embedder, jobs)
    await generations.verify("default", made.name, Demand(k=2), record, jobs, request_id="")
    assert (await verify(await claimed(jobs, "verify"), tools))["passed"] == "false"
    found = (await record.find_generation("default", made.name)).verification
    assert found is not None
    assert found.findings[0].startswith("a text that was embedded again agrees only")


async def test_a_cancelled_backfill_takes_back_what_waits_for_it_alone(
    record: Record, made: Generation, embedder: FakeEmbedder
) -> None:
    await generations.create("default", GenerationRequest("text", "new", "t2"), "p", record)
    second = await record.find_generation("default", "new")
    await record.enqueue_missing(second, "", 10)
    await record.write("default", [write("a", title="Rosé")])
    await backfill.take_back(second, record)
    assert await embed(record, second, embedder) == ["Rosé"]


async def test_a_backfill_finds_a_text_whose_vector_is_of_a_former_one(
    record: Record, made: Generation, embedder: FakeEmbedder
) -> None:
    await embed(record, made, embedder)
    embedder.poison["Rosé"] = InvalidArgument("no", reason="TEXT_INVALID")
    await record.write("default", [write("a", title="Rosé")])
    await embed(record, made, embedder)
    embedder.poison.clear()
    await record.retry_failed(made)
    await backfill.take_back(made, record)
    assert await counts(record) == (2, 0, 1)
    await record.retry_failed(made)
    await record.enqueue_missing(made, "", 10)
    assert await embed(record, made, embedder) == ["Rosé"]


async def test_products_are_near_by_vector_and_by_product(
    record: Record, made: Generation, embedder: FakeEmbedder
) -> None:
    engine = FakeIndex()
    await embed(record, made, embedder)
    await applied(record, made, engine)
    vector = GivenVector("text", "t1", 6, vector_of("White", 6, "t1").tobytes())
    query = SearchQuery("default", vector=vector, top_k=1)
    answer = await search.search(query, searcher(record, engine), lambda: None)
    assert answer.candidates.product_ids == ["b"]
    query = SearchQuery("default", product_id="a", space="text", top_k=5)
    answer = await search.search(query, searcher(record, engine), lambda: None)
    assert answer.candidates.product_ids == ["b"]
