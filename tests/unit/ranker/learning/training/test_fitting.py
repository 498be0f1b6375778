import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from lightfm import LightFM

from ranker.adapters import model_store as artifact
from ranker.adapters import packing
from ranker.domain.errors import DataInsufficient, TrainingDiverged
from ranker.domain.events import EventType, Interaction
from ranker.domain.features import PhotoVectors, feature_names
from ranker.domain.log import log_of
from ranker.domain.model import Model
from ranker.domain.recipe import Loss, Recipe
from ranker.domain.signals import interests
from ranker.learning.training.fitting import fitted
from ranker.learning.training.matrices import LEAST_SHARED
from ranker.learning.training.training_data import Given
from ranker.serving.ranking import fold_in, parts
from tests.fakes.ranker import did, product
from tests.fakes.trainings import EVENTS, PRODUCTS, RECIPE, drawn_vectors, fit, wines

LOG = log_of(EVENTS)


def taught(recipe: Recipe = RECIPE, **given: object) -> Model:
    return fitted(dataclasses.replace(Given(LOG, PRODUCTS), **given), recipe).model  # type: ignore[arg-type]


def bits(model: Model) -> bytes:
    return artifact.dump_arrays(packing.arrays_of(model))


@pytest.fixture(scope="module")
def wine_model() -> Model:
    products, events = wines()
    return fit(log_of(events), products, Recipe())


@pytest.mark.parametrize("loss", Loss)
def test_the_same_data_in_any_order_give_the_same_model_bit_for_bit(loss: Loss) -> None:
    recipe = dataclasses.replace(RECIPE, loss=loss)
    given = {"vectors": drawn_vectors(PRODUCTS), "attributes": {"r-1": ("age_band=25-34",)}}
    one = fit(LOG, PRODUCTS, recipe, **given)
    other = fit(log_of(EVENTS[::-1]), PRODUCTS[::-1], recipe, **given)
    assert bits(one) == bits(other)


def test_another_seed_gives_another_model() -> None:
    assert bits(taught()) != bits(taught(dataclasses.replace(RECIPE, seed=1)))


def test_two_threads_train_a_model_of_the_same_shape() -> None:
    parallel = taught(dataclasses.replace(RECIPE, threads=2))
    assert parallel.item_vectors.shape == taught().item_vectors.shape
    assert np.isfinite(parallel.item_vectors).all()


def matrix_of(model: Model, items: list[str]) -> sp.csr_matrix:
    """Return the products' features, computed again."""
    by_id = {one.product_id: one for one in PRODUCTS}
    matrix = sp.lil_matrix((len(items), len(model.feature_names)), dtype=np.float32)
    for row, item in enumerate(items):
        for name in feature_names(by_id[item], RECIPE.attribute_keys):
            matrix[row, model.feature_rows[name]] = 1
    return matrix.tocsr()


@pytest.mark.parametrize("loss", [Loss.WARP, Loss.BPR])
def test_what_is_learned_is_what_lightfm_alone_learns(loss: Loss) -> None:
    """Compare bit for bit, after a dozen epochs on matrices built by the test."""
    recipe = dataclasses.replace(RECIPE, loss=loss, shared_scale=1.0)
    model = taught(recipe)
    found = interests(LOG)
    items = sorted({found.items[one] for one in found.item.tolist()})
    columns = [items.index(found.items[one]) for one in found.item.tolist()]
    weights = found.weight.astype(np.float32)
    shape = (len(found.actors), len(items))
    theirs = LightFM(
        no_components=recipe.dimension,
        loss=loss.value,
        max_sampled=recipe.max_sampled,
        learning_rate=recipe.learning_rate,
        random_state=recipe.seed,
    )
    theirs.fit(
        sp.coo_matrix((np.ones_like(weights), (found.actor, columns)), shape),
        item_features=matrix_of(model, items),
        sample_weight=sp.coo_matrix((weights, (found.actor, columns)), shape),
        epochs=recipe.epochs,
    )
    np.testing.assert_array_equal(model.feature_vectors, theirs.item_embeddings)
    np.testing.assert_array_equal(model.feature_biases, theirs.item_biases)
    np.testing.assert_array_equal(model.actor_vectors, theirs.user_embeddings)


def test_what_products_share_is_scaled_in_training_and_in_what_is_served() -> None:
    """Check that a product is the plain sum of its features as they are served."""
    model, full = taught(), taught(dataclasses.replace(RECIPE, shared_scale=1.0))
    item = model.item_ids[model.item_rows[PRODUCTS[0].product_id]]
    names = feature_names(PRODUCTS[0], RECIPE.attribute_keys)
    rows = [model.feature_rows[name] for name in names if name in model.feature_rows]
    vector = model.item_vectors[model.item_rows[item]]
    np.testing.assert_allclose(model.feature_vectors[rows].sum(axis=0), vector, atol=1e-6)
    shared = [row for name, row in model.feature_rows.items() if not name.startswith("id=")]
    sizes = (
        np.abs(model.feature_vectors[shared]).mean() / np.abs(full.feature_vectors[shared]).mean()
    )
    assert sizes < 0.5
    assert model.item_features is not None
    assert set(model.item_features.weights.tolist()) == {1.0}


