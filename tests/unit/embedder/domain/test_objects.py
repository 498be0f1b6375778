"""Objects by the maps of a network."""

from dataclasses import astuple

import numpy as np
import pytest

from embedder.domain.items import Vectors
from embedder.domain.objects import (
    LEAST_SCORE,
    MAPS,
    MOST_OBJECTS,
    are_small,
    boxed_objects,
    objects,
)
from embedder.domain.photos import Box

SIDE = 64


def maps(*middles: tuple[float, int, int, float, float]) -> Vectors:
    """Return maps with objects: score, row, column, height and width in steps of the maps."""
    made = np.zeros((MAPS, SIDE, SIDE), np.float32)
    for score, row, column, height, width in middles:
        distances = np.log([width / 2, height / 2, width / 2, height / 2])
        made[:, row, column] = score, *distances
    return made


def sides(box: Box) -> list[float]:
    return [box.left, box.top, box.right, box.bottom]


def test_boxes_of_a_model_are_shares_of_the_photo_the_best_of_several_first() -> None:
    rows = np.array(
        [
            [0.1, 0.3, 0.4, 0.7, 0.7],
            [0.6, 0.3, 0.9, 0.7, 0.9],
            [0.61, 0.3, 0.9, 0.7, 0.8],  # the same object
            [0.0, 0.0, 0.0, 0.0, 0.0],
        ],
        np.float32,
    )
    first, second = boxed_objects(rows, ratio=2)  # a quarter of the square is padding above
    assert (first.score, second.score) == pytest.approx((0.9, 0.7))
    assert astuple(first.box) == pytest.approx((0.6, 0.1, 0.9, 0.9), abs=0.01)
    assert boxed_objects(rows[3:], ratio=1) == []


def test_an_object_is_around_its_middle() -> None:
    (found,) = objects(maps((0.9, 31, 15, 21, 11)), ratio=1)
    expected = [10 / SIDE, 21 / SIDE, 21 / SIDE, 42 / SIDE]
    assert sides(found.box) == pytest.approx(expected)
    assert found.score == pytest.approx(0.9)


def test_a_box_is_of_the_photo_within_the_square() -> None:
    (found,) = objects(maps((0.9, 32, 32, 16, 16)), ratio=2)
    # The photo covers the middle half of the square's height.
    assert found.box.bottom - found.box.top == pytest.approx(0.5)
    assert found.box.right - found.box.left == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("widths", "small"), [((), False), ((8, 8, 3), False), ((8, 3, 3), True), ((4,), False)]
)
def test_half_of_the_objects_decide_whether_others_were_missed(
    widths: tuple[float, ...], *, small: bool
) -> None:
    """Sides are steps of 1/64 of the photo's longer side."""
    wanted = [(0.9, 32, 10 + 16 * place, 12, width) for place, width in enumerate(widths)]
    found = objects(maps(*wanted), ratio=1)
    assert len(found) == len(widths)
    assert are_small(found) is small


def test_what_lies_beside_the_photo_is_none() -> None:
    assert objects(maps((0.9, 2, 32, 3, 3)), ratio=2) == []
    assert objects(maps((LEAST_SCORE - 0.01, 32, 32, 9, 9)), ratio=1) == []


def test_neighbours_are_two_objects_and_two_middles_of_one_are_one() -> None:
    found = objects(maps((0.9, 30, 10, 20, 8), (0.8, 30, 18, 20, 8), (0.6, 31, 10, 20, 8)), ratio=1)
    assert [round(each.score, 1) for each in found] == [0.9, 0.8]


def test_there_is_at_most_one_more_than_can_be_asked_for() -> None:
    made = np.zeros((MAPS, SIDE, SIDE), np.float32)
    made[0, ::2, ::2] = 0.9
    assert len(objects(made, ratio=1)) == MOST_OBJECTS + 1


def test_extreme_distances_are_cut_off_at_the_edges() -> None:
    made = maps((1.0, 32, 32, 4, 4))
    made[1:, 32, 32] = 1e30
    (found,) = objects(made, ratio=1)
    assert sides(found.box) == [0, 0, 1, 1]
