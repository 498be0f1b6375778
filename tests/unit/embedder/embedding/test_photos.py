"""Boxes, views, cameras and categories of photos, with a model in this process."""

import asyncio
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from embedder.domain.errors import BoxInvalid, ModelFailed
from embedder.domain.items import Embedding, Item, ItemOutcome, Priority
from embedder.domain.photos import Box, Camera, PhotoView
from embedder.embedding.photos import averaged, check_box
from embedder.ports import MatchCosines
from servicekit.telemetry import Stages
from tests.fakes.embedding import FakeIntake, embedder_of
from tests.fakes.triton import DESCRIPTION, FakeInference, FakeNames, vectors

FITTED = replace(
    DESCRIPTION, cameras=True, categories=2, max_batch=4, shopper_views=1, catalog_views=4
)
APPLE, MILK = ("Fruit", "Apple"), ("Dairy", "Milk")


async def run(inference: FakeInference, *items: Item, **parts: Any) -> list[ItemOutcome]:
    embedder = embedder_of(inference, **parts)
    return await embedder.embed(items, "default", Priority.INTERACTIVE, Stages("test"), None)


def reason(outcome: ItemOutcome) -> str:
    return getattr(outcome, "reason", "")


async def test_the_views_of_a_photo_are_averaged_to_unit_length() -> None:
    inference = FakeInference()
    one, four = await run(inference, Item(photo=b"1", views=1), Item(photo=b"1", views=4))
    assert isinstance(one, Embedding)
    assert isinstance(four, Embedding)
    rows = (
        await FakeIntake().see(b"1", FITTED.recipe, PhotoView(4), Stages("test"), "default")
    ).pixels
    mean = vectors(rows, 12).mean(axis=0)
    assert np.allclose(four.values, mean / np.linalg.norm(mean), atol=1e-6)
    assert np.allclose(one.values, vectors(rows[:1], 12)[0])
    assert not np.allclose(one.values, four.values)


async def test_a_photo_is_looked_at_as_often_as_the_model_says_for_its_camera() -> None:
    inference = FakeInference(FITTED)
    await run(inference, Item(photo=b"1"), Item(photo=b"2", camera=Camera.CATALOGUE))
    assert sorted(inference.batches) == [1, 4]
    kinds = [given["kind"].ravel().tolist() for given in inference.given]
    assert sorted(kinds, key=len) == [[0], [1, 1, 1, 1]]
    assert {given["kind"].dtype for given in inference.given} == {np.dtype(np.float32)}


async def test_photos_of_both_cameras_in_one_batch_keep_their_own() -> None:
    inference = FakeInference(FITTED)
    both = [Item(photo=b"1", camera=camera, views=1) for camera in Camera]
    found = await run(inference, *both * 4, places=2)
    assert any(set(given["kind"].ravel()) == {0, 1} for given in inference.given)
    for shopper, catalog in zip(found[::2], found[1::2], strict=True):
        assert isinstance(shopper, Embedding)
        assert isinstance(catalog, Embedding)
        assert np.allclose(shopper.values, catalog.values[::-1])


async def test_a_model_that_knows_no_cameras_is_given_none() -> None:
    inference = FakeInference()
    await run(inference, Item(photo=b"1", camera=Camera.CATALOGUE))
    assert list(inference.given[0]) == ["image"]


@pytest.mark.parametrize("most", [1, 3])
async def test_more_views_than_a_model_takes_at_once_are_run_apart(most: int) -> None:
    inference = FakeInference(replace(DESCRIPTION, max_batch=most))
    (four,) = await run(inference, Item(photo=b"1", views=4))
    (whole,) = await run(FakeInference(), Item(photo=b"1", views=4))
    assert isinstance(four, Embedding)
    assert isinstance(whole, Embedding)
    assert np.allclose(four.values, whole.values)
    assert max(inference.batches) <= most


@pytest.mark.parametrize("views", [-1, 5, 2**31 - 1])
async def test_views_that_there_are_not_are_refused(views: int) -> None:
    inference = FakeInference()
    bad, good = await run(inference, Item(photo=b"1", views=views), Item(photo=b"2"))
    assert (reason(bad), reason(good)) == ("VIEWS_INVALID", "")


NAN, INFINITE = math.nan, math.inf


@pytest.mark.parametrize(
    "box",
    [
        Box(0.5, 0, 0.5, 1),
        Box(0.6, 0, 0.5, 1),
        Box(0, 0.9, 1, 0.1),
        Box(-0.1, 0, 1, 1),
        Box(0, 0, 1.0001, 1),
        Box(NAN, 0, 1, 1),
        Box(0, 0, 1, NAN),
        Box(0, -INFINITE, 1, INFINITE),
        Box(0.5, 0.5, 0.509, 1),
        Box(0, 0, 1e-30, 1e-30),
        Box(0, 0, 0, 0),
    ],
)
def test_what_is_no_rectangle_in_a_photo_or_a_tiny_one_is_refused(box: Box) -> None:
    with pytest.raises(BoxInvalid):
        check_box(box)


