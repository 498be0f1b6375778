"""Decoded photos to pixels."""

import numpy as np
import pytest
from PIL import Image

from embedder.domain.photos import WHOLE, Box, PhotoView
from embedder.domain.recipes import PhotoRecipe
from embedder.preprocessing import preprocess
from tests.fakes.photos import picture

RECIPE = PhotoRecipe(side=224, crop=0.875, normalisation="(x-127)/128 in the graph")


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
    assert (preprocess.crop(image, PhotoRecipe(224, 1.0, "")) == np.asarray(image)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3), (5000, 7)])
def test_the_smallest_and_narrowest_photos_fill_the_square(size: tuple[int, int]) -> None:
    pixels = preprocess.crop(Image.new("RGB", size, (10, 20, 30)), RECIPE)
    assert (pixels == [10, 20, 30]).all()


def test_making_a_photo_smaller_averages_instead_of_skipping() -> None:
    stripes = np.zeros((896, 896, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = preprocess.crop(Image.fromarray(stripes), PhotoRecipe(224, 1.0, ""))
    assert np.abs(pixels[:, 2:-2].astype(int) - 127).max() < 12


def test_a_jpeg_is_never_decoded_smaller_than_twice_the_input() -> None:
    assert preprocess.least_side(RECIPE) == 448


def test_what_is_looked_at_closer_is_decoded_larger() -> None:
    assert preprocess.least_side(RECIPE, PhotoView(box=Box(0, 0, 0.25, 0.1))) == 4 * 448


WIDE = picture(640, 320)


@pytest.mark.parametrize(
    "box", [WHOLE, Box(0.2, 0, 0.8, 1), Box(0.25, 0, 0.75, 1), Box(0.5 - 1e-4, 0, 0.5 + 1e-4, 1)]
)
def test_a_box_of_the_photo_s_whole_height_gives_what_no_box_gives(box: Box) -> None:
    assert (preprocess.crop(WIDE, RECIPE, box) == preprocess.crop(WIDE, RECIPE)).all()


def test_the_longer_side_of_a_box_fills_the_wide_view() -> None:
    image = Image.new("RGB", (640, 320), "red")
    image.paste("lime", (400, 100, 500, 200))
    pixels = preprocess.crop(image, RECIPE, Box(400 / 640, 100 / 320, 500 / 640, 150 / 320))
    assert (pixels[112] == [0, 255, 0]).all(axis=-1).mean() > 0.97
    assert (pixels[5, 5] == [255, 0, 0]).all(), "above the box, which is half as high as wide"


def test_a_box_in_a_corner_is_looked_at_within_the_photo() -> None:
    image = Image.new("RGB", (400, 300), "red")
    image.paste("lime", (380, 280, 400, 300))
    pixels = preprocess.crop(image, RECIPE, Box(0.95, 280 / 300, 1, 1))
    assert (pixels == [0, 255, 0]).all(axis=-1).mean() > 0.7
    assert (pixels[-20:, -20:] == [0, 255, 0]).all()


def test_the_views_are_a_wide_one_a_narrow_one_and_their_mirror_images() -> None:
    wide, narrow, mirrored, turned = preprocess.views(WIDE, RECIPE, WHOLE, 4)
    assert (wide == preprocess.crop(WIDE, RECIPE)).all()
    assert (mirrored == wide[:, ::-1]).all()
    assert (narrow == preprocess.crop(WIDE, RECIPE, WHOLE, 0.6)).all()
    assert (turned == narrow[:, ::-1]).all()
    for count in (1, 2, 3):
        expected = [wide, narrow, mirrored][:count]
        assert (preprocess.views(WIDE, RECIPE, WHOLE, count) == np.stack(expected)).all()


def test_a_box_is_shown_whole_on_white_and_by_its_middle() -> None:
    image = Image.new("RGB", (400, 200), "red")
    image.paste("lime", (100, 50, 140, 150))
    box = Box(100 / 400, 50 / 200, 140 / 400, 150 / 200)
    whole, middle = preprocess.part_views(image, PhotoRecipe(100, 0.875, ""), [box])
    assert (whole[:, :29] == 255).all()
    assert (whole[2:-2, 32:68] == [0, 255, 0]).all()
    assert (whole[:, 71:] == 255).all()
    assert (middle == [0, 255, 0]).all()


@pytest.mark.parametrize("box", [Box(0, 0, 0.01, 0.01), Box(0.99, 0.99, 1, 1), WHOLE])
def test_boxes_at_edges_and_of_no_size_have_views(box: Box) -> None:
    for size in ((1, 1), (3, 500), (500, 3)):
        views = preprocess.part_views(Image.new("RGB", size), PhotoRecipe(32, 0.875, ""), [box] * 2)
        assert views.shape == (4, 32, 32, 3)
