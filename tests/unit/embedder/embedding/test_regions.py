"""Embedding of the objects in a photo, on fake models."""

from dataclasses import astuple, replace

import numpy as np
import pytest
from PIL import Image

from embedder.domain.errors import BoxInvalid, ItemEmpty, ModelAbsent, ModelFailed, ModelNotReady
from embedder.domain.fitted import unit
from embedder.domain.items import Item, Priority, Vectors
from embedder.domain.models import Inferred, Tensors
from embedder.domain.objects import MAPS
from embedder.domain.photos import PART_VIEWS, Box, Camera, PartView
from embedder.domain.recipes import TextRecipe
from embedder.embedding.photo_intake import PhotoIntake
from embedder.embedding.regions import (
    MOST_GIVEN,
    EmbeddedRegions,
    ObjectFinder,
    RegionCall,
    RegionEmbedder,
)
from embedder.preprocessing import work
from embedder.serving.model_routes import AT_ONCE
from embedder.serving.priority import ModelQueues
from servicekit.telemetry import Stages
from sightline_rules.photos import PhotoLimits
from tests.fakes.decoding import FakeDecoders
from tests.fakes.embedding import embedder_of
from tests.fakes.photos import encoded, picture
from tests.fakes.triton import DESCRIPTION, FakeInference, FakeModels

SIDE = 16
PHOTO = encoded(picture(64, 64))
"""A photo whose objects look different."""


def maps(*places: tuple[int, int], reach: float = 2.0) -> Vectors:
    """Return the answer for a photo with objects at these rows and columns, two steps wide; they
    reach so many steps up and down."""
    made = np.zeros((MAPS, SIDE, SIDE), np.float32)
    made[[2, 4]] = np.log(reach)
    for order, (row, column) in enumerate(places):
        made[0, row, column] = 0.9 - order / 100
    return made.reshape(1, -1)


