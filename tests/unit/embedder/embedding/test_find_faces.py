"""Search for faces, on a fake detector."""

from dataclasses import replace

import numpy as np
import pytest

from embedder.domain.errors import ModelAbsent, ModelFailed, ModelNotReady, PhotoUndecodable
from embedder.domain.faces import MAPS, Face
from embedder.domain.items import Priority, Vectors
from embedder.domain.photos import Box, Camera
from embedder.domain.recipes import TextRecipe
from embedder.embedding.find_faces import FaceFinder
from embedder.embedding.photo_intake import PhotoIntake
from embedder.preprocessing import work
from embedder.serving.priority import ModelQueues
from servicekit.telemetry import Stages
from sightline_rules.photos import PhotoLimits
from tests.fakes.decoding import FakeDecoders
from tests.fakes.photos import encoded, picture
from tests.fakes.triton import DESCRIPTION, FakeInference, FakeModels

SIDE = 16


def maps() -> Vectors:
    """Return the answer for a photo with one face in its middle."""
    made = np.zeros((MAPS, SIDE, SIDE), np.float32)
    made[:, 7, 7] = 0.75, np.log(4), np.log(4), 0.5, 0.5
    return made.reshape(1, -1)


@pytest.fixture
def detector() -> FakeInference:
    described = replace(DESCRIPTION, model="centerface", dimension=MAPS * SIDE * SIDE)
    return FakeInference(described, answer=maps())


def finder(detector: FakeInference, models: FakeModels | None = None) -> FaceFinder:
    intake = PhotoIntake(FakeDecoders(work.__name__), dict.fromkeys(Camera, PhotoLimits()))
    return FaceFinder(intake, ModelQueues(99), detector, models or FakeModels(detector))


async def find(finder: FaceFinder, photo: bytes) -> list[Face]:
    return await finder.find(photo, "default", Priority.INTERACTIVE, Stages("test"))


async def test_the_box_of_a_face_is_of_the_upright_photo(detector: FakeInference) -> None:
    wide = encoded(picture(64, 32))
    assert await find(finder(detector), wide) == [Face(Box(0.375, 0.25, 0.625, 0.75), 0.75)]


async def test_the_detector_is_loaded_with_the_first_photo_and_described_once(
    detector: FakeInference,
) -> None:
    detector.error = ModelAbsent()
    models = FakeModels(detector)
    finding = finder(detector, models)
    photo = encoded(picture(32, 32))
    for _ in range(3):
        assert len(await find(finding, photo)) == 1
    assert models.loads == ["centerface"]
    assert models.uses == ["centerface"] * 3
    assert detector.described == 2  # before and after it was loaded


async def test_what_is_no_photo_needs_no_detector(detector: FakeInference) -> None:
    with pytest.raises(PhotoUndecodable):
        await find(finder(detector), b"text")
    assert not detector.given


async def test_a_model_that_is_no_detector_is_reported(detector: FakeInference) -> None:
    photo = encoded(picture(32, 32))
    detector.answer = np.full((1, MAPS * SIDE * SIDE), np.nan, np.float32)
    with pytest.raises(ModelFailed):
        await find(finder(detector), photo)
    detector.change(recipe=TextRecipe(9, "x"))
    with pytest.raises(ModelNotReady):
        await find(finder(detector), photo)
