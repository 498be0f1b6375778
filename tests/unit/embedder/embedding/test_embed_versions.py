"""Several versions of a space, each served by its own model."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from embedder.domain.errors import (
    EmbedderUnavailable,
    ModelFailed,
    SpaceVersionUnavailable,
)
from embedder.domain.items import Embedding, Item, ItemOutcome
from embedder.domain.models import version_of
from embedder.domain.recipes import PhotoRecipe
from embedder.embedding.call import EMBEDDED
from tests.fakes.embedding import FakeIntake, embedder_of
from tests.fakes.triton import (
    DESCRIPTION,
    FakeFetch,
    FakeInference,
)
from tests.unit.embedder.embedding.conftest import reasons, run, shades

NEWER = replace(
    DESCRIPTION,
    model="newer",
    dimension=20,
    recipe=PhotoRecipe(side=16, crop=0.875, normalisation="none"),
    hashes={"1": "b" * 64},
)
OLD, NEW = version_of(DESCRIPTION, "1"), version_of(NEWER, "1")


@pytest.fixture
def newer() -> FakeInference:
    return FakeInference(NEWER)


def lengths(outcomes: Sequence[ItemOutcome]) -> list[int]:
    return [len(o.values) if isinstance(o, Embedding) else 0 for o in outcomes]


async def test_each_item_gets_a_vector_of_the_version_that_it_names_or_of_the_default_one(
    inference: FakeInference, newer: FakeInference
) -> None:
    intake = FakeIntake()
    embedder = embedder_of(inference, newer, intake=intake, fetch=FakeFetch({"https://a": b"7"}))
    outcomes = await run(
        embedder,
        [
            Item(photo=b"1"),
            Item(photo=b"2", version=NEW),
            Item(photo=b"3", version=OLD),
            Item(uri="https://a", version=NEW),
            Item(photo=b"4", space="visual", version=NEW),
        ],
    )
    assert [getattr(o, "version", "") for o in outcomes] == [OLD, NEW, OLD, NEW, NEW]
    assert lengths(outcomes) == [12, 20, 12, 20, 20]
    sides = {b"1": 8, b"2": 16, b"3": 8, b"7": 16, b"4": 16}
    assert sorted(intake.decoded) == sorted(sides.items()), "each once, for its own model"


async def test_a_version_that_is_not_served_costs_its_items_and_says_which_are(
    inference: FakeInference, newer: FakeInference
) -> None:
    fetch = FakeFetch(gate=asyncio.Event())
    embedder = embedder_of(inference, newer, fetch=fetch)
    outcomes = await run(
        embedder,
        [
            Item(photo=b"1", version="0" * 16),
            Item(photo=b"2"),
            Item(uri="https://a", version="0" * 16),
            Item(photo=b"", version="0" * 16),
        ],
    )
    assert reasons(outcomes) == [
        "SPACE_VERSION_UNAVAILABLE",
        "",
        "SPACE_VERSION_UNAVAILABLE",
        "IMAGE_UNDECODABLE",
    ]
    (lost, *_) = outcomes
    assert isinstance(lost, SpaceVersionUnavailable)
    assert lost.code == "FAILED_PRECONDITION"
    assert lost.metadata == {"space": "visual", "served_versions": f"{OLD},{NEW}"}


async def test_vectors_of_another_version_than_was_asked_for_never_leave(
    inference: FakeInference,
) -> None:
    embedder = embedder_of(inference)
    assert reasons(await run(embedder, [Item(photo=b"1", version=OLD)])) == [""]
    inference.change(hashes={"1": "a" * 64, "2": "c" * 64})
    inference.version = "2"
    outcomes = await run(embedder, [Item(photo=b"1", version=OLD), Item(photo=b"1")])
    assert reasons(outcomes) == ["SPACE_VERSION_UNAVAILABLE", ""]
    (lost, embedded) = outcomes
    assert isinstance(lost, SpaceVersionUnavailable)
    assert isinstance(embedded, Embedding)
    assert lost.metadata["served_versions"] == embedded.version


@pytest.mark.slow
async def test_a_model_that_hangs_costs_only_its_own_version(
    inference: FakeInference, newer: FakeInference
) -> None:
    embedder = embedder_of(inference, newer, places=2)
    assert reasons(await run(embedder, [Item(photo=b"1", version=NEW)])) == [""]
    newer.gate = asyncio.Event()
    items = [Item(photo=bytes([i]), version=NEW) for i in range(1, 41)] + shades(20)
    outcomes = await run(embedder, items, seconds=3)
    assert reasons(outcomes) == ["DEADLINE_EXCEEDED"] * 40 + [""] * 20


async def test_a_model_that_is_down_costs_only_its_own_version_also_when_it_is_the_default(
    inference: FakeInference, newer: FakeInference
) -> None:
    inference.silence = EmbedderUnavailable("down")
    outcomes = await run(
        embedder_of(inference, newer), [Item(photo=b"1"), Item(photo=b"1", version=NEW)]
    )
    assert reasons(outcomes) == ["EMBEDDER_UNAVAILABLE", ""]


async def test_a_photo_is_decoded_once_for_models_that_see_it_alike(
    inference: FakeInference,
) -> None:
    alike = FakeInference(replace(DESCRIPTION, model="int8", precision="int8"))
    intake = FakeIntake()
    embedder = embedder_of(inference, alike, intake=intake)
    versions = [OLD, version_of(alike.description, "1")]
    items = [Item(photo=photo, version=v) for v in versions for photo in (b"1", b"cut")]
    outcomes = await run(embedder, items)
    assert reasons(outcomes) == ["", "IMAGE_UNDECODABLE", "", "IMAGE_UNDECODABLE"]
    assert sorted(intake.decoded) == [(b"1", 8), (b"cut", 8)]


async def test_the_vectors_of_each_model_are_counted(
    inference: FakeInference, newer: FakeInference
) -> None:
    def counted() -> list[float]:
        return [EMBEDDED.labels("visual", m.model)._value.get() for m in (inference, newer)]

    before = counted()
    inference.error = ModelFailed("broke")
    await run(embedder_of(inference, newer), [*shades(3), Item(photo=b"1", version=NEW)])
    assert [after - b for after, b in zip(counted(), before, strict=True)] == [0, 1]
