"""Anomalies of patches, conformal verdicts, and photos of two things."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline_rules.photo_areas import PhotoArea
from vision.domain import inspection
from vision.domain.inspection import PatchMemory, PieceVerdict, VerdictDoubt
from vision.domain.objects import Floats
from vision.inspection.files import ARRAYS, memory_file, memory_of

WHOLE = PhotoArea(0.0, 0.0, 1.0, 1.0)

SIDE, CHANNELS = 9, 12


def good(count: int, seed: int = 0) -> Floats:
    """Return features of photos of good pieces: the same pattern, with noise of its own place."""
    rng = np.random.default_rng(seed)
    pattern = np.random.default_rng(7).normal(size=(SIDE, SIDE, CHANNELS))
    noise = rng.normal(size=(count, SIDE, SIDE, CHANNELS))
    return np.asarray(pattern + 0.2 * noise, np.float32)


def bad(count: int, seed: int = 1) -> Floats:
    """Return features of pieces with a defect in the middle."""
    found = good(count, seed)
    found[:, 3:5, 4:6] += 3
    return found


def fitted(photos: Floats, drawn: Floats) -> PatchMemory:
    """Fit a small memory; the drawn photos were the first ones."""
    basis = inspection.basis_of(photos)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspection, "MOST_PATCHES", 100)
        memory, scores = inspection.fit(photos @ basis, drawn @ basis, range(len(drawn)), basis)
    assert np.array_equal(np.sort(scores.good), memory.scores)
    assert memory.separation == inspection.separation(scores.good, scores.drawn)
    return memory


@pytest.fixture(scope="module")
def memory() -> PatchMemory:
    return fitted(good(40), bad(10))


def verdict(
    memory: PatchMemory, features: Floats, rate: float = 0.05
) -> inspection.PieceComparison:
    return inspection.compare(memory, memory.map_of(features), rate, 1.0)


def test_a_defect_is_unlike_and_where_it_is(memory: PatchMemory) -> None:
    found = verdict(memory, bad(1, 5)[0])
    assert found.verdict is PieceVerdict.UNLIKE
    assert found.threshold is not None
    assert found.score > found.threshold
    assert found.p_value == pytest.approx(1 / 41)
    box = found.parts[0].box
    assert box.left < 5 / SIDE < box.right
    assert box.top < 4 / SIDE < box.bottom
    assert found.parts[0].score == pytest.approx(found.score)


def test_a_faint_defect_of_several_positions_is_told_from_noise(memory: PatchMemory) -> None:
    faint = good(100, 11)
    faint[:, 2:7, 2:7] += 0.2
    scores = [memory.map_of(some).max(axis=(1, 2)) for some in (good(100, 10), faint)]
    assert inspection.separation(*scores) > 0.97


def test_a_photo_alone_is_compared_as_among_others(memory: PatchMemory) -> None:
    some = good(3, 12)
    assert np.allclose(memory.map_of(some), [memory.map_of(each) for each in some], atol=1e-4)


def test_a_memory_that_an_earlier_release_fitted_is_compared_as_it_was_fitted(
    memory: PatchMemory,
) -> None:
    file = io.BytesIO()
    np.savez(file, **{name: getattr(memory, name) for name in ARRAYS if name != "near"})
    former, kept = (memory_of(each, 0.9) for each in (file.getvalue(), memory_file(memory)))
    seen = good(2, 13)
    distances = inspection.nearest(seen @ memory.basis, memory.patches)
    assert np.allclose(former.map_of(seen), (distances - memory.means) / memory.deviations)
    assert np.array_equal(kept.map_of(seen), memory.map_of(seen))


def test_a_file_without_its_patches_is_no_memory(memory: PatchMemory) -> None:
    file = io.BytesIO()
    np.savez(file, basis=memory.basis)
    with pytest.raises(ValueError, match="no memory"):
        memory_of(file.getvalue(), 0.9)


def test_most_good_pieces_are_like(memory: PatchMemory) -> None:
    found = [verdict(memory, each) for each in good(200, 9)]
    unlike = sum(each.verdict is PieceVerdict.UNLIKE for each in found)
    assert unlike / 200 < 0.1
    assert not [each.parts for each in found if each.verdict is PieceVerdict.LIKE and each.parts]


@pytest.mark.full
def test_good_pieces_are_called_unlike_as_often_as_asked() -> None:
    found = []
    for seed in range(12):
        memory = fitted(good(39, seed), bad(3, seed))
        (threshold, _, _) = inspection.thresholds(memory.scores, 0.2)
        assert threshold is not None
        found += [float(memory.map_of(each).max()) > threshold for each in good(60, 100 + seed)]
    assert 0.12 < np.mean(found) < 0.28


def test_the_same_photos_give_the_same_memory() -> None:
    first, second = (fitted(good(12), bad(4)) for _ in range(2))
    assert np.array_equal(first.patches, second.patches)
    assert np.array_equal(first.scores, second.scores)


def test_a_memory_has_a_bounded_size(memory: PatchMemory) -> None:
    assert memory.patches.shape == (100, inspection.DIMENSIONS)


def test_too_few_photos_allow_no_verdict_for_a_small_rate(memory: PatchMemory) -> None:
    found = verdict(memory, bad(1)[0], 0.02)
    assert (found.verdict, found.doubt) == (PieceVerdict.CANNOT_SAY, VerdictDoubt.TOO_FEW_PHOTOS)
    assert (found.threshold, found.parts) == (None, ())
    assert found.least_rate == pytest.approx(1 / 41)


def test_photos_that_are_too_unlike_allow_no_verdict() -> None:
    mixed = np.random.default_rng(3).normal(size=(20, SIDE, SIDE, CHANNELS)).astype(np.float32)
    drawn = mixed[:5].copy()
    drawn[:, 4, 4] *= 1.2
    memory = fitted(mixed, drawn)
    assert memory.separation < inspection.SEPARATION
    found = verdict(memory, drawn[0], 0.1)
    assert found.doubt is VerdictDoubt.PHOTOS_TOO_UNLIKE
    assert found.verdict is PieceVerdict.CANNOT_SAY


@given(
    st.lists(st.integers(0, 50), min_size=10, max_size=80),
    st.integers(0, 50),
    st.floats(0.01, 0.5),
)
@settings(max_examples=200, deadline=None)
def test_a_score_is_above_the_threshold_if_its_p_value_is_at_most_the_rate(
    scores: list[int], score: int, rate: float
) -> None:
    ordered = np.sort(np.array(scores, np.float32))
    threshold, low, high = inspection.thresholds(ordered, rate)
    p_value = (1 + int((ordered >= score).sum())) / (len(ordered) + 1)
    if threshold is None:
        assert rate < inspection.least_rate(len(ordered))
    else:
        assert (score > threshold) == (p_value <= rate + 1e-9)
        assert low is None or low <= threshold
        assert high is None or low is None or low <= high


def test_the_interval_of_a_threshold_holds_the_true_one() -> None:
    rng, inside = np.random.default_rng(0), []
    for _ in range(400):
        scores = np.sort(rng.exponential(size=100)).astype(np.float32)
        _, low, high = inspection.thresholds(scores, 0.1)
        assert low is not None
        assert high is not None
        inside.append(low <= -np.log(0.1) <= high)
    assert np.mean(inside) > 0.93


def test_photos_of_two_things_fall_into_two_groups() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 50))
    mixed = np.stack([(one if at % 3 else other) + 0.05 * rng.normal(size=50) for at in range(30)])
    vectors = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
    assert inspection.groups(vectors) in {(10, 20), (20, 10)}
    assert inspection.groups(vectors[np.arange(30) % 3 > 0]) is None
    same = np.repeat(vectors[:1], 12, axis=0)
    assert inspection.groups(same) is None


def test_a_drawn_defect_changes_a_part_of_a_photo() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    drawn = inspection.with_defect(pixels, 1)
    changed = (drawn != pixels).any(axis=2).mean()
    assert 0.003 < changed < 0.04
    assert np.array_equal(drawn, inspection.with_defect(pixels, 1))


@pytest.mark.parametrize(
    ("box", "ratio", "wanted"),
    [
        (WHOLE, 2.0, WHOLE),
        (PhotoArea(0.2, 0.5, 0.4, 0.75), 2.0, PhotoArea(0.2, 0.5, 0.4, 1.0)),
        (PhotoArea(0.2, 0.5, 0.4, 0.75), 0.5, PhotoArea(0.0, 0.5, 0.3, 0.75)),
        (PhotoArea(0.1, 0.0, 0.4, 0.2), 2.0, None),
    ],
)
def test_boxes_are_of_the_photo_without_its_padding(
    box: PhotoArea, ratio: float, wanted: PhotoArea | None
) -> None:
    found = inspection.in_photo(box, ratio)
    if wanted is None:
        assert found is None
    else:
        assert found is not None
        sides = ("left", "top", "right", "bottom")
        assert [getattr(found, side) for side in sides] == pytest.approx(
            [getattr(wanted, side) for side in sides]
        )