def repeated_label() -> Image.Image:
    """Return a photo with one label at the detector's first two objects, another at the third."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 256, (2, 8, 8, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    pixels = np.zeros((32 * SIDE, 32 * SIDE, 3), np.uint8)
    for (row, column), which in zip(((4, 4), (4, 10), (12, 12)), (0, 0, 1), strict=True):
        top, left = 32 * row - 16, 32 * column - 16
        pixels[top : top + 64, left : left + 64] = labels[which]
    return Image.fromarray(pixels)


@pytest.fixture
def detector() -> FakeInference:
    described = replace(DESCRIPTION, model="objects", dimension=MAPS * SIDE * SIDE)
    return FakeInference(described, answer=maps((4, 4), (4, 10), (12, 12)))


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()


def regions(
    detector: FakeInference,
    inference: FakeInference,
    models: FakeModels | None = None,
    views: tuple[PartView, ...] = PART_VIEWS,
) -> RegionEmbedder:
    intake = PhotoIntake(FakeDecoders(work.__name__), dict.fromkeys(Camera, PhotoLimits()))
    embedder = embedder_of(inference)
    embedder = replace(embedder, photos=replace(embedder.photos, intake=intake))
    finder = ObjectFinder(intake, ModelQueues(99), detector, models or FakeModels(detector))
    return RegionEmbedder(embedder, finder, views)


async def embedded(
    embedder: RegionEmbedder,
    item: Item | None = None,
    boxes: tuple[Box, ...] = (),
    most: int = 100,
) -> EmbeddedRegions:
    call = RegionCall("default", Priority.INTERACTIVE, Stages("test"))
    return await embedder.embed(item or Item(photo=PHOTO), boxes, most, call)


async def test_each_object_has_a_vector_of_its_own(
    detector: FakeInference, inference: FakeInference
) -> None:
    found = await embedded(regions(detector, inference))
    assert len(found.regions) == 3
    assert found.regions[0].box == Box(3.5 / SIDE, 2.5 / SIDE, 5.5 / SIDE, 6.5 / SIDE)
    assert found.vectors.shape == (3, DESCRIPTION.dimension)
    assert (
        sum(len(given["image"]) for given in inference.given) == found.views == 3 * len(PART_VIEWS)
    )
    assert found.version
    assert not found.truncated


async def test_found_objects_that_look_alike_share_two_views_and_given_ones_do_not(
    detector: FakeInference, inference: FakeInference
) -> None:
    photo = Item(photo=encoded(repeated_label()))
    found = await embedded(regions(detector, inference), photo)
    assert found.views == 2 * len(PART_VIEWS)
    assert sum(len(given["image"]) for given in inference.given) == found.views
    assert (found.vectors[0] == found.vectors[1]).all()
    assert (found.vectors[0] != found.vectors[2]).any()
    given = await embedded(regions(detector, inference), photo, tuple(r.box for r in found.regions))
    assert given.views == 3 * len(PART_VIEWS)


async def test_a_square_object_that_is_found_has_one_view_and_a_given_one_has_two(
    detector: FakeInference, inference: FakeInference
) -> None:
    detector.answer = maps((4, 4), (12, 12), reach=1.05)
    found = await embedded(regions(detector, inference))
    assert sum(len(given["image"]) for given in inference.given) == found.views == 2
    assert found.vectors.shape == (2, DESCRIPTION.dimension)
    given = await embedded(regions(detector, inference), boxes=tuple(r.box for r in found.regions))
    assert given.views == 2 * len(PART_VIEWS)


class Agreeing(FakeInference):
    """A model whose vectors differ a little."""

    async def infer(self, inputs: Tensors) -> Inferred:
        made = await super().infer(inputs)
        return replace(made, vectors=unit(np.eye(1, DESCRIPTION.dimension) + made.vectors / 9))


async def test_objects_in_a_row_whose_vectors_agree_have_one_vector(
    detector: FakeInference,
) -> None:
    found = await embedded(regions(detector, Agreeing()))
    assert found.views == 3 + 2  # a first view of each object, and a second of each product
    assert (found.vectors[0] == found.vectors[1]).all()
    assert (found.vectors[0] != found.vectors[2]).any()
    boxes = tuple(each.box for each in found.regions)
    given = await embedded(regions(detector, Agreeing()), boxes=boxes)
    assert (given.vectors[0] != given.vectors[1]).any()


@pytest.mark.parametrize("view", PartView)
async def test_with_one_view_objects_that_look_alike_share_it(
    detector: FakeInference, inference: FakeInference, view: PartView
) -> None:
    photo = Item(photo=encoded(repeated_label()))
    found = await embedded(regions(detector, inference, views=(view,)), photo)
    assert sum(len(given["image"]) for given in inference.given) == found.views == 2
    assert (found.vectors[0] == found.vectors[1]).all()
    assert (found.vectors[0] != found.vectors[2]).any()


async def test_objects_are_found_without_vectors(
    detector: FakeInference, inference: FakeInference
) -> None:
    call = RegionCall("default", Priority.BULK, Stages("test"), vectors=False)
    found = await regions(detector, inference).embed(Item(photo=PHOTO), (), 100, call)
    assert len(found.regions) == 3
    assert (found.views, found.vectors.shape) == (0, (0, DESCRIPTION.dimension))
    assert found.version
    assert not inference.given


async def test_the_best_are_embedded_and_the_rest_is_reported(
    detector: FakeInference, inference: FakeInference
) -> None:
    found = await embedded(regions(detector, inference), most=2)
    assert [round(each.score, 2) for each in found.regions] == [0.9, 0.89]
    assert found.truncated


async def test_a_photo_without_objects_has_a_version_and_no_vectors(
    detector: FakeInference, inference: FakeInference
) -> None:
    detector.answer = maps()
    found = await embedded(regions(detector, inference))
    assert found.vectors.shape == (0, DESCRIPTION.dimension)
    assert not inference.given


async def test_given_boxes_need_no_detector_and_are_embedded_in_their_order(
    detector: FakeInference, inference: FakeInference
) -> None:
    boxes = tuple(Box(0.01 * place, 0, 0.01 * place + 0.3, 1) for place in range(MOST_GIVEN))
    found = await embedded(regions(detector, inference), boxes=boxes)
    assert [each.box for each in found.regions] == list(boxes)
    assert len(found.vectors) == MOST_GIVEN
    assert not detector.given


async def test_many_regions_take_two_inferences_at_a_time(
    detector: FakeInference, inference: FakeInference
) -> None:
    boxes = (Box(0, 0, 0.3, 1),) * MOST_GIVEN
    await embedded(regions(detector, inference), boxes=boxes)
    assert len(inference.batches) > 2
    assert inference.most_running == AT_ONCE == 2


@pytest.mark.parametrize(
    "boxes", [(Box(0.5, 0, 0.4, 1),), (Box(0, 0, 1, 1),) * (MOST_GIVEN + 1), (Box(0, 0, 2, 1),)]
)
async def test_invalid_boxes_are_rejected_before_decoding(
    detector: FakeInference, inference: FakeInference, boxes: tuple[Box, ...]
) -> None:
    with pytest.raises(BoxInvalid):
        await embedded(regions(detector, inference), boxes=boxes)
    assert not inference.given


async def test_a_request_without_a_photo_is_rejected(
    detector: FakeInference, inference: FakeInference
) -> None:
    with pytest.raises(ItemEmpty):
        await embedded(regions(detector, inference), Item())


async def test_the_detector_is_loaded_with_the_first_photo(
    detector: FakeInference, inference: FakeInference
) -> None:
    detector.error = ModelAbsent()
    models = FakeModels(detector)
    embedder = regions(detector, inference, models)
    for _ in range(2):
        assert len((await embedded(embedder)).regions) == 3
    assert models.loads == ["objects"]


async def test_a_model_that_finds_no_objects_is_reported(
    detector: FakeInference, inference: FakeInference
) -> None:
    embedder = regions(detector, inference)
    detector.answer = np.full((1, MAPS * SIDE * SIDE), np.nan, np.float32)
    with pytest.raises(ModelFailed):
        await embedded(embedder)
    detector.change(recipe=TextRecipe(9, "x"))
    with pytest.raises(ModelNotReady):
        await embedded(regions(detector, inference))


async def test_a_detector_of_another_maker_returns_boxes(inference: FakeInference) -> None:
    rows = np.zeros((1, 3, 5), np.float32)
    rows[0, 0] = (0.1, 0.1, 0.5, 0.6, 0.9)
    described = replace(DESCRIPTION, model="theirs", dimension=15, boxes=True)
    theirs = FakeInference(described, answer=rows.reshape(1, -1))
    call = RegionCall("default", Priority.INTERACTIVE, Stages())
    found = await regions(theirs, inference).embed(Item(photo=PHOTO), (), 9, call)
    assert [each.score for each in found.regions] == pytest.approx([0.9])
    assert astuple(found.regions[0].box) == pytest.approx((0.1, 0.1, 0.5, 0.6), abs=1e-6)
