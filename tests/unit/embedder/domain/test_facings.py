"""Boxes that look alike share the vectors of one of them."""

import numpy as np
import numpy.typing as npt
import pytest

from embedder.domain.facings import GRID, like, middles_of, shown, united
from embedder.domain.photos import Box, PartView

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


def test_boxes_whose_vectors_agree_have_their_mean() -> None:
    near = 0.8, 0.6
    vectors = np.array([(1, 0), (0, 1), (0.96, 0.28), near], np.float32)
    made = united(boxes(*[0.1] * 4), vectors)
    mean = vectors[[0, 2]].mean(axis=0)
    assert (made[0] == made[2]).all()
    assert made[0] == pytest.approx(mean / np.linalg.norm(mean))
    assert made[1].tolist() == [0, 1]
    assert made[3] == pytest.approx(near)  # it agrees with the third alone, not with the first
    assert np.linalg.norm(made, axis=1) == pytest.approx(1)


def test_vectors_of_other_sizes_and_rows_are_left_as_they_are() -> None:
    apart = [Box(0, 0, 0.1, 0.2), Box(0.1, 0, 0.3, 0.2), Box(0, 0.3, 0.1, 0.5)]
    vectors = np.array([(1, 0), (0.96, 0.28), (0.96, 0.28)], np.float32)
    assert (united(apart, vectors) == vectors).all()
    assert united([], vectors[:0]).shape == (0, 2)


def test_two_boxes_stand_for_those_that_look_like_the_first() -> None:
    assert shown([0, 1, 0, 0]) == {0: (0, 5), 1: (2, 3)}


def test_one_box_stands_for_those_that_look_like_the_first_by_one_view() -> None:
    assert shown([0, 1, 0, 0], (PartView.WHOLE,)) == {0: (0,), 1: (1,)}


def test_the_middle_of_a_box_is_found_in_its_view_on_white() -> None:
    whole = np.full((1, 80, 80, 3), 255, np.uint8)
    whole[:, :, 30:50] = 10  # a box four times as high as wide
    whole[:, 31:49, 31:49] = 200
    (middle,) = middles_of(whole, [Box(0.1, 0, 0.2, 0.8)], ratio=2.0, crop=0.9)
    assert (middle == 200).all()
