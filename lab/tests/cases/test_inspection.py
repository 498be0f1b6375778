"""Made defects and figures of the bench of inspection."""

import numpy as np
import pytest

from lab.cases.inspection import FINE, overlap
from lab.datasets import pieces
from tests.fakes.photos import picture

PHOTO = np.asarray(picture(160, 200), np.uint8)


@pytest.mark.parametrize("kind", pieces.KINDS)
def test_a_stronger_defect_changes_more_of_a_photo(kind: str) -> None:
    changed = []
    for grade in range(len(pieces.GRADES)):
        rng = np.random.default_rng(3)
        made, mask = pieces.with_defect(PHOTO, kind, grade, [PHOTO[::-1]], rng)
        again, _ = pieces.with_defect(PHOTO, kind, grade, [PHOTO[::-1]], np.random.default_rng(3))
        assert np.array_equal(made, again)
        assert mask.any()
        different = np.abs(made.astype(int) - PHOTO).sum(axis=2) > 12
        assert different[mask].mean() > 2 * different[~mask].mean()
        changed.append(np.abs(made.astype(int) - PHOTO).sum())
    assert changed == sorted(changed)


def test_a_defect_keeps_its_place_in_the_padded_square() -> None:
    mask = np.zeros((200, 100), np.bool_)
    mask[:100, :50] = True
    grid = pieces.grid_of(mask, 20)
    rows, columns = np.nonzero(grid)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 9, 5, 9)


def test_maps_that_are_high_at_the_defects_overlap_with_them() -> None:
    rng = np.random.default_rng(0)
    maps = rng.random((3, 33, 33)).astype(np.float32)
    mask = np.zeros((FINE, FINE), np.bool_)
    mask[20:30, 20:30] = True
    chance = overlap(maps, [mask] * 3)
    maps[:, 10:15, 10:15] += 5
    assert overlap(maps, [mask] * 3) > 0.99
    assert chance < 0.3