def test_a_hundredth_of_each_side_is_large_enough() -> None:
    check_box(Box(0, 0, 0.01, 0.01))
    check_box(Box(0, 0, 1, 1))


async def test_a_bad_box_costs_its_own_item_only() -> None:
    inference = FakeInference()
    items = [
        Item(photo=b"1", box=Box(1, 1, 0, 0)),
        Item(text="red", space="visual", box=Box(0, 0, 1, 1)),
        Item(uri="https://a", box=Box(NAN, 0, 1, 1)),
        Item(photo=b"1", box=Box(0, 0, 0.5, 0.5)),
    ]
    assert [reason(each) for each in await run(inference, *items)] == ["BOX_INVALID"] * 3 + [""]


async def test_a_category_comes_from_the_mean_of_the_views_where_it_is_asked_for() -> None:
    inference = FakeInference(FITTED)
    inference.chances = np.array(
        [[0.9, 0.1, 0], [0.5, 0.1, 0.4], [0.9, 0.1, 0], [0.5, 0.1, 0.4]], np.float32
    )
    asked, other = await run(
        inference,
        Item(photo=b"1", views=4, guesses=1),
        Item(photo=b"2", views=4),
        names=FakeNames([APPLE, MILK]),
    )
    assert isinstance(asked, Embedding)
    assert isinstance(other, Embedding)
    assert other.classification is None
    reported = asked.classification
    assert reported is not None
    assert [guess.path for guess in reported.guesses] == [APPLE]
    assert reported.guesses[0].probability == pytest.approx(0.7)
    assert reported.unknown_probability == pytest.approx(0.2)
    assert reported.version == asked.version


@pytest.mark.parametrize("names", [FakeNames(), FakeNames([APPLE])], ids=["none", "too few"])
async def test_without_names_of_the_categories_a_photo_still_gets_its_vector(
    names: FakeNames,
) -> None:
    (found,) = await run(FakeInference(FITTED), Item(photo=b"1", guesses=5), names=names)
    assert isinstance(found, Embedding)
    assert found.classification is None


async def test_a_shoppers_photo_has_the_cosines_of_its_category_and_of_as_many_views() -> None:
    inference = FakeInference(FITTED)
    inference.chances = np.array([[0.2, 0.3, 0.5]] * 4, np.float32)
    by_views = [[[views + 0.1], [views + 0.2]] for views in range(4)]
    items = [
        Item(photo=b"1"),
        Item(photo=b"2", views=4),
        Item(photo=b"3", camera=Camera.CATALOGUE),
    ]
    found = await run(inference, *items, names=FakeNames(cosines=by_views))
    assert [each.match_cosines for each in found if isinstance(each, Embedding)] == [
        [0.2],
        [3.2],
        (),
    ]


@pytest.mark.parametrize("cosines", [(), [[[0.1]]]], ids=["none", "of other categories"])
async def test_a_space_that_measured_no_cosines_returns_none(cosines: MatchCosines) -> None:
    names = FakeNames(cosines=cosines)
    (found,) = await run(FakeInference(FITTED), Item(photo=b"1"), names=names)
    assert isinstance(found, Embedding)
    assert found.match_cosines == ()


def test_views_that_cancel_each_other_out_give_no_vector() -> None:
    up = np.eye(1, 4, dtype=np.float32)
    with pytest.raises(ModelFailed):
        averaged(np.concatenate([up, -up]))


async def test_a_shopper_s_photo_begins_while_bulk_work_has_begun_all_it_may() -> None:
    inference, intake = FakeInference(gate=asyncio.Event()), FakeIntake()
    embedder = embedder_of(inference, intake=intake, ahead=8)
    stages = Stages("test")
    bulk = [Item(photo=bytes([shade])) for shade in range(1, 20)]
    imports = asyncio.create_task(embedder.embed(bulk, "default", Priority.BULK, stages, None))
    await inference.started.wait()
    shopper = [Item(photo=b"s")]
    asked = embedder.embed(shopper, "default", Priority.INTERACTIVE, stages, None)
    shown = asyncio.create_task(asked)
    for _ in range(50):
        await asyncio.sleep(0)
    assert [photo for photo, _ in intake.decoded].index(b"s") == len(intake.decoded) - 1 == 6
    assert inference.gate is not None
    inference.gate.set()
    assert all(isinstance(outcome, Embedding) for outcome in [*await shown, *await imports])


async def test_photos_are_decoded_only_a_little_sooner_than_the_model_takes_them() -> None:
    inference, intake = FakeInference(gate=asyncio.Event()), FakeIntake()
    photos = [Item(photo=bytes([shade])) for shade in range(1, 10)]
    asked = asyncio.create_task(run(inference, *photos, intake=intake, ahead=3))
    await inference.started.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(intake.decoded) == 3
    assert inference.gate is not None
    inference.gate.set()
    assert all(isinstance(outcome, Embedding) for outcome in await asked)
    assert len(intake.decoded) == len(photos)
