"""Collections: created, opened, upgraded."""

from __future__ import annotations

import pytest

from retriever.domain.collection_names import new_collection, shaped
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import (
    GenerationNotFound,
    IndexRefused,
)
from retriever.domain.generation import Generation, GenerationState
from retriever.indexing.collections import drop_former, ensure_generation, open_collection, reshape
from retriever.record import Record
from tests.fakes.index import DIMENSION, Always, FakeIndex
from tests.unit.retriever.conftest import generation, vectors, write
from tests.unit.retriever.indexing.conftest import PHOTOS, applied, held


async def test_a_space_without_index_gets_its_first_generation(record: Record) -> None:
    offer = EmbeddingSpace("visual", "v1", 4, ready=True)
    await ensure_generation("default", offer, "test", record)
    (made,) = await record.generations("default")
    assert made.active
    assert made.state is GenerationState.READY
    assert made.collection.startswith("test_visual_")
    await ensure_generation("default", offer, "test", record)
    assert await record.generations("default") == [made]


async def test_generations_never_share_a_collection() -> None:
    assert len({new_collection("test", "visual") for _ in range(8)}) == 8


async def test_another_version_makes_no_generation_by_itself(record: Record) -> None:
    await ensure_generation("default", EmbeddingSpace("visual", "v1", 4, True), "t", record)
    newer = EmbeddingSpace("visual", "v2", 4, ready=True)
    await ensure_generation("default", newer, "t", record)
    assert [each.space_version for each in await record.generations("default")] == ["v1"]


async def test_a_new_collection_an_older_shape_is_built_anew_before_it_is_left(
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


async def test_a_generation_that_is_dropped_while_it_is_reshaped_leaves_no_collection(
    record: Record, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await record.create_generation(generation(collection="c_visual_1"))
    await index.create(old.collection, DIMENSION)

    async def flush(_collection: str) -> None:
        await record.mark(old, state=GenerationState.DROPPED)

    monkeypatch.setattr(index, "flush", flush)
    with pytest.raises(GenerationNotFound):
        await reshape(old, record, index, Always())
    assert set(index.rows) == {old.collection}
    assert (await record.history("default"))[0].collection == old.collection


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