def test_our_order_is_that_of_lightfm_predict() -> None:
    model = taught()
    items = sorted(item for item in model.item_ids if f"id={item}" in model.feature_rows)
    matrix = matrix_of(model, items)
    theirs = LightFM(no_components=RECIPE.dimension)
    nothing = sp.coo_matrix((len(model.actor_rows), len(items)), dtype=np.float32)
    theirs.fit_partial(nothing, item_features=matrix, epochs=0)
    theirs.item_embeddings, theirs.item_biases = model.feature_vectors, model.feature_biases
    theirs.user_embeddings = model.actor_vectors
    theirs.user_biases = np.zeros(len(model.actor_rows), np.float32)
    rows = [model.item_rows[item] for item in items]
    for actor in range(len(model.actor_rows)):
        expected = theirs.predict(actor, np.arange(len(items)), item_features=matrix)
        ours = model.item_vectors[rows] @ model.actor_vectors[actor] + model.item_biases[rows]
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
        assert list(np.argsort(-ours)) == list(np.argsort(-expected))


def test_a_product_that_nobody_likes_is_known_by_its_features_alone() -> None:
    made = taught()
    assert "r4" in made.item_rows
    assert "id=r4" not in made.feature_rows
    shared = ["category=Red", "brand=A", "price_band=EUR:6"]
    rows = [made.feature_rows[name] for name in shared]
    expected = made.feature_vectors[rows].sum(axis=0)
    np.testing.assert_allclose(made.item_vectors[made.item_rows["r4"]], expected, rtol=1e-5)


def test_every_product_is_the_sum_of_the_features_that_the_model_names() -> None:
    made = taught(vectors=drawn_vectors(PRODUCTS))
    table = made.item_features
    assert table is not None
    matrix = sp.csr_matrix((table.weights, table.items, table.starts))
    np.testing.assert_allclose(matrix @ made.feature_vectors, made.item_vectors, rtol=1e-5)
    np.testing.assert_allclose(matrix @ made.feature_biases, made.item_biases, rtol=1e-5)


def test_rows_of_features_are_not_normalised() -> None:
    table = taught().item_features
    assert table is not None
    assert set(table.weights.tolist()) == {1.0}


def test_events_of_unknown_products_and_of_dislike_teach_nothing() -> None:
    noise = [did("x", "unknown", at=1), did("y", "r0", EventType.RATING, at=1, value=1.0)]
    found = fitted(Given(log_of([*EVENTS, *noise]), PRODUCTS), RECIPE)
    assert {"x", "y"}.isdisjoint(found.model.actor_rows)
    assert found.shopper_count == 16


def test_the_logistic_loss_learns_from_what_is_hidden() -> None:
    recipe = dataclasses.replace(RECIPE, loss=Loss.LOGISTIC, epochs=30)
    hides = [did(f"r-{n}", "w0", EventType.HIDE, at=9) for n in range(8)]
    scores = [
        made.item_vectors[made.item_rows["w0"]] @ made.actor_vectors[made.actor_rows["r-0"]]
        + made.item_biases[made.item_rows["w0"]]
        for made in (fit(LOG, PRODUCTS, recipe), fit(log_of([*EVENTS, *hides]), PRODUCTS, recipe))
    ]
    assert scores[1] < scores[0]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [did("x", "unknown")],
        [did("x", "r0", EventType.RATING, value=2.0)],
        [did("x", "r0"), did("x", "r0", EventType.HIDE, at=1)],
    ],
    ids=["no events", "no overlap with the catalog", "only low ratings", "only what is hidden"],
)
def test_where_nobody_likes_anything_training_says_so(events: list[Interaction]) -> None:
    with pytest.raises(DataInsufficient):
        fit(log_of(events), PRODUCTS, RECIPE)


@pytest.mark.parametrize("loss", Loss)
def test_one_event_of_one_product_makes_a_model(loss: Loss) -> None:
    recipe = dataclasses.replace(RECIPE, loss=loss)
    made = fit(log_of([did("ann", "r0")]), [product("r0")], recipe)
    assert made.item_ids == ("r0",)
    assert np.isfinite(made.item_vectors).all()
    assert made.score_scale > 0


def test_products_that_are_all_alike_make_a_model() -> None:
    same = [product(f"r{n}", "Red", brand="A") for n in range(5)]
    vectors = PhotoVectors(tuple(one.product_id for one in same), np.ones((5, 4), np.float32), "v1")
    made = fit(LOG, same, RECIPE, vectors=vectors)
    assert made.styles is None
    assert np.isfinite(made.item_vectors).all()


def test_a_training_that_diverges_says_so() -> None:
    with pytest.raises(TrainingDiverged):
        taught(dataclasses.replace(RECIPE, learning_rate=1e30, epochs=20))


