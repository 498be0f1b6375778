"""How the index follows the record: on a real record, with engine and embedder in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retriever.domain.collections import collection_of, shaped
from retriever.domain.embedding import MAX_ATTEMPTS, EmbeddingSpace
from retriever.domain.errors import (
    EmbedderUnavailable,
    ImageRejected,
    IndexRefused,
    IndexUnavailable,
    PhotosUnavailable,
    VersionMismatch,
)
from retriever.domain.generation import Generation, GenerationState
from retriever.indexing import embedding, outbox, writing
from retriever.indexing.collections import (
    drop_former,
    ensure_generation,
    open_collection,
    reshape,
)
from retriever.indexing.embedding import embed_pending
from retriever.indexing.outbox import apply_outbox
from retriever.indexing.reconcile import reconcile
from retriever.indexing.writing import LeadershipLost
from retriever.record import Record
from servicekit.errors import Internal
from sightline_rules.photos import image_id
from tests.fakes.index import (
    DIMENSION,
    Always,
    FakeEmbedder,
    FakeIndex,
    FakePhotos,
    Never,
)
from tests.unit.retriever.conftest import Clock, generation, vectors, write

PHOTOS = [b"photo %d" % n for n in range(40)]


@pytest.fixture
def index() -> FakeIndex:
    return FakeIndex()


@pytest.fixture
def photos() -> FakePhotos:
    return FakePhotos({("default", image_id(data)): data for data in PHOTOS})


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
async def made(record: Record, index: FakeIndex) -> Generation:
    found = await record.create_generation(generation())
    await index.create(found.collection, DIMENSION)
    return found


async def applied(made: Generation, record: Record, index: FakeIndex) -> Generation:
    while (done := await apply_outbox(made, record, index, Always())).rows:
        made = done.generation
    return done.generation


def held(made: Generation, index: FakeIndex) -> dict[str, int]:
    """Product id and photo → seq of the engine's rows."""
    rows = index.rows[made.collection].values()
    return {f"{row.product_id}/{row.image_id[:4]}": row.seq for row in rows}


# Generations


async def test_a_space_without_index_gets_its_first_generation(record: Record) -> None:
    offer = EmbeddingSpace("visual", "v1", 4, ready=True)
    await ensure_generation("default", offer, "test", record)
    (made,) = await record.generations("default")
    assert made.active
    assert made.state is GenerationState.READY
    assert made.collection.startswith("test_visual_")
    await ensure_generation("default", offer, "test", record)
    assert await record.generations("default") == [made]


async def test_catalogs_and_versions_never_share_a_collection() -> None:
    names = {
        collection_of("test", catalog, EmbeddingSpace("visual", version, 4, True), name)
        for catalog in ("default", "other")
        for version in ("v1", "v2")
        for name in ("one", "two")
    }
    assert len(names) == 8


async def test_another_version_makes_no_generation_by_itself(record: Record) -> None:
    await ensure_generation("default", EmbeddingSpace("visual", "v1", 4, True), "t", record)
    newer = EmbeddingSpace("visual", "v2", 4, ready=True)
    await ensure_generation("default", newer, "t", record)
    assert [each.space_version for each in await record.generations("default")] == ["v1"]


async def test_a_collection_of_an_older_shape_is_built_anew_before_it_is_left(
    record: Record, index: FakeIndex
) -> None:
    old = await record.create_generation(generation(collection="c_visual_1"))
    await index.create(old.collection, DIMENSION)
    await record.write("default", [write(f"p{n}", data) for n, data in enumerate(PHOTOS)])
    await record.save_vectors(old, vectors(*PHOTOS))
    old = await applied(old, record, index)
    right = held(old, index)
    await record.write("default", [write("late", PHOTOS[0])])
    index.scan_failures = 1
    with pytest.raises(IndexRefused):
        await reshape(old, record, index, Always())
    assert [g.collection for g in await record.generations("default")] == [old.collection]
    made = await reshape(old, record, index, Always())
    assert [g.collection for g in await record.generations("default")] == [made.collection]
    assert made.collection == shaped("c_visual_1") != old.collection
    # Searches that are under way still find the old one.
    assert held(old, index) == right
    assert right.items() <= held(made, index).items()
    assert len(held(await applied(made, record, index), index)) == len(PHOTOS) + 1
    await drop_former(made, index)
    assert set(index.rows) == {made.collection}
    assert await reshape(made, record, index, Always()) == made


async def test_a_collection_is_opened_from_whatever_state(
    made: Generation, index: FakeIndex
) -> None:
    assert await open_collection(made, index)
    index.restart()
    assert not await open_collection(made, index)
    assert await open_collection(made, index)
    index.rows.clear()
    assert not await open_collection(made, index)
    assert await open_collection(made, index)


# Embedding


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


# The outbox


async def test_only_rows_of_later_commits_are_read_anew(made: Generation, record: Record) -> None:
    await record.write("default", [write("a", *PHOTOS[:2]), write("b", PHOTOS[2])])
    _, seq = await record.save_vectors(made, vectors(*PHOTOS[:3]))
    assert await record.rows(made, ["a", "b"], after=seq) == []
    assert len(await record.rows(made, ["a", "b"], after=seq - 1)) == 1
    await record.save_vectors(made, vectors(PHOTOS[1]))
    (row,) = await record.rows(made, ["a", "b"], after=seq)
    assert row.image_id == image_id(PHOTOS[1])
    await record.write("default", [write("a", *PHOTOS[:2], title="other")])
    assert len(await record.rows(made, ["a", "b"], after=seq)) == 2


