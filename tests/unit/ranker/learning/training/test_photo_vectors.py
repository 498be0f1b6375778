"""The prediction from photos for products without affinities: fitted, chosen and omitted."""

from dataclasses import replace

import numpy as np
import pytest

from ranker.domain.arrays import Floats
from ranker.domain.features import PhotoVectors
from ranker.domain.log import log_of
from ranker.domain.recipe import Recipe
from ranker.learning.training import photo_vectors
from ranker.learning.training.ablation import STYLE, AblationVerdict
from ranker.learning.training.fitting import fitted
from ranker.learning.training.photo_vectors import LEAST_PRODUCTS, predict_photo_vectors
from ranker.learning.training.training_data import Given
from ranker.learning.training.training_steps import TrainingOrder, train
from tests.fakes.ranker import NOW, did, product

DRAW = np.random.default_rng(5)
SHOPPERS = DRAW.standard_normal((40, 6)).astype(np.float32)
MAP = DRAW.standard_normal((20, 6)).astype(np.float32)


def world(count: int = 200, noise: float = 1.0) -> tuple[Floats, Floats]:
    """Return photos, and products' own vectors that depend on them, plus noise."""
    photos = DRAW.standard_normal((count, 20)).astype(np.float32)
    own = photos @ MAP + noise * DRAW.standard_normal((count, 6))
    return photos, own.astype(np.float32)


def test_what_photos_say_is_said_of_new_products() -> None:
    found, explained = predict_photo_vectors(*world(), SHOPPERS)
    assert found is not None
    assert explained is not None
    assert explained.helps
    assert 0.8 < explained.low < explained.share < 1
    photos, own = world(50, noise=0.0)
    left = own - found.of(photos)
    assert (left**2).sum() < 0.1 * (own**2).sum()


@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_whatever_the_size_of_the_photos_vectors_is(size: float) -> None:
    photos, own = world()
    plain, large = (
        predict_photo_vectors(each, own, SHOPPERS)[0] for each in (photos, photos * size)
    )
    assert plain is not None
    assert large is not None
    np.testing.assert_allclose(large.of(photos * size), plain.of(photos), atol=1e-2)


@pytest.mark.parametrize("seed", range(5))
def test_photos_that_say_nothing_stay_out(seed: int) -> None:
    photos, own = world()
    mixed = np.random.default_rng(seed).permutation(photos)
    found, explained = predict_photo_vectors(mixed, own, SHOPPERS)
    assert found is None
    assert explained is not None
    assert not explained.helps


def test_of_few_products_or_photos_that_do_not_differ_nothing_is_learned() -> None:
    photos, own = world(LEAST_PRODUCTS - 1)
    assert predict_photo_vectors(photos, own, SHOPPERS) == (None, None)
    photos, own = world()
    assert predict_photo_vectors(np.ones_like(photos), own, SHOPPERS) == (None, None)


def test_each_product_is_predicted_from_the_others_alone() -> None:
    photos, own = (each.astype(np.float64) for each in world(60))
    ridge = photo_vectors.Ridge.of(photos - photos.mean(axis=0), own - own.mean(axis=0))
    for row in (0, 17):
        others = np.arange(60) != row
        mean, usual = photos[others].mean(axis=0), own[others].mean(axis=0)
        weights = photo_vectors.Ridge.of(photos[others] - mean, own[others] - usual).weights(5.0)
        missed = own[row] - usual - (photos[row] - mean) @ weights
        np.testing.assert_allclose(ridge.missed(5.0)[row], missed)


# In a training: two kinds of products, which only their photos tell apart, and two of shoppers

PRODUCTS = [product(f"p{n:03}") for n in range(100)]
NEW = [f"p{n:03}" for n in range(90, 100)]
EVENTS = [
    did(f"s{shopper:02}", f"p{n:03}", at=shopper * 100 + n)
    for shopper in range(40)
    for n in DRAW.permutation(90)[:40].tolist()
    if n % 2 == shopper % 2
]
RECIPE = Recipe(dimension=8, epochs=10, attribute_keys=())


def photos_of(kinds: bool) -> PhotoVectors:
    values = 0.3 * np.random.default_rng(1).standard_normal((100, 12)).astype(np.float32)
    if kinds:
        values[::2, 0] += 3
    return PhotoVectors(tuple(one.product_id for one in PRODUCTS), values, "v1")


def test_new_products_get_what_their_photos_say_and_liked_ones_stay_as_they_were() -> None:
    given = Given(log_of(EVENTS), PRODUCTS)
    plain = fitted(given, RECIPE).model
    shown = replace(given, vectors=photos_of(kinds=True))
    model, half, off = (
        fitted(shown, replace(RECIPE, style_scale=scale)).model for scale in (1.0, 0.5, 0.0)
    )
    np.testing.assert_array_equal(model.item_vectors[:90], plain.item_vectors[:90])
    np.testing.assert_array_equal(model.item_biases, plain.item_biases)
    np.testing.assert_array_equal(off.item_vectors, plain.item_vectors)
    added = model.item_vectors[90:] - plain.item_vectors[90:]
    np.testing.assert_allclose(
        half.item_vectors[90:] - plain.item_vectors[90:], added / 2, atol=1e-6
    )
    scores = model.actor_vectors[[model.actor_rows["s00"], model.actor_rows["s01"]]] @ added.T
    assert (scores[0, ::2] > scores[0, 1::2].max()).all()
    assert (scores[1, 1::2] > scores[1, ::2].max()).all()


@pytest.mark.full
def test_a_training_says_what_photos_add_and_leaves_out_what_adds_nothing() -> None:
    for kinds, verdict in ((True, AblationVerdict.ADDS), (False, AblationVerdict.NOTHING)):
        given = Given(log_of(EVENTS), PRODUCTS, photos_of(kinds))
        made = train(given, TrainingOrder(RECIPE, ablation=False), None, lambda *_: None, NOW)
        (said,) = [one for one in made.additions if one.part == STYLE]
        assert (said.verdict, said.shopper_count) == (verdict, 90)
        assert made.recipe.style_scale == 1.0, "each fit decides, by its own events"
        assert (made.fitted.model.looks is not None) is kinds