def test_progress_is_reported_of_every_epoch() -> None:
    reported: list[tuple[int, int]] = []
    fitted(Given(LOG, PRODUCTS), RECIPE, lambda done, total: reported.append((done, total)))
    assert reported == [(epoch, RECIPE.epochs) for epoch in range(1, RECIPE.epochs + 1)]


def test_training_learns_which_type_somebody_buys() -> None:
    made = taught(dataclasses.replace(RECIPE, epochs=20))
    scores = made.item_vectors @ made.actor_vectors[made.actor_rows["r-0"]] + made.item_biases
    reds = [made.item_rows[f"r{n}"] for n in range(5)]
    whites = [made.item_rows[f"w{n}"] for n in range(5)]
    assert scores[reds].mean() > scores[whites].mean()


GIVEN = {f"{kind}-{n}": (f"likes={kind}",) for kind in "rw" for n in range(LEAST_SHARED)}


def test_a_newcomer_with_attributes_is_like_those_who_share_them() -> None:
    made = taught(dataclasses.replace(RECIPE, epochs=20), attributes=GIVEN)
    assert made.shopper_feature_names == ("likes=r", "likes=w")
    assert made.shopper_feature_vectors is not None
    reds = [made.item_rows[f"r{n}"] for n in range(5)]
    whites = [made.item_rows[f"w{n}"] for n in range(5)]
    scores = made.item_vectors @ made.shopper_feature_vectors[0]
    assert scores[reds].mean() > scores[whites].mean()


def test_an_attribute_that_few_share_is_no_feature() -> None:
    rare = {f"r-{n}": ("age_band=90-99",) for n in range(LEAST_SHARED - 1)}
    assert taught(attributes=rare).shopper_feature_names == ()


def test_only_attributes_that_the_recipe_names_are_features() -> None:
    given = {actor: (*names, "postcode=75001") for actor, names in GIVEN.items()}
    made = taught(dataclasses.replace(RECIPE, shopper_attribute_keys=("likes",)), attributes=given)
    assert made.shopper_feature_names == ("likes=r", "likes=w")
    assert "postcode=75001" in taught(attributes=given).shopper_feature_names
    np.testing.assert_array_equal(made.actor_vectors, taught(attributes=GIVEN).actor_vectors)


def test_without_ids_a_shopper_is_what_they_gave() -> None:
    made = taught(dataclasses.replace(RECIPE, user_ids=False), attributes=GIVEN)
    assert set(made.actor_rows) == set(GIVEN)
    assert made.shopper_feature_vectors is not None
    np.testing.assert_array_equal(
        made.actor_vectors[made.actor_rows["r-0"]], made.actor_vectors[made.actor_rows["r-1"]]
    )
    np.testing.assert_array_equal(
        made.actor_vectors[made.actor_rows["r-0"]], made.shopper_feature_vectors[0]
    )


def test_without_ids_and_attributes_nobody_is_known() -> None:
    assert taught(dataclasses.replace(RECIPE, user_ids=False)).actor_rows == {}


def test_three_views_of_a_type_of_wine_raise_it(wine_model: Model) -> None:
    """Check each type except Red, from the order of popularity, over 10 seeded draws of three
    wines."""
    products, events = wines()
    types = {one.product_id: one.category for one in products}
    found = interests(log_of(events))
    rows_of = np.array([wine_model.item_rows[item] for item in found.items])
    counts = np.bincount(rows_of[found.item], found.weight, len(wine_model.item_ids))
    rng = np.random.default_rng(7)
    for kind in sorted({*types.values()} - {"Red"}):
        rows = [wine_model.item_rows[item] for item in types if types[item] == kind]
        for _ in range(10):
            viewed = [wine_model.item_ids[row] for row in rng.choice(rows, 3, replace=False)]
            newcomer = fold_in.of(wine_model, None, viewed)
            scores = parts.blended(wine_model, newcomer, {parts.SESSION: 1.0})
            assert _mean_rank(scores, rows) < _mean_rank(counts, rows)


def _mean_rank(scores: np.ndarray, rows: list[int]) -> float:
    ranks = np.empty(len(scores))
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return float(ranks[rows].mean())


def test_behavioural_scores_lie_about_where_cosines_do(wine_model: Model) -> None:
    sizes = []
    for actor in list(wine_model.actor_rows)[:100]:
        scores = parts.blended(wine_model, fold_in.of(wine_model, actor, []), {parts.TASTE: 1.0})
        sizes.append(np.abs(scores) / wine_model.score_scale)
    assert np.quantile(sizes, 0.99) <= 1.0


@pytest.mark.full
@pytest.mark.slow
def test_serving_never_loads_what_trains() -> None:
    code = (
        "import ranker.__main__, sys;"
        "unwanted = 'lightfm', 'scipy', 'optuna', 'ranker.learning.training';"
        "print([m for m in unwanted if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
