"""Boxes that look alike share the vectors of one of them."""

import numpy as np
import numpy.typing as npt
import pytest

from embedder.domain.facings import GRID, joined, like, middles_of, second_views, square_ones
from embedder.domain.photos import Box

SIDE = 224
Pixels = npt.NDArray[np.uint8]


def label(number: int) -> Pixels:
    """Return a picture of patches; each number gives another one."""
    draw = np.random.default_rng(number)
    patches = draw.integers(40, 216, (GRID // 2, GRID // 2, 3), np.uint8)
    return patches.repeat(SIDE // GRID * 2, axis=0).repeat(SIDE // GRID * 2, axis=1)


def boxes(*widths: float) -> list[Box]:
    return [Box(0, 0, width, 0.5) for width in widths]


def test_boxes_of_one_label_are_like_the_first_of_them() -> None:
    seen = np.stack([label(0), label(1), label(0), label(2), label(1)])
    assert like(boxes(*[0.1] * 5), seen) == [0, 1, 0, 3, 1]


@pytest.mark.parametrize(("down", "across"), [(0, 0), (16, 0), (-8, 16), (24, -24)])
def test_other_light_noise_and_inexact_boxes_make_no_difference(down: int, across: int) -> None:
    light = np.linspace(0.6, 1.1, SIDE)[None, :, None]
    noise = np.random.default_rng(9).normal(0, 4, (SIDE, SIDE, 3))
    moved = np.roll(label(0), (down, across), axis=(0, 1))
    other = (moved * light + noise).clip(0, 255).astype(np.uint8)
    assert like(boxes(0.1, 0.11), np.stack([label(0), other])) == [0, 0]


def test_boxes_of_other_sizes_are_not_alike() -> None:
    assert like(boxes(0.1, 0.2), np.stack([label(0), label(0)])) == [0, 1]


def test_boxes_of_other_rows_are_not_alike() -> None:
    rows = [Box(0, 0, 0.1, 0.2), Box(0.1, 0.03, 0.2, 0.23), Box(0, 0.3, 0.1, 0.5)]
    assert like(rows, np.stack([label(0)] * 3)) == [0, 0, 2]


@pytest.mark.parametrize("value", [0, 127, 255])
def test_plain_boxes_are_not_alike_as_nothing_shows_that_they_are(value: int) -> None:
    assert like(boxes(0.1, 0.1), np.full((2, SIDE, SIDE, 3), value, np.uint8)) == [0, 1]


def test_no_boxes_and_other_sides_of_pictures_are_taken() -> None:
    assert like([], np.zeros((0, SIDE, SIDE, 3), np.uint8)) == []
    wide = np.pad(np.stack([label(0)] * 2), ((0, 0), (8, 8), (8, 8), (0, 0)))
    assert like(boxes(0.1, 0.1), wide) == [0, 0]


def test_boxes_whose_vectors_agree_are_joined() -> None:
    vectors = np.array([(1, 0), (0, 1), (0.96, 0.28), (0.8, 0.6)], np.float32)
    assert joined(boxes(*[0.1] * 4), [0, 1, 2, 3], vectors) == [0, 1, 0, 3]  # 3 agrees with 2 alone
    assert joined(boxes(*[0.1] * 6), [0, 0, 2, 3, 3, 5], vectors) == [0, 0, 2, 0, 0, 5]
    assert joined([], [], vectors[:0]) == []


def test_vectors_of_other_sizes_and_rows_do_not_join() -> None:
    apart = [Box(0, 0, 0.1, 0.2), Box(0.1, 0, 0.3, 0.2), Box(0, 0.3, 0.1, 0.5)]
    vectors = np.array([(1, 0), (0.96, 0.28), (0.96, 0.28)], np.float32)
    assert joined(apart, [0, 1, 2], vectors) == [0, 1, 2]


def test_the_second_view_is_that_of_another_box_and_a_square_one_has_none() -> None:
    assert second_views([0, 1, 0, 0], set()) == {0: 2, 1: 1}
    assert second_views([0, 1, 0, 0], {0, 3}) == {1: 1}


def test_a_box_is_square_by_its_pixels() -> None:
    some = [Box(0, 0, 0.5, 0.5), Box(0, 0, 0.3, 0.5), Box(0, 0, 0.5, 0.9)]
    assert square_ones(some, 1.0) == {0}
    assert square_ones(some, 1.6) == {1}
    assert square_ones(some[2:], 1.8) == {0}
    assert square_ones([], 1.0) == set()


def test_the_middle_of_a_box_is_found_in_its_view_on_white() -> None:
    whole = np.full((1, 80, 80, 3), 255, np.uint8)
    whole[:, :, 30:50] = 10  # a box four times as high as wide
    whole[:, 31:49, 31:49] = 200
    (middle,) = middles_of(whole, [Box(0.1, 0, 0.2, 0.8)], ratio=2.0, crop=0.9)
    assert (middle == 200).all()
