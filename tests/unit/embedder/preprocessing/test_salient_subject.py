"""The search for the subject of a photo."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from embedder.adapters import opencv
from embedder.domain.photos import MAX_ALTERNATIVES, WHOLE, Box
from embedder.preprocessing import salient_subject
from tests.fakes.photos import picture

TOLERANCE = 0.06
"""A pixel of the thumbnail, and the air around a subject."""


def scene(
    *boxes: tuple[float, float, float, float], size: tuple[int, int] = (640, 480)
) -> Image.Image:
    """Return red objects on a light background that darkens downwards, with a phone's noise."""
    width, height = size
    shade = np.linspace(235, 205, height)[:, None, None] * np.ones((1, width, 3))
    image = Image.fromarray(shade.astype(np.uint8))
    for left, top, right, bottom in boxes:
        corners = (left * width, top * height, right * width - 1, bottom * height - 1)
        ImageDraw.Draw(image).rectangle(corners, fill=(190, 30, 40))
    noise = np.random.default_rng(0).normal(0, 4, (height, width, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def corners(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom


@pytest.mark.parametrize(
    "there",
    [
        (0.3, 0.2, 0.7, 0.8),
        (0.05, 0.1, 0.3, 0.5),
        (0.4, 0.55, 0.6, 1.0),
        (0.45, 0.45, 0.6, 0.6),
        (0.02, 0.02, 0.98, 0.98),
    ],
    ids=["in the middle", "in a corner", "cut off below", "small", "filling the photo"],
)
def test_a_product_on_a_plain_ground_has_a_tight_box(
    there: tuple[float, float, float, float],
) -> None:
    found = salient_subject.find(scene(there))
    assert corners(found.box) == pytest.approx(there, abs=TOLERANCE)
    assert found.alternatives == ()


def test_a_product_as_white_as_its_ground_in_places_is_found_as_one() -> None:
    image = Image.new("RGB", (400, 400), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((100, 40, 300, 100), fill="navy")
    draw.rectangle((100, 280, 300, 360), fill="green")
    found = salient_subject.find(image)
    assert corners(found.box) == pytest.approx((0.25, 0.1, 0.75, 0.9), abs=TOLERANCE)


def test_a_product_in_front_of_a_mixed_ground_is_found_too() -> None:
    tiles = np.random.default_rng(1).integers(90, 170, (12, 16, 3), np.uint8)
    image = Image.fromarray(tiles).resize((640, 480), Image.Resampling.NEAREST)
    ImageDraw.Draw(image).rectangle((200, 100, 440, 400), fill=(250, 240, 20))
    found = salient_subject.find(image)
    assert corners(found.box) == pytest.approx((0.31, 0.21, 0.69, 0.83), abs=TOLERANCE)


def test_two_products_apart_are_each_an_alternative_to_both_together() -> None:
    left, right = (0.1, 0.2, 0.4, 0.8), (0.6, 0.2, 0.9, 0.8)
    found = salient_subject.find(scene(left, right))
    assert corners(found.box) == pytest.approx((0.1, 0.2, 0.9, 0.8), abs=TOLERANCE)
    assert [corners(box) for box in found.alternatives] == [
        pytest.approx(left, abs=TOLERANCE),
        pytest.approx(right, abs=TOLERANCE),
    ]


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGB", (300, 200), "white"),
        Image.new("RGB", (300, 200), "black"),
        Image.new("RGB", (1, 1), "red"),
        Image.new("RGB", (1, 5000), "red"),
        scene(),
        Image.linear_gradient("L").convert("RGB"),
    ],
    ids=["white", "black", "a pixel", "a line", "an empty ground", "a gradient"],
)
def test_where_nothing_stands_out_the_whole_photo_is_the_subject(image: Image.Image) -> None:
    found = salient_subject.find(image)
    assert found.box == WHOLE
    assert found.alternatives == ()


@pytest.mark.first(2)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [(1, 300), (7, 5), (64, 64), (900, 30)])
def test_boxes_of_any_photo_lie_within_it_are_few_and_come_again(
    seed: int, size: tuple[int, int]
) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    for image in (Image.fromarray(noise), picture(*size)):
        found = salient_subject.find(image)
        assert found == salient_subject.find(image)
        assert len(found.alternatives) <= MAX_ALTERNATIVES
        for box in (found.box, *found.alternatives):
            assert 0 <= box.left < box.right <= 1
            assert 0 <= box.top < box.bottom <= 1


@pytest.mark.full
@pytest.mark.slow
def test_the_size_of_a_photo_hardly_moves_the_box() -> None:
    there = (0.3, 0.2, 0.7, 0.8)
    small, large = (
        salient_subject.find(scene(there, size=size)) for size in ((160, 120), (2000, 1500))
    )
    assert corners(small.box) == pytest.approx(corners(large.box), abs=TOLERANCE)


def test_otsu_parts_two_heaps_between_them() -> None:
    values = np.concatenate((np.full(50, 0.2), np.full(20, 0.8))).astype(np.float32)
    assert 0.2 < opencv.otsu(values) < 0.8
