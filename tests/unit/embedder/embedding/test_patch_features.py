"""Features of patches, on a fake model."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from embedder.domain import errors
from embedder.domain.items import Priority
from embedder.domain.models import Inferred, Tensors
from embedder.domain.patches import BLOCKS
from embedder.domain.photos import Camera, Pixels
from embedder.domain.recipes import TextRecipe
from embedder.embedding.patch_features import MOST_PREPARED, PatchFeatures
from embedder.embedding.photo_intake import PhotoIntake
from embedder.preprocessing import work
from embedder.serving.priority import ModelQueues
from servicekit.rpc.requests import RequestInvalid
from servicekit.telemetry import Stages
from sightline_rules.photos import PhotoLimits
from tests.fakes.decoding import FakeDecoders
from tests.fakes.pieces import piece
from tests.fakes.triton import DESCRIPTION, RECIPE, FakeInference, FakeModels

SIDE = 64


class FakeMaps(FakeInference):
    """A model whose maps are the photo's colours in two sizes."""

    lacks = ""
    """A map that is missing."""

    async def infer(self, inputs: Tensors) -> Inferred:
        found = await super().infer(inputs)
        colours = inputs["image"].astype(np.float32).transpose(0, 3, 1, 2) / 255
        maps = {
            block: colours[:, :, :: 4 * step, :: 4 * step]
            for block, step in zip((*BLOCKS, "head"), (1, 2, 2), strict=True)
        }
        return replace(found, maps={k: v for k, v in maps.items() if k != self.lacks})


@pytest.fixture
def model() -> FakeMaps:
    return FakeMaps(replace(DESCRIPTION, model="maps", recipe=replace(RECIPE, side=SIDE)))


@pytest.fixture
def models(model: FakeMaps) -> FakeModels:
    return FakeModels(model)


@pytest.fixture
def features(model: FakeMaps, models: FakeModels) -> PatchFeatures:
    intake = PhotoIntake(FakeDecoders(work.__name__), dict.fromkeys(Camera, PhotoLimits()))
    return PatchFeatures(intake, ModelQueues(999), model, models)


def black(count: int) -> Pixels:
    return np.zeros((count, SIDE, SIDE, 3), np.uint8)


async def compute(features: PatchFeatures, photos: Pixels) -> Any:
    return await features.compute(photos, "default", Priority.BULK, Stages())


async def test_the_model_is_loaded_and_described_once(
    features: PatchFeatures, models: FakeModels, model: FakeMaps
) -> None:
    for _ in range(3):
        seen = await features.see(
            piece(0), Camera.SHOPPER, "default", Priority.INTERACTIVE, Stages()
        )
        found = await compute(features, seen.pixels)
    assert (models.loads, model.described) == (["maps"], 1)
    assert found.patches.shape == (1, SIDE // 4, SIDE // 4, 6)
    assert np.linalg.norm(found.heads) == pytest.approx(1)


async def test_a_model_that_was_unloaded_is_loaded_again(
    features: PatchFeatures, models: FakeModels, model: FakeMaps
) -> None:
    await compute(features, black(1))
    model.error = errors.ModelAbsent()
    await compute(features, black(3))
    assert models.loads == ["maps", "maps"]
    assert model.batches[-2:] == [2, 1]


async def test_a_model_without_these_maps_is_reported(
    features: PatchFeatures, model: FakeMaps
) -> None:
    model.lacks = BLOCKS[1]
    with pytest.raises(errors.ModelFailed):
        await compute(features, black(1))


async def test_a_model_of_texts_is_reported(features: PatchFeatures, model: FakeMaps) -> None:
    model.change(recipe=TextRecipe(9, "x"))
    with pytest.raises(errors.ModelNotReady):
        await features.see(piece(0), Camera.SHOPPER, "default", Priority.BULK, Stages())


async def test_photos_that_were_prepared_are_read_as_they_were(features: PatchFeatures) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    assert np.array_equal(await features.prepared(photos.tobytes(), Priority.BULK), photos)


@pytest.mark.parametrize("size", [0, 1, SIDE * SIDE * 3 - 1, (MOST_PREPARED + 1) * SIDE**2 * 3])
async def test_bytes_that_are_no_such_photos_are_rejected(
    features: PatchFeatures, size: int
) -> None:
    with pytest.raises(RequestInvalid, match="64 by 64"):
        await features.prepared(bytes(size), Priority.BULK)
