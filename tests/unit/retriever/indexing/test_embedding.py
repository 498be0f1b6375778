"""Several calls to the embedder in one step, and the stored results."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import EmbedderUnavailable
from retriever.domain.generation import Generation
from retriever.domain.vectors import GivenVector
from retriever.indexing import embedding
from retriever.indexing.collections import ensure_generation
from retriever.indexing.embedding import SIDE_BY_SIDE, RecentVectors, embed_pending
from retriever.record import Record
from retriever.record.tables import pending
from servicekit.errors import InvalidArgument, ServiceError
from sightline_rules.photos import image_id
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import vector_of
from tests.fakes.photo_store import FakePhotos
from tests.unit.retriever.conftest import Clock, generation, write

PHOTOS = [b"photo %d" % n for n in range(12)]


@dataclass
class Watched(FakeEmbedder):
    """Embedder that counts concurrent calls; the call number in `breaks` fails as unavailable."""

    running: int = 0
    most_running: int = 0
    breaks: bytes | str = b""
    slow: float = 0.02
    begun: list[list[bytes | str]] = field(default_factory=list)

    async def embed(self, *given: Any, **named: Any) -> list[GivenVector | ServiceError]:
        items = given[3]
        self.begun.append(items)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0.001)
        try:
            if self.breaks in items:
                raise EmbedderUnavailable
            await asyncio.sleep(self.slow)
            return await super().embed(*given, **named)
        finally:
            self.running -= 1


@pytest.fixture
def photos() -> FakePhotos:
    return FakePhotos({("default", image_id(data)): data for data in PHOTOS})


@pytest.fixture
async def made(record: Record) -> Generation:
    return await record.create_generation(generation())


@pytest.fixture
async def of_texts(record: Record) -> Generation:
    await ensure_generation("default", EmbeddingSpace("text", "t1", 6, True), "p", record)
    return (await record.generations("default"))[0]


async def test_a_step_makes_several_calls_of_which_some_are_in_flight_at_once(
    record: Record, made: Generation, photos: FakePhotos
) -> None:
    embedder = Watched()
    await record.write("default", [write("a", *PHOTOS)])
    done = await embed_pending(made, record, photos, embedder, 2, calls=5)
    assert done.stored == 10
    assert sorted(embedder.calls) == [2] * 5
    assert embedder.most_running == SIDE_BY_SIDE
    assert len(await record.due(made, 100)) == 2


async def test_a_step_that_takes_long_begins_no_further_call(
    record: Record, made: Generation, photos: FakePhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "STEP_SECONDS", 0.05)
    embedder = Watched(slow=0.1)
    await record.write("default", [write("a", *PHOTOS)])
    done = await embed_pending(made, record, photos, embedder, 2, calls=5)
    assert done.stored == 2 * SIDE_BY_SIDE
    assert len(await record.due(made, 100)) == 8


@pytest.mark.slow
async def test_after_a_failure_no_other_call_begins_and_what_was_in_flight_is_stored(
    record: Record, made: Generation, photos: FakePhotos, clock: Clock
) -> None:
    embedder = Watched(breaks=PHOTOS[0], slow=0.3)
    await record.write("default", [write("a", *PHOTOS)])
    with pytest.raises(EmbedderUnavailable):
        await embed_pending(made, record, photos, embedder, 2, calls=6)
    assert len(embedder.begun) == SIDE_BY_SIDE
    assert await record.row_count(made) == 2
    clock.now += 600_000_000
    due = await record.due(made, 100)
    assert sorted(item.attempts for item in due) == [0] * 8 + [1] * 2
    embedder.begun.clear()
    for _ in range(6):
        with suppress(EmbedderUnavailable):
            await embed_pending(made, record, photos, embedder, 2, calls=6)
        clock.now += 600_000_000
    tried = [[PHOTOS[0]] for call in embedder.begun if PHOTOS[0] in call]
    assert tried == [call for call in embedder.begun if PHOTOS[0] in call]
    assert await record.row_count(made) == 11


async def test_a_text_that_many_products_share_is_embedded_once(
    record: Record, of_texts: Generation
) -> None:
    embedder, recent = FakeEmbedder(texts={"t1": 6}), RecentVectors()
    await record.write("default", [write(f"p{n}", title="Red") for n in range(5)])
    await record.write("default", [write("q", title="White")])
    done = await embed_pending(of_texts, record, FakePhotos(), embedder, 8, recent=recent)
    assert (done.stored, embedder.calls) == (6, [2])
    await record.write("default", [write("late", title="Red")])
    done = await embed_pending(of_texts, record, FakePhotos(), embedder, 8, recent=recent)
    assert (done.stored, embedder.calls) == (1, [2])
    rows = await record.rows(of_texts, ["p0", "p4", "late"])
    assert [np.array_equal(row.vector, vector_of("Red", 6, "t1")) for row in rows] == [True] * 3


async def test_a_text_that_can_not_be_embedded_fails_for_all_that_share_it(
    record: Record, of_texts: Generation
) -> None:
    embedder = FakeEmbedder(texts={"t1": 6})
    embedder.poison["Red"] = InvalidArgument("no", reason="TEXT_INVALID")
    products = [write("a", title="Red"), write("b", title="Red"), write("c", title="White")]
    await record.write("default", products)
    done = await embed_pending(of_texts, record, FakePhotos(), embedder, 8)
    assert (done.stored, done.failed) == (1, 2)
    assert await record.due(of_texts, 10) == []


async def test_an_outage_of_any_length_is_waited_out(
    record: Record, made: Generation, photos: FakePhotos, clock: Clock
) -> None:
    await record.write("default", [write("a", PHOTOS[0])])
    embedder = FakeEmbedder(down=True)
    query = sa.update(pending).values(attempts=5_000, reason="EMBEDDER_UNAVAILABLE")
    await record._db.write(lambda connection: connection.execute(query))
    with pytest.raises(EmbedderUnavailable):
        await embed_pending(made, record, photos, embedder, 2)
    assert await record.due(made, 1) == []
    clock.now += 300_000_000
    assert len(await record.due(made, 1)) == 1


def test_the_longest_unused_text_is_forgotten_first() -> None:
    made, recent = generation(), RecentVectors(2)
    vector = vector_of("Red", 6, "t1")
    for text in ("Red", "White"):
        recent.keep(made, text, vector)
    assert recent.get(made, "Red") is vector
    recent.keep(made, "Rosé", vector)
    assert recent.get(made, "White") is None
    assert recent.get(generation(space_version="v2"), "Red") is None
    assert recent.get(made, "Red") is vector
