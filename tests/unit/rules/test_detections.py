"""Boxes of objects: suppression, merging and order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from sightline_rules.detections import (
    MOST_SHARED,
    Boxes,
    merged,
    one_a_place,
    overlaps,
    reading_order,
)


def boxes(*sides: tuple[float, float, float, float]) -> Boxes:
    return np.array(sides, np.float64).reshape(-1, 4)


def test_the_overlap_is_the_intersection_by_the_union() -> None:
    found = overlaps(boxes((0, 0, 2, 2)), boxes((1, 0, 3, 2), (0, 0, 2, 2), (5, 5, 6, 6)))
    assert found.tolist() == [[pytest.approx(1 / 3), 1.0, 0.0]]


def test_boxes_that_agree_are_one_between_them() -> None:
    kept, scores = merged(
        boxes((0, 0, 10, 10), (1, 0, 11, 10), (30, 0, 40, 10)), np.array([0.8, 0.8, 0.5]), 9
    )
    assert kept.tolist() == [[pytest.approx(0.5), 0, pytest.approx(10.5), 10], [30, 0, 40, 10]]
    assert scores.tolist() == [0.8, 0.5]


def test_a_part_of_an_object_is_none_of_its_own_and_a_neighbour_is() -> None:
    kept, _ = merged(
        boxes((0, 0, 10, 30), (2, 10, 8, 20), (9, 0, 19, 30)), np.array([0.9, 0.8, 0.7]), 9
    )
    assert kept.tolist() == [[0, 0, 10, 30], [9, 0, 19, 30]]


def test_the_best_are_kept() -> None:
    apart = boxes(*((10.0 * x, 0.0, 10.0 * x + 5, 5.0) for x in range(9)))
    _, scores = merged(apart, np.linspace(0.1, 0.9, 9), 2)
    assert scores.tolist() == pytest.approx([0.9, 0.8])


def test_of_no_boxes_none_is_kept() -> None:
    kept, scores = merged(boxes(), np.array([]), 9)
    assert kept.shape == (0, 4)
    assert scores.shape == (0,)
    assert reading_order(boxes()) == []


@given(
    arrays(np.float64, (12, 4), elements=some.floats(0, 100)),
    arrays(np.float64, 12, elements=some.floats(0.1, 1)),
)
def test_no_two_of_the_first_choices_are_one_object(given_boxes: Boxes, scores: np.ndarray) -> None:
    low = np.minimum(given_boxes[:, :2], given_boxes[:, 2:])
    high = np.maximum(given_boxes[:, :2], given_boxes[:, 2:]) + 1
    kept, found = merged(np.concatenate([low, high], axis=1), scores, 5)
    assert 1 <= len(kept) <= 5
    assert list(found) == sorted(found, reverse=True)
    assert 0 < MOST_SHARED < 1


def test_a_label_on_a_bottle_of_the_same_product_is_the_bottle() -> None:
    found = boxes((0, 0, 10, 30), (1, 12, 9, 40), (50, 0, 60, 30))
    assert one_a_place(found, np.array([0.5, 0.9, 0.8]), ["a", "a", "a"]) == [1, 2]
    assert one_a_place(found, np.array([0.5, 0.9, 0.8]), ["a", "b", "a"]) == [0, 1, 2]
    assert one_a_place(found, np.array([0.5, 0.9, 0.8]), ["", "", ""]) == [0, 1, 2]


def test_boxes_are_read_row_by_row_even_on_a_tilted_shelf() -> None:
    found = boxes(
        (60, 6, 70, 26), (0, 0, 10, 20), (30, 3, 40, 23), (30, 43, 40, 63), (0, 40, 10, 60)
    )
    assert reading_order(found) == [1, 2, 0, 4, 3]
