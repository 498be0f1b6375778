"""Texts into the space of texts, and through a map into a fitted visual space."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from embedder.domain.errors import EmbedderUnavailable, ModelNotReady
from embedder.domain.items import Embedding, Item, ItemOutcome, Priority
from embedder.domain.models import version_of
from embedder.domain.recipes import PairRecipe, Sentences, TextRecipe
from embedder.embedding.query_weights import weighted
from servicekit.telemetry import Stages
from tests.fakes.embedding import NEW, FakeRepository, embedder_of, fitted, fitted_of
from tests.fakes.triton import DESCRIPTION, FakeEncoder, FakeInference, vectors_of

READER = replace(
    DESCRIPTION,
    model="reader",
    space="text",
    dimension=6,
    recipe=TextRecipe(256, "c" * 64),
    hashes={"1": "d" * 64},
    max_batch=3,
)
VERSION = version_of(READER, "1")


async def run(items: Sequence[Item], catalog: str = "wine", **parts: Any) -> list[ItemOutcome]:
    embedder = embedder_of(FakeInference(), **parts)
    return await embedder.embed(items, catalog, Priority.INTERACTIVE, Stages("test"), None)


def reasons(outcomes: Sequence[ItemOutcome]) -> list[str]:
    return [getattr(outcome, "reason", "") for outcome in outcomes]


async def test_each_text_gets_the_vector_of_its_tokens_in_batches_that_the_model_takes() -> None:
    reader = FakeInference(READER)
    texts = [f"wine {number}" for number in range(7)]
    outcomes = await run([Item(text=text) for text in texts], texts=(reader,))
    for text, outcome in zip(texts, outcomes, strict=True):
        assert isinstance(outcome, Embedding)
        tokens = await FakeEncoder().encode("", TextRecipe(256, ""), [text])
        assert (outcome.values == vectors_of(tokens, 6)[0]).all()
        assert (outcome.space, outcome.version) == ("text", VERSION)
    assert sorted(reader.batches) == [1, 3, 3]


async def test_texts_of_like_length_go_together_and_long_ones_in_smaller_batches() -> None:
    reader = FakeInference(replace(READER, max_batch=16))
    lengths = [4, 30, 4, 120, 30, 4, 120, 60]
    texts = [chr(97 + place) * length for place, length in enumerate(lengths)]
    outcomes = await run([Item(text=text) for text in texts], texts=(reader,))
    shapes = sorted(given["input_ids"].shape for given in reader.given)
    # 4 texts and 4 × 32 tokens at most; a letter is a token.
    assert shapes == [(1, 120), (1, 120), (2, 60), (4, 30)]
    for text, outcome in zip(texts, outcomes, strict=True):
        assert isinstance(outcome, Embedding)
        tokens = await FakeEncoder().encode("", TextRecipe(256, ""), [text])
        assert (outcome.values == vectors_of(tokens, 6)[0]).all()


async def test_only_queries_are_weighted_by_their_language() -> None:
    half = TextRecipe(256, "c" * 64)
    pair = replace(READER, recipe=PairRecipe(half, half, (3, 3)), max_batch=16)
    reader = FakeInference(pair)
    items = [Item(text="red", query_language=code) for code in (None, "", "de")]
    product, english, german = await run(items, texts=(reader,))
    assert isinstance(product, Embedding)
    assert isinstance(english, Embedding)
    assert isinstance(german, Embedding)
    tokens = await FakeEncoder().encode("", half, ["red"])
    whole = vectors_of(tokens, 6)[0]
    assert (product.values == whole).all()
    for found, language in ((english, ""), (german, "de")):
        assert (found.values == weighted(whole, (3, 3), "red", language)).all()


@pytest.mark.parametrize(("priority", "at_once"), [(Priority.INTERACTIVE, 1), (Priority.BULK, 2)])
async def test_long_texts_of_a_request_leave_places_to_others(
    priority: Priority, at_once: int
) -> None:
    reader = FakeInference(replace(READER, max_batch=16))
    embedder = embedder_of(FakeInference(), texts=(reader,), places=3)
    items = [Item(text=chr(97 + place) * 120) for place in range(6)]
    await embedder.embed(items, "wine", priority, Stages("test"), None)
    assert sum(reader.batches) == 6
    assert reader.most_running == at_once


async def test_a_bad_text_and_a_photo_beside_it_fail_none_of_the_others() -> None:
    items = [
        Item(text=""),
        Item(text="x" * 4097),
        Item(text="red", space="x-ray"),
        Item(text="red", version="0" * 16),
        Item(text="red", version=VERSION),
        Item(photo=b"1"),
        Item(photo=b"1", space="text"),
    ]
    outcomes = await run(items, texts=(FakeInference(READER),))
    assert reasons(outcomes) == [
        *["TEXT_INVALID"] * 2,
        "SPACE_UNAVAILABLE",
        "SPACE_VERSION_UNAVAILABLE",
        "",
        "",
        "SPACE_UNAVAILABLE",
    ]


async def test_without_a_model_for_texts_the_reason_says_so() -> None:
    assert reasons(await run([Item(text="red"), Item(photo=b"1")])) == ["SPACE_UNAVAILABLE", ""]


async def test_a_tokenizer_that_is_missing_costs_the_texts_alone() -> None:
    encoder = FakeEncoder()
    encoder.failure = ModelNotReady("no tokenizer")
    items = [Item(text="red"), Item(photo=b"1")]
    outcomes = await run(items, texts=(FakeInference(READER),), encoder=encoder)
    assert reasons(outcomes) == ["MODEL_NOT_READY", ""]


@pytest.fixture
def repository() -> FakeRepository:
    models = [fitted(NEW), fitted(NEW + "_text", recipe=Sentences(6))]
    return FakeRepository({model.model: model for model in models})


async def test_a_text_comes_into_a_fitted_visual_space_under_that_space_s_version(
    repository: FakeRepository,
) -> None:
    reader = FakeInference(READER)
    version = version_of(repository.models[NEW].description, "1")
    items = [
        Item(text="red", space="visual", version=version),
        Item(photo=b"1", version=version),
        Item(text="red"),
    ]
    outcomes = await run(items, texts=(reader,), fitted=fitted_of(repository))
    mapped, photo, text = outcomes
    assert isinstance(mapped, Embedding)
    assert isinstance(photo, Embedding)
    assert isinstance(text, Embedding)
    assert (mapped.space, mapped.version, len(mapped.values)) == ("visual", version, 12)
    assert (photo.version, text.version) == (version, VERSION)
    (given,) = repository.models[NEW + "_text"].given
    assert (given["sentence"] == text.values).all()


async def test_a_visual_version_without_a_map_takes_no_texts(repository: FakeRepository) -> None:
    version = version_of(repository.models[NEW].description, "1")
    del repository.models[NEW + "_text"]
    items = [Item(text="red", space="visual", version=each) for each in (version, "")]
    outcomes = await run(items, texts=(FakeInference(READER),), fitted=fitted_of(repository))
    assert reasons(outcomes) == ["SPACE_UNAVAILABLE"] * 2


async def test_a_map_made_for_another_text_model_is_never_given_this_one_s_vectors(
    repository: FakeRepository,
) -> None:
    version = version_of(repository.models[NEW].description, "1")
    repository.models[NEW + "_text"].change(recipe=Sentences(6, "0" * 16))
    items = [Item(text="red", space="visual", version=version)]
    outcomes = await run(items, texts=(FakeInference(READER),), fitted=fitted_of(repository))
    assert reasons(outcomes) == ["SPACE_VERSION_UNAVAILABLE"]


async def test_texts_wait_for_no_photo_s_model(repository: FakeRepository) -> None:
    photos = FakeInference()
    photos.silence = EmbedderUnavailable("down")
    embedder = embedder_of(photos, texts=(FakeInference(READER),))
    items = [Item(text="red"), Item(photo=b"1")]
    outcomes = await embedder.embed(items, "wine", Priority.BULK, Stages("test"), None)
    assert reasons(outcomes) == ["", "EMBEDDER_UNAVAILABLE"]
