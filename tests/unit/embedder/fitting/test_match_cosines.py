"""Cosines of good matches, by the category that a photo shows."""

import numpy as np
import pytest

from embedder.domain.fitted import MATCH_SHARES, SHOPPER
from embedder.fitting.fit import FitOptions, fit
from embedder.fitting.match_cosines import FEWEST, HeldPhotos, match_cosines
from embedder.fitting.measuring import vectors
from tests.fakes.labelled import kept, labelled

FOLDS, EACH = 3, 2_000
ALIKE, UNLIKE, RARE = range(3)
FIVE = MATCH_SHARES.index(0.05)


def photos(*, seed: int = 0, count: int = EACH) -> HeldPhotos:
    """Return photos of a category whose photos are alike and of one whose photos are not."""
    draw = np.random.default_rng(seed)
    shown = np.arange(count) % 2
    near = np.where(shown == ALIKE, 0.8, 0.5) + np.where(
        shown == ALIKE, 0.02, 0.1
    ) * draw.standard_normal(count)
    return HeldPhotos(near[:, None], shown[:, None], shown, draw.integers(FOLDS, size=count))


def test_each_category_loses_the_share_and_catches_what_one_threshold_for_all_lets_pass() -> None:
    found = match_cosines(photos(), 3)
    assert found is not None
    assert found.shape == (1, 3, len(MATCH_SHARES))
    other = photos(seed=1, count=20_000)
    near, shown = other.near[:, 0], other.shown
    for category in (ALIKE, UNLIKE):
        lost = near[shown == category, None] < found[0, category]
        assert lost.mean(axis=0) == pytest.approx(MATCH_SHARES, abs=0.03)
    strange = 0.7  # nearer than many photos of the one, and further than all of the other
    assert np.quantile(near, 0.05) < found[0, UNLIKE, FIVE] + 0.1 < strange
    assert strange < found[0, ALIKE, FIVE]


def test_a_category_without_photos_has_the_cosines_of_all() -> None:
    found = match_cosines(photos(), 3)
    assert found is not None
    assert found[0, UNLIKE, FIVE] < found[0, RARE, FIVE] < found[0, ALIKE, FIVE]
    assert (np.diff(found[0], axis=1) >= 0).all()


def test_photos_are_judged_by_the_category_that_the_head_sees() -> None:
    """A head that takes the one for the other must not make the threshold lose more."""
    right = photos()
    wrong = HeldPhotos(right.near, 1 - right.seen, right.shown, right.folds)
    found = match_cosines(wrong, 3)
    assert found is not None
    lost = wrong.near[:, 0] < found[0, wrong.seen[:, 0], FIVE]
    assert lost.mean() == pytest.approx(0.05, abs=0.02)


def test_few_photos_have_no_cosines() -> None:
    assert match_cosines(photos(count=FEWEST - 1), 3) is None
    assert match_cosines(photos(count=FEWEST), 3) is not None


@pytest.mark.slow
def test_a_fit_measures_them_on_photos_outside_its_training_by_the_number_of_views() -> None:
    data = labelled(products=24, photos=12, iconic=True, noise=1.0)
    shoppers = np.flatnonzero(data.kinds == SHOPPER)
    held = shoppers[shoppers % 4 == 0]
    rest = np.setdiff1d(np.arange(len(data.products)), held)
    fitted = fit(kept(data, rest.tolist()), FitOptions(), 0)
    assert fitted.head is not None
    cosines = fitted.head.match_cosines
    assert cosines is not None
    assert cosines.shape == (2, 4, len(MATCH_SHARES))
    for views in (1, 2):
        asked = vectors(fitted, data, held, views)
        near = (asked @ vectors(fitted, data, rest, 2).T).max(axis=1)
        seen = fitted.head.chances(asked)[:, :-1].argmax(axis=1)
        assert (near < cosines[views - 1, seen, FIVE]).mean() < 0.2
        assert (near < cosines[views - 1, seen, -1]).mean() == pytest.approx(0.5, abs=0.25)


@pytest.mark.slow
def test_photos_of_the_catalog_alone_say_nothing_of_shoppers() -> None:
    data = labelled(products=24)
    data.kinds[:] = 1 - SHOPPER
    fitted = fit(data, FitOptions(), 0)
    assert fitted.head is not None
    assert fitted.head.match_cosines is None
