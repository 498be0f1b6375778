"""Made photos of shelves, and what the head that finds objects learns from them."""

import numpy as np
import pytest

from lab.objects import fit
from lab.objects.composites import Composite, Cutout, Facing, Material, composite
from lab.objects.finding import facings, paired


def material() -> Material:
    """Return products of plain colours."""
    made = []
    for name, (colour, ratio) in {"a": ((200, 30, 30), 0.5), "b": ((30, 160, 60), 1.0)}.items():
        pixels = np.full((80, int(80 * ratio), 3), colour, np.uint8)
        made.append(Cutout(name, pixels, np.full(pixels.shape[:2], 255, np.uint8)))
    return Material(made, (), ())


@pytest.mark.parametrize("seed", range(4))
def test_equal_seeds_give_equal_photos_and_boxes_lie_inside(seed: int) -> None:
    first, second = (composite(material(), 12, [seed], (400, 300)) for _ in range(2))
    assert (first.pixels == second.pixels).all()
    assert first.facings == second.facings
    assert 1 <= len(first.facings) <= 12
    for each in first.facings:
        left, top, right, bottom = each.box
        assert 0 <= left < right <= 400
        assert 0 <= top < bottom <= 300
    assert (composite(material(), 12, [seed, 1], (400, 300)).pixels != first.pixels).any()


def test_an_empty_photo_has_no_facings() -> None:
    assert not composite(material(), 0, [1], (400, 300)).facings


def test_the_middle_of_an_object_has_the_highest_score_and_knows_its_sides() -> None:
    side = fit.SIDE // fit.STEP
    scores, sides = fit.targets(
        np.array([[80.0, 160.0, 176.0, 320.0], [176.0, 160.0, 272.0, 320.0]])
    )
    best = np.flatnonzero(scores >= 0.999)
    rows, columns = np.divmod(best, side)
    assert set(rows) <= {29, 30}
    assert set(columns) == {15, 16, 27, 28}
    left, top, right, bottom = sides[best[0]]
    assert left + right == pytest.approx(96 / fit.STEP)
    assert top + bottom == pytest.approx(160 / fit.STEP)
    assert scores[0] == 0


def test_an_object_between_the_places_of_the_grid_has_one_of_them() -> None:
    scores, _ = fit.targets(np.array([[101.0, 101.0, 103.0, 103.0]]))
    assert (scores == 1).sum() == 1


def test_the_head_sees_each_place_with_its_surroundings() -> None:
    draw = np.random.default_rng(0)
    sizes = {"stage_3": (24, 4), "stage_4": (40, 8), "stage_6": (112, 16), "stage_8": (320, 32)}
    maps = {
        name: draw.normal(size=(channels, fit.SIDE // step, fit.SIDE // step)).astype(np.float32)
        for name, (channels, step) in sizes.items()
    }
    seen = fit.seen_by_head(maps)
    inputs = sum(channels * side * side for channels, side in fit.CHANNELS.values())
    assert seen.shape == ((fit.SIDE // fit.STEP) ** 2, inputs)
    assert (seen[0, :24] == maps["stage_3"][:, 0, 0]).all()
    middle = 4 * 24 + 4 * 40  # the place itself, of the nine around it
    assert (seen[0, middle : middle + 40] == maps["stage_4"][:, 0, 0]).all()
    assert np.allclose(seen[0, -320:], maps["stage_8"][:, :3, :3].mean(axis=(1, 2)), atol=1e-5)


def test_each_facing_is_found_once_by_the_best_box() -> None:
    photo = Composite(
        np.zeros((10, 10, 3), np.uint8), [Facing("a", (0, 0, 4, 8)), Facing("a", (5, 0, 9, 8))]
    )
    boxes = np.array([[0, 0, 4, 8], [0, 1, 4, 8], [5, 0, 9, 7], [0, 0, 1, 1]], float)
    assert paired(boxes, facings(photo)) == [0, -1, 1, -1]
    assert paired(boxes, np.zeros((0, 4))) == [-1] * 4
