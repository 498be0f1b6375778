"""Pending photos are embedded, and failed ones are retried or given up."""

from __future__ import annotations

import pytest

from retriever.domain.embedding import MAX_ATTEMPTS
from retriever.domain.errors import (
    EmbedderUnavailable,
    ImageRejected,
    PhotosUnavailable,
    VersionMismatch,
)
from retriever.domain.generation import Generation
from retriever.indexing import embedding
from retriever.indexing.embedding import embed_pending
from retriever.record import Record
from servicekit.errors import Internal
from sightline_rules.photos import image_id
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.photo_store import FakePhotos
from tests.unit.retriever.conftest import Clock, write
from tests.unit.retriever.indexing.conftest import PHOTOS


async def test_pending_photos_get_their_vectors(
    made: Generation, record: Record, photos: FakePhotos, embedder: FakeEmbedder
) -> None:
    await record.write("default", [write("a", *PHOTOS[:5])])
    done = await embed_pending(made, record, photos, embedder, 3)
    assert done.stored == 3
    done = await embed_pending(made, record, photos, embedder, 3)
    assert done.stored == 2
    assert await record.due(made, 10) == []
    assert len(await record.rows(made, ["a"])) == 5


async def test_a_call_is_never_larger_than_the_embedder_takes(
    monkeypatch: pytest.MonkeyPatch,
    made: Generation,
    record: Record,
    photos: FakePhotos,
    embedder: FakeEmbedder,
) -> None:
    monkeypatch.setattr(embedding, "EMBED_BYTES", 25)  # a photo of these tests counts 10
    await record.write("default", [write("a", *PHOTOS[:5])])
    await embed_pending(made, record, photos, embedder, 16)
    assert embedder.calls == [2]


async def test_a_photo_that_can_never_be_embedded_is_given_up_at_once(
    made: Generation, record: Record, photos: FakePhotos, embedder: FakeEmbedder
) -> None:
    embedder.poison[PHOTOS[0]] = ImageRejected("IMAGE_UNDECODABLE", "no")
    await record.write("default", [write("a", *PHOTOS[:3])])
    done = await embed_pending(made, record, photos, embedder, 16)
    assert (done.stored, done.failed) == (2, 1)
    counts = await record.counts("default", made)
    assert (counts.pending, counts.failed) == (0, 1)


@pytest.mark.full
async def test_a_failing_photo_is_tried_alone_ever_later_and_then_left(
    made: Generation, record: Record, photos: FakePhotos, embedder: FakeEmbedder, clock: Clock
) -> None:
    embedder.poison[PHOTOS[0]] = Internal("boom", reason="INTERNAL")
    await record.write("default", [write("a", *PHOTOS[:3])])
    waits = []
    while (await record.counts("default", made)).pending:
        before = clock.now
        while not await record.due(made, 1):
            clock.now += 500_000
        waits.append(clock.now - before)
        await embed_pending(made, record, photos, embedder, 16)
        assert len(waits) <= MAX_ATTEMPTS
    assert embedder.calls == [3] + [1] * (MAX_ATTEMPTS - 1)
    assert waits[1:] == sorted(waits[1:])
    assert waits[2] > waits[1] > 0
    assert (await record.counts("default", made)).failed == 1


async def test_an_embedder_that_is_down_costs_no_photo_its_place(
    made: Generation, record: Record, photos: FakePhotos, embedder: FakeEmbedder, clock: Clock
) -> None:
    await record.write("default", [write("a", *PHOTOS[:2])])
    embedder.down = True
    for _ in range(3 * MAX_ATTEMPTS):
        clock.now += 600_000_000
        with pytest.raises(EmbedderUnavailable):
            await embed_pending(made, record, photos, embedder, 16)
    embedder.down = False
    for _ in range(2):
        clock.now += 600_000_000
        await embed_pending(made, record, photos, embedder, 16)
    counts = await record.counts("default", made)
    assert (counts.pending, counts.failed) == (0, 0)


async def test_items_that_all_say_the_model_is_down_are_no_fault_of_theirs(
    made: Generation, record: Record, photos: FakePhotos, embedder: FakeEmbedder
) -> None:
    embedder.poison = {data: EmbedderUnavailable() for data in PHOTOS[:2]}
    await record.write("default", [write("a", *PHOTOS[:2])])
    with pytest.raises(EmbedderUnavailable):
        await embed_pending(made, record, photos, embedder, 16)


async def test_a_vector_of_another_version_is_never_stored(
    made: Generation, record: Record, photos: FakePhotos, embedder: FakeEmbedder
) -> None:
    await record.write("default", [write("a", PHOTOS[0])])
    embedder.version = "v2"
    with pytest.raises(VersionMismatch):
        await embed_pending(made, record, photos, embedder, 16)
    assert len(await record.due(made, 10)) == 1
    assert await record.rows(made, ["a"]) == []


async def test_a_lost_photo_is_given_up_and_the_rest_embedded(
    made: Generation, record: Record, photos: FakePhotos, embedder: FakeEmbedder
) -> None:
    await record.write("default", [write("a", *PHOTOS[:2])])
    del photos.stored["default", image_id(PHOTOS[0])]
    done = await embed_pending(made, record, photos, embedder, 16)
    assert (done.stored, done.failed) == (1, 1)


async def test_a_photo_that_can_not_be_read_holds_up_no_other(
    made: Generation, record: Record, photos: FakePhotos, embedder: FakeEmbedder, clock: Clock
) -> None:
    photos.unreadable = {image_id(PHOTOS[0])}
    await record.write("default", [write("a", *PHOTOS[:3])])
    done = await embed_pending(made, record, photos, embedder, 16)
    assert (done.stored, done.failed) == (2, 1)
    clock.now += 600_000_000
    with pytest.raises(PhotosUnavailable):
        await embed_pending(made, record, photos, embedder, 16)
    photos.unreadable = set()
    clock.now += 600_000_000
    assert (await embed_pending(made, record, photos, embedder, 16)).stored == 1


async def test_photos_of_deleted_products_are_not_embedded(
    made: Generation, record: Record, photos: FakePhotos, embedder: FakeEmbedder
) -> None:
    await record.write("default", [write("a", PHOTOS[0]), write("b", PHOTOS[1])])
    await record.delete("default", ["a"])
    await embed_pending(made, record, photos, embedder, 16)
    assert embedder.calls == [1]
    assert await record.due(made, 10) == []