async def test_the_index_holds_what_the_record_says(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.write("default", [write("a", *PHOTOS[:2]), write("b", PHOTOS[2])])
    await record.save_vectors(made, vectors(*PHOTOS[:3]))
    made = await applied(made, record, index)
    assert len(held(made, index)) == 3
    await record.write("default", [write("a", PHOTOS[1])])
    await record.delete("default", ["b"])
    made = await applied(made, record, index)
    assert held(made, index) == {f"a/{image_id(PHOTOS[1])[:4]}": 6}
    assert await record.changes(made, 10) == []


async def test_applying_twice_leaves_the_same_index(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.write("default", [write("a", PHOTOS[0])])
    await record.save_vectors(made, vectors(PHOTOS[0]))
    await applied(made, record, index)
    once = held(made, index)
    await applied(made, record, index)  # as if the process had died before it noted the first
    assert held(made, index) == once


async def test_rows_go_in_batches_of_bounded_size(
    monkeypatch: pytest.MonkeyPatch, made: Generation, record: Record, index: FakeIndex
) -> None:
    monkeypatch.setattr(writing, "UPSERT_ROWS", 8)
    await record.write("default", [write(f"p{n}", data) for n, data in enumerate(PHOTOS)])
    await record.save_vectors(made, vectors(*PHOTOS))
    await applied(made, record, index)
    assert max(index.upsert_sizes) == 8
    assert len(held(made, index)) == 40


async def test_rows_of_a_photo_that_every_product_has_are_read_some_at_a_time(
    monkeypatch: pytest.MonkeyPatch, made: Generation, record: Record, index: FakeIndex
) -> None:
    """A vector brings all products with its photo into the outbox in one commit."""
    monkeypatch.setattr(outbox, "READ_PRODUCTS", 4)
    await record.write("default", [write(f"p{n}", PHOTOS[0]) for n in range(10)])
    made = await applied(made, record, index)
    await record.save_vectors(made, vectors(PHOTOS[0]))
    made = await applied(made, record, index)
    assert (index.upsert_sizes, len(held(made, index))) == ([4, 4, 2], 10)


async def test_a_row_that_the_engine_refuses_holds_up_no_other(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    index.refused_products = {"p7"}
    await record.write("default", [write(f"p{n}", data) for n, data in enumerate(PHOTOS)])
    await record.save_vectors(made, vectors(*PHOTOS))
    made = await applied(made, record, index)
    assert len(held(made, index)) == 39
    assert await record.changes(made, 10) == []


async def test_a_dead_engine_leaves_the_outbox_as_it_is(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.write("default", [write("a", PHOTOS[0])])
    await record.save_vectors(made, vectors(PHOTOS[0]))
    index.down = True
    with pytest.raises(IndexUnavailable):
        await apply_outbox(made, record, index, Always())
    assert len(await record.changes(made, 10)) == 2


async def test_who_does_not_lead_writes_nothing(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.write("default", [write("a", PHOTOS[0])])
    await record.save_vectors(made, vectors(PHOTOS[0]))
    with pytest.raises(LeadershipLost):
        await apply_outbox(made, record, index, Never())
    assert held(made, index) == {}


async def test_a_call_that_outlasts_the_lease_is_given_up(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    """Rows that arrive late would lie over those of the next leader."""
    await record.write("default", [write("a", PHOTOS[0])])
    await record.save_vectors(made, vectors(PHOTOS[0]))
    index.upsert_seconds = 30.0
    with pytest.raises(LeadershipLost):
        await apply_outbox(made, record, index, Always(0.05))
    assert held(made, index) == {}


# Reconciliation


@pytest.mark.parametrize(("scan_rows", "scan_limit"), [(4_000, 10**6), (7, 10**6), (4_000, 5)])
async def test_missing_stale_and_extra_rows_are_mended(
    monkeypatch: pytest.MonkeyPatch,
    made: Generation,
    record: Record,
    index: FakeIndex,
    scan_rows: int,
    scan_limit: int,
) -> None:
    monkeypatch.setattr("retriever.indexing.reconcile.SCAN_ROWS", scan_rows)
    await record.write("default", [write(f"p{n}", data) for n, data in enumerate(PHOTOS)])
    await record.save_vectors(made, vectors(*PHOTOS))
    made = await applied(made, record, index)
    right = dict(index.rows[made.collection])
    rows = index.rows[made.collection]
    lost, stale = sorted(rows)[:3], sorted(rows)[3]
    for row_id in lost:
        del rows[row_id]
    await record.write("default", [write("p39", PHOTOS[39], brand="new")])
    made = await applied(made, record, index)
    right = {**right, **{k: v for k, v in rows.items() if v.product_id == "p39"}}
    rows[stale] = replace(rows[stale], seq=0)
    rows["f" * 32] = rows[stale]
    index.scan_limit = scan_limit
    drift = await reconcile(made, record, index, Always())
    assert (drift.upserted, drift.deleted) == (4, 1)
    assert {k: v.seq for k, v in rows.items()} == {k: v.seq for k, v in right.items()}
    again = await reconcile(made, record, index, Always())
    assert (again.upserted, again.deleted) == (0, 0)


async def test_an_engine_that_lost_everything_is_filled_without_embedding(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.write("default", [write(f"p{n}", data) for n, data in enumerate(PHOTOS)])
    await record.save_vectors(made, vectors(*PHOTOS))
    made = await applied(made, record, index)
    index.rows.clear()
    await open_collection(made, index)
    drift = await reconcile(made, record, index, Always())
    assert drift.upserted == 40
    assert len(held(made, index)) == 40


async def test_a_check_answers_the_wish_for_one(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.want_check(made)
    await reconcile(made, record, index, Always())
    (found,) = await record.generations("default")
    assert not found.check_wanted
