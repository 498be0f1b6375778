"""Parameters of baselines are the best ones on the newest part of the training, and only there."""

from collections.abc import Callable

import numpy as np
import pytest

from ranker.domain.events import DAY_MICROS, EventType
from ranker.domain.log import log_of
from ranker.domain.recipe import ItemItem, Recipe
from ranker.learning.evaluation import baselines, metrics, systems, tuning
from ranker.learning.evaluation.baselines import Scorer
from ranker.learning.evaluation.histories import Histories
from ranker.learning.evaluation.splits import Task
from ranker.learning.evaluation.tuning import PENALTIES
from ranker.learning.training.fitting import fitted
from ranker.learning.training.training_data import Given
from ranker.serving.ranking import fold_in, parts
from tests.fakes.ranker import did, product

ITEMS = 30


def drawn(count: int, seed: int = 0) -> Histories:
    """Return shoppers with 12 products each, most from one of three kinds."""
    draw = np.random.default_rng(seed)
    rows = []
    for shopper in range(count):
        odds = np.where(np.arange(ITEMS) % 3 == shopper % 3, 6.0, 1.0)
        rows.append(draw.choice(ITEMS, 12, replace=False, p=odds / odds.sum()))
    starts = np.arange(0, 12 * count + 1, 12)
    items, times = np.concatenate(rows), np.tile(np.arange(12), count) * DAY_MICROS
    names = tuple(f"s{n:03}" for n in range(count))
    return Histories(names, starts, items, np.zeros(len(items), bool), times)


def test_the_chosen_penalty_predicts_the_newest_fifth_of_the_training_best() -> None:
    training = drawn(90)
    newer = training.newest_share(0.2)
    assert newer.lengths.tolist() == [3] * 90
    older = training.without(newer)
    task = Task(older, newer, np.ones(ITEMS, bool))
    gains = {}
    for penalty in PENALTIES:
        fit = baselines.ease(older, ITEMS, penalty)
        assert fit is not None
        found = metrics.accuracy(systems.lists(fit, task), 10)["ndcg@10"]
        gains[penalty] = float(found.mean())
    said = {one.scorer.name: one for one in tuning.fit_all(training, ITEMS)}
    chosen = max(gains, key=gains.__getitem__)
    assert said["EASE"].settings == f"λ {chosen:g}, all products"
    whole = baselines.ease(training, ITEMS, chosen)
    assert whole is not None
    np.testing.assert_array_equal(said["EASE"].scorer.scores(older), whole.scores(older))


def test_too_few_shoppers_choose_nothing() -> None:
    found = tuning.fit_all(drawn(20), ITEMS)
    assert {one.settings for one in found} == {""}
    assert [one.scorer.name for one in found[:5]] == [
        *("popularity", "no model", "popularity of 7 days", "item-kNN", "EASE")
    ]


def test_popularity_of_seven_days_counts_only_those() -> None:
    training = drawn(5)
    recent = training.times >= 4 * DAY_MICROS
    expected = np.bincount(training.items[recent], minlength=ITEMS)
    made = baselines.recent_popularity(training, ITEMS)
    np.testing.assert_array_equal(made.scores(training)[0], expected)


def test_shuffled_histories_hold_the_same_products_of_each_shopper() -> None:
    training = drawn(40)
    mixed = training.shuffled(1)
    assert (mixed.items != training.items).mean() > 0.5
    for row in range(40):
        assert sorted(mixed.of(row)) == sorted(training.of(row))
    np.testing.assert_array_equal(mixed.times, training.times)
    np.testing.assert_array_equal(mixed.items, training.shuffled(1).items)


PENALTY = 50.0


@pytest.mark.parametrize(
    ("kind", "baseline"),
    [
        (ItemItem.COSINE, lambda training: baselines.item_knn(training, ITEMS)),
        (ItemItem.EASE, lambda training: baselines.ease(training, ITEMS, PENALTY)),
    ],
)
def test_a_scene_orders_as_a_baseline_with_a_model_that_was_trained_for_it(
    kind: ItemItem, baseline: Callable[[Histories], Scorer]
) -> None:
    training = drawn(60)
    log = log_of(
        did(training.actors[row], f"p{item:02}", EventType.RATING, value=5)  # of weight 1
        for row, item in zip(training.rows, training.items, strict=True)
    )
    products = [product(f"p{n:02}") for n in range(ITEMS)]
    recipe = Recipe(dimension=2, epochs=1, attribute_keys=(), item_item=kind, ease_penalty=PENALTY)
    model = fitted(Given(log, products), recipe).model
    factors = parts.factors(model, {parts.ITEM_ITEM: 1.0})
    one = training.newest(1)
    for row, scores in enumerate(baseline(training).scores(one)):
        shopper = fold_in.of(model, None, [f"p{one.of(row)[0]:02}"])
        raw = parts.raw_parts(model, shopper, parts.all_items(model))
        ours = sum(parts.weighed(raw, factors).values())
        np.testing.assert_allclose(ours / np.max(ours), scores / scores.max(), atol=1e-5)
