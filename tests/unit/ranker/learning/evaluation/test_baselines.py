"""Baselines on examples that are small enough to compute by hand."""

import math

import numpy as np
import pytest

from ranker.learning.evaluation import baselines
from ranker.learning.evaluation.histories import Histories


def shoppers(**rows: list[int]) -> Histories:
    starts = np.cumsum([0, *map(len, rows.values())])
    items = np.array([item for row in rows.values() for item in row], dtype=np.int64)
    return Histories(
        tuple(rows), starts, items, np.zeros(len(items), dtype=bool), np.arange(len(items))
    )


TRAINING = shoppers(ann=[0, 1], bob=[0, 1, 2], eve=[2, 3])


def scores(scorer, *history: int, actor: str = "new") -> np.ndarray:
    return np.asarray(scorer.scores(shoppers(**{actor: list(history)})))[0]


def test_popularity_counts_shoppers_and_is_the_same_for_all() -> None:
    made = baselines.popularity(TRAINING, 5)
    assert scores(made, 3).tolist() == [2, 2, 2, 1, 0]


def test_item_knn_adds_up_the_cosines_of_columns() -> None:
    made = baselines.item_knn(TRAINING, 4)
    assert scores(made, 0).tolist() == pytest.approx([0, 1, 1 / 2, 0])
    assert scores(made, 0, 3)[2] == pytest.approx(1 / 2 + 1 / math.sqrt(2))


def test_without_a_model_comes_what_others_liked_beside_it_and_then_what_is_popular() -> None:
    made = baselines.untrained(shoppers(**{f"s{n}": [0, 3] for n in range(2)}, x=[1], y=[1, 2]), 5)
    assert np.argsort(-scores(made, 0), kind="stable").tolist() == [3, 0, 1, 2, 4]
    assert np.argsort(-scores(made, 2), kind="stable").tolist() == [1, 0, 3, 2, 4]
    assert np.argsort(-scores(made, 4), kind="stable").tolist() == [0, 1, 3, 2, 4]


def test_ease_solves_the_regression_that_its_paper_states() -> None:
    """Solve min |X − XB|² + λ|B|² with a zero diagonal, column by column, as ridge regression."""
    generator = np.random.default_rng(1)
    likes = generator.random((60, 6)) < 0.4
    rows = {f"s{n:02}": np.flatnonzero(row).tolist() for n, row in enumerate(likes) if row.any()}
    made = baselines.ease(shoppers(**rows), 6)
    assert made is not None
    matrix = likes.astype(float)
    for column in range(6):
        rest = [other for other in range(6) if other != column]
        gram = matrix[:, rest].T @ matrix[:, rest] + baselines.EASE_PENALTY * np.eye(5)
        solved = np.linalg.solve(gram, matrix[:, rest].T @ matrix[:, column])
        np.testing.assert_allclose(made.weights[rest, column], solved, rtol=1e-9)
    assert not np.diag(made.weights).any()


def test_ease_is_left_out_where_its_matrix_would_be_too_large() -> None:
    assert baselines.ease(TRAINING, baselines.MOST_DENSE_ITEMS + 1) is None
    names = [one.name for one in baselines.fit_all(TRAINING, baselines.MOST_DENSE_ITEMS + 1)]
    assert names == ["popularity", "item-kNN", "V-SKNN", "sequential rules"]


def test_v_sknn_weighs_last_products_neighbours_and_rarity() -> None:
    made = baselines.session_neighbours(TRAINING, 4)
    ann, bob = (0.5 + 1) / math.sqrt(2), (0.5 + 1) / math.sqrt(3)
    found = scores(made, 0, 1)
    assert found[2] == pytest.approx(bob * math.log(3 / 2))
    assert found[0] == pytest.approx((ann + bob) * math.log(3 / 2))
    assert found[3] == 0


def test_v_sknn_asks_a_known_shopper_s_neighbours_and_not_themselves() -> None:
    made = baselines.session_neighbours(TRAINING, 4)
    assert scores(made, 2, 3, actor="eve")[3] == 0
    assert scores(made, 2, 3, actor="twin")[3] > 0


def test_v_sknn_looks_at_the_nearest_hundred_and_the_last_twenty() -> None:
    many = {f"near{n:03}": [0, 1] for n in range(100)} | {f"far{n}": [0, 2, 3, 4] for n in range(9)}
    made = baselines.session_neighbours(shoppers(**many), 30)
    found = scores(made, 0)
    assert found[1] > 0
    assert found[2] == 0
    aged = scores(made, 1, *range(5, 25))
    assert not aged.any()


def test_sequential_rules_know_direction_and_fade_with_distance() -> None:
    made = baselines.sequential_rules(shoppers(ann=[0, 1, 2], bob=[0, 2]), 3)
    assert scores(made, 0).tolist() == pytest.approx([0, 1, 1 / 2 + 1])
    assert scores(made, 2).tolist() == [0, 0, 0]
    assert scores(made, 0, 1)[2] == pytest.approx(1 + (1 / 2 + 1) / 2)


def test_rules_do_not_run_from_one_shopper_into_the_next() -> None:
    made = baselines.sequential_rules(shoppers(ann=[0], bob=[1]), 2)
    assert not scores(made, 0).any()
