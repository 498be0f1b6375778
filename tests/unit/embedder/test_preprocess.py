"""Decoded photos to pixels."""

import numpy as np
import pytest
from PIL import Image

from embedder import preprocess
from embedder.model import Recipe
from tests.fakes.photos import picture

RECIPE = Recipe(side=224, crop=0.875, normalisation="(x-127)/128 in the graph")


def test_the_centre_square_of_seven_eighths_of_the_shorter_side_is_kept() -> None:
    image = Image.new("RGB", (640, 320), "red")
    # 320 x 7/8 = 280, in the middle; interpolation looks a little further than its edge.
    image.paste("lime", (176, 16, 464, 304))
    pixels = preprocess.crop(image, RECIPE)
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == [0, 255, 0]).all()


def test_a_pixel_outside_of_that_square_changes_nothing_and_one_inside_does() -> None:
    blank = preprocess.crop(Image.new("RGB", (640, 320)), RECIPE)
    for place, differs in (((176, 160), False), ((182, 160), True), ((320, 16), False)):
        image = Image.new("RGB", (640, 320))
        image.putpixel(place, (255, 255, 255))
        assert (preprocess.crop(image, RECIPE) != blank).any() == differs


def test_a_square_of_the_model_s_size_passes_unchanged_without_a_crop() -> None:
    image = picture(224, 224)
    assert (preprocess.crop(image, Recipe(224, 1.0, "")) == np.asarray(image)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3), (5000, 7)])
def test_the_smallest_and_narrowest_photos_fill_the_square(size: tuple[int, int]) -> None:
    pixels = preprocess.crop(Image.new("RGB", size, (10, 20, 30)), RECIPE)
    assert (pixels == [10, 20, 30]).all()


def test_making_a_photo_smaller_averages_instead_of_skipping() -> None:
    stripes = np.zeros((896, 896, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = preprocess.crop(Image.fromarray(stripes), Recipe(224, 1.0, ""))
    assert np.abs(pixels[:, 2:-2].astype(int) - 127).max() < 12


@pytest.mark.parametrize(
    "other", [Recipe(225, 0.875, "n"), Recipe(224, 0.9, "n"), Recipe(224, 0.875, "m")]
)
def test_the_words_differ_when_anything_that_is_done_differs(other: Recipe) -> None:
    assert preprocess.words(Recipe(224, 0.875, "n")) != preprocess.words(other)


def test_a_jpeg_is_never_decoded_smaller_than_twice_the_input() -> None:
    assert preprocess.least_side(RECIPE) == 448
