import math
import random

import pytest

from sightline_rules.photo_areas import PhotoArea
from vision.detection.rows import rows_of


def shelf(rows: list[list[float]], *, slope: float = 0.0, jitter: float = 0.0) -> list[PhotoArea]:
    """Return the rectangles of products of these heights, row after row, from the left."""
    chance, boxes = random.Random(7), []
    for number, heights in enumerate(rows):
        board = (number + 1) / (len(rows) + 1)
        for place, height in enumerate(heights):
            left = 0.05 + 0.09 * place
            bottom = board + slope * (left - 0.5) + chance.uniform(-jitter, jitter) * height
            boxes.append(PhotoArea(left, bottom - height, left + 0.07, bottom))
    return boxes


def numbered(lengths: list[int]) -> list[list[int]]:
    starts = [sum(lengths[:row]) for row in range(len(lengths))]
    return [
        list(range(start, start + length)) for start, length in zip(starts, lengths, strict=True)
    ]


def test_no_rectangle_makes_no_row() -> None:
    assert rows_of([]) == []


@pytest.mark.parametrize("degrees", [-12, -5, 0, 5, 12])
def test_rows_are_found_in_a_tilted_photo(degrees: int) -> None:
    boxes = shelf(
        [[0.15] * 10, [0.15] * 10, [0.15] * 10], slope=math.tan(math.radians(degrees)), jitter=0.08
    )

    assert rows_of(boxes) == numbered([10, 10, 10])


def test_tall_and_short_products_of_one_board_are_one_row() -> None:
    assert rows_of(shelf([[0.2, 0.06, 0.2, 0.1], [0.06, 0.2]])) == numbered([4, 2])


def test_rows_of_short_products_stay_apart_beside_a_row_of_tall_ones() -> None:
    boxes = shelf([[0.04] * 8, [0.04] * 8, [0.04] * 8, [0.04] * 8, [0.04] * 8, [0.15] * 4])

    assert rows_of(boxes) == numbered([8, 8, 8, 8, 8, 4])


def test_rows_do_not_depend_on_the_order_of_detections() -> None:
    boxes = shelf([[0.1] * 6, [0.1] * 4])
    order = random.Random(3).sample(range(10), 10)

    found = rows_of([boxes[place] for place in order])

    assert [[order[place] for place in row] for row in found] == numbered([6, 4])
