"""Reading of labels, on fake models."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from embedder.adapters.line_images import OpenCvLines
from embedder.domain.errors import ModelAbsent, ModelFailed, ModelNotReady, PhotoUndecodable
from embedder.domain.items import Priority
from embedder.domain.labels import LINE_HEIGHT, Label, LabelLine
from embedder.domain.photos import Camera
from embedder.domain.recipes import LineRecipe, PhotoRecipe, PreprocessStep, TextRecipe
from embedder.embedding import read_labels
from embedder.embedding.photo_intake import PhotoIntake
from embedder.embedding.read_labels import DETECTOR, READER, LabelReader
from embedder.preprocessing import work
from embedder.serving.priority import ModelQueues
from servicekit.telemetry import Stages
from sightline_rules.photos import PhotoLimits
from tests.fakes.decoding import FakeDecoders
from tests.fakes.photos import encoded, picture
from tests.fakes.triton import DESCRIPTION, FakeInference, FakeModels

SIDE = 96
SQUARE = PhotoRecipe(SIDE, 1.0, "", (PreprocessStep.CROP_PAD,))
PHOTO = encoded(picture(64, 64))


@pytest.fixture
def detector() -> FakeInference:
    """Return a detector that finds one line."""
    chances = np.zeros((SIDE, SIDE), np.float32)
    chances[40:50, 20:70] = 0.9
    described = replace(DESCRIPTION, model=DETECTOR, recipe=SQUARE, dimension=SIDE * SIDE)
    return FakeInference(described, answer=chances.reshape(1, -1))


@pytest.fixture
def reader() -> FakeInference:
    """Return a reader of "ab"."""
    read = np.array([[(97, 0.75), (0, 1), (98, 1.0)]], np.float32)
    described = replace(DESCRIPTION, model=READER, recipe=LineRecipe(LINE_HEIGHT, ""), dimension=2)
    return FakeInference(described, answer=read)


def labelled(
    detector: FakeInference, reader: FakeInference, models: FakeModels | None = None
) -> LabelReader:
    intake = PhotoIntake(FakeDecoders(work.__name__), dict.fromkeys(Camera, PhotoLimits()))
    return LabelReader(
        intake,
        ModelQueues(99),
        detector=detector,
        reader=reader,
        models=models or FakeModels(detector),
        images=OpenCvLines(),
    )


async def labelled_as(labels: LabelReader, photo: bytes = PHOTO) -> Label:
    return await labels.read(photo, Camera.SHOPPER, "default", Priority.BULK, Stages("test"))


async def read(labels: LabelReader, photo: bytes = PHOTO) -> Sequence[LabelLine]:
    return (await labelled_as(labels, photo)).lines


async def test_a_line_has_its_text_confidence_and_place(
    detector: FakeInference, reader: FakeInference
) -> None:
    (line,) = await read(labelled(detector, reader))
    assert (line.text, line.confidence) == ("ab", 0.875)
    top_left, _, bottom_right, _ = line.corners
    assert top_left.x < 20 / SIDE < 70 / SIDE < bottom_right.x
    assert top_left.y < 40 / SIDE < 50 / SIDE < bottom_right.y
    (given,) = reader.given
    assert given["image"].shape[1::2] == (LINE_HEIGHT, 3)


async def test_only_the_photo_s_part_of_the_square_is_searched(
    detector: FakeInference, reader: FakeInference
) -> None:
    chances = np.zeros((64, SIDE), np.float32)
    chances[30:38, 20:70] = 0.9
    detector.answer = chances.reshape(1, -1)
    (line,) = await read(labelled(detector, reader), encoded(picture(90, 60)))
    (given,) = detector.given
    assert given["image"].shape == (1, 64, SIDE, 3)
    top_left, _, bottom_right, _ = line.corners
    middle = (top_left.y + bottom_right.y) / 2
    assert middle == pytest.approx(34 / 64, abs=0.03)


@pytest.mark.parametrize("doubtful", [(97, 0.5), (0, 1.0)], ids=["unsure", "without text"])
async def test_a_doubtful_line_is_left_out_and_counted(
    detector: FakeInference, reader: FakeInference, doubtful: tuple[int, float]
) -> None:
    assert (await labelled_as(labelled(detector, reader))).unsure == 0
    reader.answer = np.array([[doubtful]], np.float32)
    label = await labelled_as(labelled(detector, reader))
    assert (label.lines, label.unsure) == ([], 1)


async def test_a_photo_without_text_is_not_sent_to_the_reader(
    detector: FakeInference, reader: FakeInference
) -> None:
    detector.answer = np.zeros((1, SIDE * SIDE), np.float32)
    label = await labelled_as(labelled(detector, reader))
    assert (label.lines, label.unsure) == ([], 0)
    assert not reader.given


async def test_both_models_are_loaded_with_the_first_photo(
    detector: FakeInference, reader: FakeInference
) -> None:
    detector.error = ModelAbsent()
    models = FakeModels(detector)
    labels = labelled(detector, reader, models)
    for _ in range(3):
        assert len(await read(labels)) == 1
    assert models.loads == [DETECTOR, READER]
    assert models.uses == [DETECTOR, READER] * 3


async def test_what_is_no_photo_needs_no_model(
    detector: FakeInference, reader: FakeInference
) -> None:
    with pytest.raises(PhotoUndecodable):
        await read(labelled(detector, reader), b"text")
    assert not detector.given


@pytest.mark.parametrize("wrong", [(1, 2, 3), (2, 3, 2), (1, 3)])
async def test_an_answer_of_another_shape_is_reported(
    detector: FakeInference, reader: FakeInference, wrong: tuple[int, ...]
) -> None:
    reader.answer = np.ones(wrong, np.float32)
    with pytest.raises(ModelFailed):
        await read(labelled(detector, reader))


async def test_a_model_that_finds_no_texts_is_reported(
    detector: FakeInference, reader: FakeInference
) -> None:
    detector.answer = np.full((1, SIDE * SIDE), np.nan, np.float32)
    with pytest.raises(ModelFailed):
        await read(labelled(detector, reader))
    detector.change(recipe=TextRecipe(9, "x"))
    with pytest.raises(ModelNotReady):
        await read(labelled(detector, reader))


async def test_without_opencv_the_reason_names_the_package(
    detector: FakeInference, reader: FakeInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_labels, "has_opencv", lambda: False)
    with pytest.raises(ModelNotReady, match="opencv"):
        await read(labelled(detector, reader))
