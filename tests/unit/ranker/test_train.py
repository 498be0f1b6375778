import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from lightfm import LightFM

from examples.wines import catalogue
from ranker import artifact, fold_in, packing, signals, train
from ranker.features import feature_names
from ranker.model import DataInsufficient, EventType, Interaction, Money, Product
from ranker.train import Parameters
from tests.fakes.ranker import did, product

PARAMETERS = Parameters(dimension=8, epochs=4)
QUIET = lambda done, total: None  # noqa: E731

PRODUCTS = [product(f"r{n}", "Red", brand="A") for n in range(5)] + [
    product(f"w{n}", "White", brand="B") for n in range(5)
]
EVENTS = [
    did(f"{kind}-{person}", f"{kind}{(person + n) % 4}", EventType.PURCHASE, at=n)
    for kind in "rw"
    for person in range(8)
    for n in range(3)
]


def wines() -> tuple[list[Product], list[Interaction]]:
    products = [
        Product(
            wine.id,
            wine.type,
            wine.brand,
            Money(int(wine.price * 1_000_000), wine.currency),
            wine.tags,
            (
                ("country", wine.attributes.country),
                *(("grape", grape) for grape in wine.attributes.grapes),
            ),
        )
        for wine in catalogue.load_wines()
    ]
    events = [
        Interaction(
            rating.user_id,
            rating.wine_id,
            EventType.RATING,
            rating.value,
            int(rating.time.timestamp() * 1e6),
            rating.event_id,
        )
        for rating in catalogue.load_ratings()
    ]
    return products, events


@pytest.fixture(scope="module")
def wine_training() -> train.Training:
    return train.train(*wines(), Parameters(), QUIET)


def test_the_same_data_in_any_order_give_the_same_model_bit_for_bit() -> None:
    one = train.train(PRODUCTS, EVENTS, PARAMETERS, QUIET)
    other = train.train(PRODUCTS[::-1], EVENTS[::-1], PARAMETERS, QUIET)
    arrays = [artifact.dump_arrays(packing.arrays_of(made.model)) for made in (one, other)]
    assert arrays[0] == arrays[1]
    assert one.model.version == other.model.version


def test_another_seed_gives_another_model() -> None:
    one = train.train(PRODUCTS, EVENTS, PARAMETERS, QUIET)
    other = train.train(PRODUCTS, EVENTS, dataclasses.replace(PARAMETERS, seed=1), QUIET)
    assert one.model.version != other.model.version


def test_our_order_is_that_of_lightfm_predict() -> None:
    """The same fit by hand, asked through LightFM's own predict."""
    liked = signals.positives(EVENTS)
    fitted = train.fit(PRODUCTS, liked, PARAMETERS, lambda done: None)
    items = sorted({one.product_id for one in liked})
    by_id = {one.product_id: one for one in PRODUCTS}
    features = [feature_names(by_id[item], PARAMETERS.attribute_keys) for item in items]
    columns = {name: column for column, name in enumerate(fitted.feature_names)}
    matrix = sp.lil_matrix((len(items), len(columns)), dtype=np.float32)
    for row, names in enumerate(features):
        for name in names:
            matrix[row, columns[name]] = 1
    theirs = LightFM(no_components=PARAMETERS.dimension)
    nothing = sp.coo_matrix((len(fitted.actors), len(items)), dtype=np.float32)
    theirs.fit_partial(nothing, item_features=matrix.tocsr(), epochs=0)
    theirs.item_embeddings, theirs.item_biases = fitted.feature_vectors, fitted.feature_biases
    theirs.user_embeddings = fitted.actor_vectors
    theirs.user_biases = np.zeros(len(fitted.actors), np.float32)
    made = train.train(PRODUCTS, EVENTS, PARAMETERS, QUIET).model
    rows = [made.item_rows[item] for item in items]
    for actor in fitted.actors:
        expected = theirs.predict(
            fitted.actors.index(actor), np.arange(len(items)), item_features=matrix.tocsr()
        )
        vector = made.actor_vectors[made.actor_rows[actor]]
        ours = made.item_vectors[rows] @ vector + made.item_biases[rows]
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
        assert list(np.argsort(-ours)) == list(np.argsort(-expected))


