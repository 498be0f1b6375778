"""Spaces are fitted on labelled photos, and insufficient photos are reported."""

from dataclasses import replace

import numpy as np
import pytest

from embedder.domain.errors import FitInvalid
from embedder.domain.fitted import (
    CATALOGUE,
    SHOPPER,
    FittedSpace,
    Floats,
    Labelled,
)
from embedder.fitting.fit import FitOptions, fit
from embedder.fitting.measuring import vectors
from tests.fakes.labelled import kept, labelled, plain

pytestmark = pytest.mark.slow


def alike(found: Floats, data: Labelled) -> float:
    """Return the share of photos whose nearest photo shows the same product."""
    near = found @ found.T
    np.fill_diagonal(near, -2)
    names = np.array(data.products)
    return float((names[near.argmax(axis=1)] == names).mean())


def embedded(fitted: FittedSpace, data: Labelled) -> Floats:
    return vectors(fitted, data, np.arange(len(data.products)), data.features.shape[1])


@pytest.fixture(scope="module")
def data() -> Labelled:
    return labelled(titles=True, products=24)


@pytest.fixture(scope="module")
def fitted(data: Labelled) -> FittedSpace:
    return fit(data, FitOptions(), 0)


def test_photos_of_a_product_come_together_also_of_products_that_nobody_labelled() -> None:
    data = labelled(products=36)
    fitted = fit(kept(data, list(range(8 * 24))), FitOptions(), 0)
    unseen = kept(data, list(range(8 * 24, 8 * 36)))
    assert alike(embedded(fitted, unseen), unseen) > alike(plain(unseen), unseen) + 0.2
    assert fitted.projection.shape[1] <= 256


def test_the_same_seed_gives_the_same_bytes(data: Labelled, fitted: FittedSpace) -> None:
    again = fit(data, FitOptions(), 0)
    assert again.projection.tobytes() == fitted.projection.tobytes()
    assert again.head is not None
    assert fitted.head is not None
    assert again.head.weights.tobytes() == fitted.head.weights.tobytes()
    assert again.head.unknown == fitted.head.unknown


def test_no_vector_is_longer_than_asked(data: Labelled) -> None:
    assert fit(data, FitOptions(max_dimension=5), 0).projection.shape[1] <= 5


def test_the_catalog_s_camera_is_taken_out() -> None:
    data = labelled(iconic=True, products=20)
    fitted = fit(data, FitOptions(), 0)
    found = embedded(fitted, data)
    asks, iconic = data.kinds == SHOPPER, np.flatnonzero(data.kinds == CATALOGUE)
    names = np.array(data.products)
    nearest = iconic[(found[asks] @ found[iconic].T).argmax(axis=1)]
    raw = plain(data)
    before = iconic[(raw[asks] @ raw[iconic].T).argmax(axis=1)]
    assert (names[before] == names[asks]).mean() < 0.3
    assert (names[nearest] == names[asks]).mean() > 0.7
    assert np.abs(fitted.means[SHOPPER] - fitted.means[CATALOGUE]).mean() > 1


def test_with_one_kind_of_photos_both_are_standardised_alike(fitted: FittedSpace) -> None:
    assert np.array_equal(fitted.means[SHOPPER], fitted.means[CATALOGUE])
    assert np.array_equal(fitted.scales[SHOPPER], fitted.scales[CATALOGUE])


def test_the_head_finds_categories_and_what_it_has_never_heard_of(
    data: Labelled, fitted: FittedSpace
) -> None:
    assert fitted.head is not None
    assert fitted.head.categories == tuple(("All", f"category-{place}") for place in range(4))
    chances = fitted.head.chances(embedded(fitted, data))
    assert chances.shape == (len(data.products), 5)
    reported = chances[:, :-1].argmax(axis=1)
    truth = np.array([int(path[-1][-1]) for path in data.categories])
    assert (reported == truth).mean() > 0.9
    assert chances[:, -1].mean() < 0.2


def test_a_title_finds_the_photos_of_its_product(data: Labelled, fitted: FittedSpace) -> None:
    assert fitted.text_map is not None
    assert data.sentences is not None
    asked = fitted.text_map.vectors(data.sentences[::8])
    found = embedded(fitted, data)
    names = np.array(data.products)
    nearest = names[(asked @ found.T).argmax(axis=1)]
    assert (nearest == names[::8]).mean() > 0.5


def test_with_few_titles_there_is_no_text_map() -> None:
    assert fit(labelled(titles=True, products=10), FitOptions(), 0).text_map is None


def test_one_photo_a_product_is_recognised_by_its_views() -> None:
    data = labelled(photos=1, products=60, views=4, noise=1.0)
    fitted = fit(data, FitOptions(), 0)
    assert np.isfinite(fitted.projection).all()
    first, last = (fitted.embed(data.features[:, view], data.kinds) for view in (0, 3))
    assert ((first @ last.T).argmax(axis=1) == np.arange(60)).all()


def test_a_feature_that_never_varies_does_no_harm(data: Labelled) -> None:
    features = data.features.copy()
    features[:, :, 3] = 7
    fitted = fit(replace(data, features=features), FitOptions(), 0)
    odd = features.copy()
    odd[:, :, 3] = 8
    found = [embedded(fitted, replace(data, features=each)) for each in (features, odd)]
    assert np.abs(found[0] - found[1]).max() < 1e-3


def test_two_products_are_enough_and_two_categories_make_a_head() -> None:
    fitted = fit(labelled(products=2, categories=2), FitOptions(), 0)
    assert fitted.head is not None
    assert len(fitted.head.categories) == 2
    assert np.isfinite(fitted.head.unknown)


def test_views_that_are_all_alike_leave_a_sound_map() -> None:
    data = labelled(photos=1, products=30)
    same = np.repeat(data.features[:, :1], 3, axis=1)
    assert np.isfinite(fit(replace(data, features=same), FitOptions(), 0).projection).all()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda data: kept(data, list(range(8))), "at least two products"),
        (lambda data: replace(data, features=np.full_like(data.features, np.nan)), "finite"),
        (lambda data: replace(data, features=np.ones_like(data.features)), "whose photos differ"),
        (lambda data: replace(data, products=data.products[1:]), "every kind of label"),
        (lambda data: replace(data, kinds=data.kinds + 2), "kind"),
    ],
)
def test_photos_that_nothing_can_be_learned_from_are_refused(
    data: Labelled, broken: object, words: str
) -> None:
    with pytest.raises(FitInvalid, match=words):
        fit(broken(data), FitOptions(), 0)  # type: ignore[operator]
