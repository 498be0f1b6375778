"""Faces by the maps of a detector."""

import numpy as np
import pytest

from embedder.domain.faces import LEAST_SCORE, MAPS, MOST_FACES, faces
from embedder.domain.items import Vectors
from embedder.domain.photos import Box

SIDE = 100


def maps(*centres: tuple[float, int, int, float, float]) -> Vectors:
    """Return maps with faces: score, row, column, height and width in steps of the maps."""
    made = np.zeros((MAPS, SIDE, SIDE), np.float32)
    for score, row, column, height, width in centres:
        made[:, row, column] = score, np.log(height), np.log(width), 0.25, 0.5
    return made


def sides(box: Box) -> list[float]:
    return [box.left, box.top, box.right, box.bottom]


def test_a_face_is_around_its_centre() -> None:
    (found,) = faces(maps((0.9, 40, 20, 12, 10)), ratio=1)
    assert sides(found.box) == pytest.approx([0.16, 0.3475, 0.26, 0.4675])
    assert found.score == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (2.0, [0.4, 0.3, 0.6, 0.7]),  # the photo covers the middle half of the square's height
        (0.5, [0.3, 0.4, 0.7, 0.6]),
    ],
)
def test_a_box_is_of_the_photo_within_the_square(ratio: float, expected: list[float]) -> None:
    centred = maps((0.9, 49, 49, 20, 20))
    centred[3:, 49, 49] = 0.5
    (found,) = faces(centred, ratio)
    assert sides(found.box) == pytest.approx(expected)


def test_a_face_is_cut_off_at_the_edges_and_one_beside_the_photo_is_none() -> None:
    found = faces(maps((0.9, 25, 0, 20, 20), (0.8, 5, 50, 4, 4)), ratio=2)
    (box,) = [face.box for face in found]
    assert box.left == 0
    assert box.top == pytest.approx(0.0, abs=0.02)


def test_overlapping_places_are_one_face_and_the_most_probable_stays_first() -> None:
    found = faces(
        maps((0.5, 40, 40, 20, 20), (0.9, 41, 41, 20, 20), (0.7, 80, 80, 10, 10)), ratio=1
    )
    assert [round(face.score, 2) for face in found] == [0.9, 0.7]


def test_nothing_is_found_below_the_least_score() -> None:
    assert faces(maps((LEAST_SCORE - 0.01, 40, 40, 20, 20)), ratio=1) == []


def test_a_photo_full_of_faces_is_answered_with_a_bounded_number() -> None:
    made = np.zeros((MAPS, SIDE, SIDE), np.float32)
    made[0] = 0.9
    made[1:3] = -2.0  # each smaller than a step
    assert len(faces(made, ratio=1)) == MOST_FACES
    made[1:3] = 80.0  # beyond float32 as an exponential
    assert len(faces(made, ratio=1)) == 1
