"""Lines of text by the outputs of a detector and of a reader."""

import numpy as np
import pytest

from embedder.adapters.line_images import OpenCvLines
from embedder.domain import labels
from embedder.domain.items import Vectors
from embedder.domain.labels import MOST_BYTES, MOST_LINES, Corners, Point


def steps(*read: tuple[str, float]) -> Vectors:
    """Return a reader's output; an empty text is no character."""
    return np.array([(ord(each) if each else 0, chance) for each, chance in read], np.float32)


def box(left: float, top: float, right: float, bottom: float) -> Corners:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def test_equal_neighbours_are_one_character_unless_something_is_between_them() -> None:
    read = labels.decoded(steps(("a", 0.5), ("a", 1), ("", 1), ("a", 1), ("\u00e9", 0.75)))
    assert read.text == "aa\u00e9"
    assert read.confidence == pytest.approx(0.75)


def test_a_line_without_characters_is_empty() -> None:
    assert labels.decoded(steps(("", 1), ("", 1))) == ("", 0.0)


def test_impossible_characters_are_left_out() -> None:
    read = np.array([(-4, 1), (2e6, 1), (0xD800, 1), (7, 1), (ord("x"), 1)], np.float32)
    assert labels.decoded(read).text == "x"


def test_a_text_is_cut_at_a_character_s_end() -> None:
    assert labels.cleaned(" a  b\n") == "a b"
    cut = labels.cleaned("\u9152" * 100)
    assert cut == "\u9152" * (MOST_BYTES // 3)


def test_lines_are_read_row_by_row() -> None:
    first, second, third = box(50, 0, 90, 10), box(0, 20, 40, 30), box(60, 18, 90, 28)
    ordered = labels.in_reading_order([third, second, first])
    assert [each[0].tolist() for each in ordered] == [[50, 0], [0, 20], [60, 18]]


def test_only_the_largest_lines_are_kept() -> None:
    found = [box(0, 0, size, 10) for size in range(1, 100)]
    kept = labels.largest(found)
    assert len(kept) == MOST_LINES
    assert min(each[1, 0] for each in kept) == 100 - MOST_LINES


def test_batches_hold_lines_of_similar_widths_and_bounded_pixels() -> None:
    widths = [10, 64, 70, 300, 320, 1280, 1280, 1280, *[64] * 20]
    batches = list(labels.batches(widths))
    assert sorted(place for places, _ in batches for place in places) == list(range(len(widths)))
    for places, width in batches:
        assert width % labels.WIDTH_STEP == 0
        assert width * len(places) <= labels.BATCH_WIDTH
        assert len(places) <= labels.BATCH
        assert all(widths[place] <= width for place in places)


def test_corners_in_a_padded_square_are_points_of_the_photo() -> None:
    # Of a photo of 100 x 50 pixels in a square of 100.
    points = labels.in_photo(box(25, 25, 125, 50), 100, 2.0)
    assert points == (Point(0.25, 0.0), Point(1.0, 0.0), Point(1.0, 0.5), Point(0.25, 0.5))


@pytest.mark.parametrize(
    ("ratio", "height", "width"),
    [(1.0, 576, 576), (0.75, 576, 448), (2.0, 288, 576), (99, 32, 576)],
)
def test_the_photo_s_part_of_a_square_is_whole(ratio: float, height: int, width: int) -> None:
    rows, columns = labels.part_of(576, ratio)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (height, width)
    assert rows.start == 576 - rows.stop
    assert columns.start == 576 - columns.stop


def test_a_line_is_found_around_its_shrunken_text() -> None:
    chances = np.zeros((96, 96), np.float32)
    chances[40:50, 20:70] = 0.9
    chances[80:81, 20:21] = 0.9  # dust
    chances[5:15, 5:40] = 0.35  # hardly a text
    (corners,) = OpenCvLines().found(chances)
    low, high = corners[0], corners[2]
    assert low[0] < 20 < 70 < high[0]
    assert low[1] < 40 < 50 < high[1]
    assert high[1] - low[1] == pytest.approx(10 + 2 * 0.8 * 500 / 60, abs=3)


def test_a_line_that_runs_up_is_turned() -> None:
    pixels = np.zeros((96, 96, 3), np.uint8)
    pixels[10:50, 20:30] = 255
    level, upright = OpenCvLines().cut(pixels, [box(0, 10, 96, 50), box(20, 10, 30, 50)])
    assert level.shape == (48, 116, 3)
    assert upright.shape == (48, 192, 3)
    assert upright.min() > 200