def test_a_product_that_nobody_likes_is_known_by_its_features_alone() -> None:
    made = train.train(PRODUCTS, EVENTS, PARAMETERS, QUIET).model
    assert "r4" in made.item_rows
    assert "id=r4" not in made.feature_rows
    shared = ["category=Red", "brand=A", "price_band=EUR:6"]
    rows = [made.feature_rows[name] for name in shared]
    expected = made.feature_vectors[rows].sum(axis=0)
    np.testing.assert_allclose(made.item_vectors[made.item_rows["r4"]], expected, rtol=1e-5)


def test_events_of_unknown_products_and_of_dislike_teach_nothing() -> None:
    noise = [did("x", "unknown", at=1), did("y", "r0", EventType.RATING, at=1, value=1.0)]
    made = train.train(PRODUCTS, [*EVENTS, *noise], PARAMETERS, QUIET)
    assert {"x", "y"}.isdisjoint(made.model.actor_rows)
    assert made.about["data"]["shopper_count"] == 16


@pytest.mark.parametrize(
    "events", [[], [did("x", "unknown")], [did("x", "r0", EventType.RATING, value=2.0)]]
)
def test_where_nobody_likes_anything_training_says_so(events: list[Interaction]) -> None:
    with pytest.raises(DataInsufficient):
        train.train(PRODUCTS, events, PARAMETERS, QUIET)


def test_progress_tells_of_every_epoch_of_both_fits() -> None:
    told: list[tuple[int, int]] = []
    train.train(PRODUCTS, EVENTS, PARAMETERS, lambda done, total: told.append((done, total)))
    assert told == [(epoch, 8) for epoch in range(1, 9)]


def test_training_learns_which_type_somebody_buys() -> None:
    parameters = dataclasses.replace(PARAMETERS, epochs=20)
    made = train.train(PRODUCTS, EVENTS, parameters, QUIET).model
    scores = made.item_vectors @ made.actor_vectors[made.actor_rows["r-0"]] + made.item_biases
    reds = [made.item_rows[f"r{n}"] for n in range(5)]
    whites = [made.item_rows[f"w{n}"] for n in range(5)]
    assert scores[reds].mean() > scores[whites].mean()


def test_the_wines_metrics_name_how_many_people_they_rest_on(
    wine_training: train.Training,
) -> None:
    figures = {one.name: one for one in wine_training.metrics}
    assert {"hit@10", "ndcg@10", "auc", "popularity_ndcg@10"} <= set(figures)
    assert figures["ndcg@10"].sample_count == 56
    assert 0.5 < figures["auc"].value < 1


def test_three_views_of_a_type_of_wine_raise_it(wine_training: train.Training) -> None:
    """For each type but Red, from the order of popularity; over 10 seeded draws of three."""
    made = wine_training.model
    types = {one.product_id: one.category for one in wines()[0]}
    counts = np.zeros(len(made.item_ids))
    for one in wine_training.positives:
        counts[made.item_rows[one.product_id]] += one.weight
    rng = np.random.default_rng(7)
    for kind in sorted({*types.values()} - {"Red"}):
        rows = [made.item_rows[item] for item in types if types[item] == kind]
        for _ in range(10):
            viewed = [made.item_ids[row] for row in rng.choice(rows, 3, replace=False)]
            newcomer = fold_in.of(made, None, viewed)
            scores = made.item_vectors @ fold_in.query(newcomer, 30) + made.item_biases
            assert _mean_rank(scores, rows) < _mean_rank(counts, rows)


def _mean_rank(scores: np.ndarray, rows: list[int]) -> float:
    ranks = np.empty(len(scores))
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return float(ranks[rows].mean())


def test_behavioural_scores_lie_about_where_cosines_do(wine_training: train.Training) -> None:
    made = wine_training.model
    sizes = []
    for actor in list(made.actor_rows)[:100]:
        vector = fold_in.query(fold_in.of(made, actor, []), 30)
        sizes.append(np.abs(made.item_vectors @ vector + made.item_biases) / made.score_scale)
    assert np.quantile(sizes, 0.99) <= 1.0


def test_serving_never_loads_lightfm_or_scipy() -> None:
    import subprocess

    code = (
        "import ranker.__main__, sys; print([m for m in ('lightfm','scipy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]", Path.cwd()


def test_a_version_has_one_manifest_so_that_a_serving_model_is_never_written_over() -> None:
    one = train.train(PRODUCTS, EVENTS, PARAMETERS, QUIET)
    later = [*EVENTS, did("stranger", "not-in-the-catalogue", EventType.HIDE, at=50)]
    other = train.train(PRODUCTS, later, PARAMETERS, QUIET)
    assert one.about != other.about
    assert one.model.version != other.model.version
