"""Words of titles as features: training, continued training, and products after a training."""

from dataclasses import replace

import numpy as np
import pytest

from ranker.adapters import packing
from ranker.adapters.model_store import dump_arrays
from ranker.domain.events import History
from ranker.domain.features import Product
from ranker.domain.log import log_of
from ranker.domain.model import Model
from ranker.domain.recipe import Recipe
from ranker.learning.training.fitting import fitted
from ranker.learning.training.refit import State, refitted, state_arrays, state_of
from ranker.learning.training.training_data import Given
from ranker.learning.training.training_steps import TrainingOrder, train
from ranker.serving.ranking import breakdown, fold_in, parts
from ranker.serving.ranking.breakdown import Evidence
from ranker.serving.ranking.rank import rank, represent
from tests.fakes.ranker import NOW, candidates, did, product

LIKED, NEW, SHOPPERS = 100, 5, 24
PRODUCTS = [product(f"p{n:03}", title=f"The Saga{n % LIKED}") for n in range(LIKED + NEW)]
"""Each new product has the title of a liked one; "the" is in all titles."""
EVENTS = [
    did(f"s{shopper:02}", f"p{n:03}", at=shopper)
    for shopper in range(SHOPPERS)
    for n in range(LIKED)
    if n % 2 == shopper % 2
]
LOG = log_of(EVENTS)
RECIPE = Recipe(dimension=4, epochs=2, attribute_keys=(), title_words=True)
WORDS = {f"saga{n}" for n in range(NEW)}


def made(recipe: Recipe = RECIPE) -> Model:
    return fitted(Given(LOG, PRODUCTS), recipe).model


@pytest.fixture(scope="module")
def model() -> Model:
    return made()


def test_words_of_several_products_are_features_of_a_model(model: Model) -> None:
    assert model.vocabulary == WORDS
    vector = model.item_vectors[model.item_rows["p102"]]
    names = ("price_band=EUR:6", "word=saga2")
    rows = [model.feature_rows[name] for name in names]
    np.testing.assert_allclose(vector, model.feature_vectors[rows].sum(axis=0), atol=1e-6)


def test_a_product_that_came_after_the_training_is_known_by_the_words_of_its_title(
    model: Model,
) -> None:
    late = [product("late", title="SAGA2: the unheard"), product("plain", title="Unheard")]
    found = represent(candidates([*late, PRODUCTS[102]]), model).vectors
    np.testing.assert_allclose(found[0], found[2], atol=1e-6)
    assert not np.allclose(found[1], found[2], atol=1e-6)


def test_operators_see_what_a_word_adds_to_a_product_that_came_after_the_training(
    model: Model,
) -> None:
    shown = candidates([product("late", title="Saga2")])
    shopper, weights = fold_in.of(model, "s00", ()), {parts.TASTE: 1.0}
    found = rank(shown, weights, shopper, model, None, history=History())
    evidence = Evidence(shown, found, shopper, model, parts.factors(model, weights))
    (made_of,) = breakdown.split(evidence)[parts.TASTE]
    assert {name for name, _ in made_of} >= {"price_band=EUR:6", "word=saga2"}


def test_a_recipe_without_words_has_none(model: Model) -> None:
    off = made(replace(RECIPE, title_words=False))
    assert off.vocabulary == set()
    assert set(model.feature_names) - set(off.feature_names) == {f"word={word}" for word in WORDS}


def test_a_model_without_words_is_served_as_before_titles() -> None:
    off = made(replace(RECIPE, title_words=False))
    late = [product("a", title="Saga2"), product("b")]
    found = represent(candidates(late), off)
    np.testing.assert_array_equal(found.vectors[0], found.vectors[1])
    assert found.vectors.any()


def test_the_same_titles_in_any_order_give_the_same_bits(model: Model) -> None:
    mixed = fitted(Given(LOG, PRODUCTS[::-1]), RECIPE).model
    assert dump_arrays(packing.arrays_of(mixed)) == dump_arrays(packing.arrays_of(model))


def test_a_continued_training_keeps_the_vocabulary() -> None:
    found = fitted(Given(LOG, PRODUCTS), RECIPE)
    last = int(LOG.time[-1])
    state = state_of(state_arrays(found), found.model, RECIPE, last)
    more = [*PRODUCTS, *(Product(f"q{n}", title="Saga2 saga90") for n in range(2))]
    full = fitted(Given(LOG, more), RECIPE).model
    assert refitted(Given(LOG, more), state).model.vocabulary == WORDS
    assert full.vocabulary == WORDS - {"saga2"}


def test_a_continued_training_of_a_model_without_words_learns_none() -> None:
    off = replace(RECIPE, title_words=False)
    found = fitted(Given(LOG, PRODUCTS), off)
    state: State = state_of(state_arrays(found), found.model, RECIPE, int(LOG.time[-1]))
    assert refitted(Given(LOG, PRODUCTS), state).model.vocabulary == set()


def test_profiles_do_not_show_words() -> None:
    order = TrainingOrder(RECIPE, ablation=False)
    found = train(Given(LOG, PRODUCTS), order, None, lambda *_: None, NOW).fitted.model
    assert found.vocabulary
    assert found.product_features is not None
    assert not [name for name in found.product_features.names if name.startswith("word=")]
