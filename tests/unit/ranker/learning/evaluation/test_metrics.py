"""Figures compared with values computed by hand and with slow, plain definitions."""

import math
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker.learning.evaluation import metrics
from ranker.learning.evaluation.histories import Histories
from ranker.learning.evaluation.metrics import NOBODY


def shoppers(*rows: list[int]) -> Histories:
    starts = np.cumsum([0, *map(len, rows)])
    items = np.array([item for row in rows for item in row], dtype=np.int64)
    actors = tuple(f"s{row}" for row in range(len(rows)))
    return Histories(actors, starts, items, np.zeros(len(items), dtype=bool), np.arange(len(items)))


def lists(scores: list[float], wanted: list[int], known: list[int] | None = None):
    return metrics.order(
        np.array([scores]), shoppers(known or []), shoppers(wanted), np.ones(len(scores), bool)
    )


def figures(scores: list[float], wanted: list[int], known: list[int] | None = None):
    made = lists(scores, wanted, known)
    found = metrics.by_shopper(made, shoppers([0]), sp.csr_matrix((len(scores), 1)))
    return {name: values[0] for name, values in found.items()}


FALLING = [-float(n) for n in range(30)]


def test_a_perfect_order_scores_one_and_a_reversed_one_zero() -> None:
    best = figures(FALLING, [0, 1])
    for name in ("ndcg@5", "map@5", "mrr@5", "hit@5", "recall@5", "auc"):
        assert best[name] == pytest.approx(1)
    assert best["precision@5"] == pytest.approx(2 / 5)
    worst = figures(FALLING, [28, 29])
    assert all(worst[name] == 0 for name in ("ndcg@20", "map@20", "mrr@20", "hit@20", "auc"))


def test_hits_at_the_second_and_fourth_place_are_worth_what_the_definitions_say() -> None:
    found = figures(FALLING, [1, 3, 25])
    assert found["precision@5"] == pytest.approx(2 / 5)
    assert found["recall@5"] == pytest.approx(2 / 3)
    gain, best = 1 / math.log2(3) + 1 / math.log2(5), 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert found["ndcg@5"] == pytest.approx(gain / best)
    assert found["map@5"] == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert found["mrr@5"] == pytest.approx(1 / 2)
    assert found["auc"] == pytest.approx((26 + 25 + 4) / (3 * 27))


def test_what_is_known_does_not_compete() -> None:
    assert figures(FALLING, [1], known=[0])["mrr@5"] == 1
    assert lists(FALLING, [1], [0]).first[0, 0] == 1


def test_ties_go_to_the_earlier_row_and_count_half_in_auc() -> None:
    made = lists([1.0, 1.0, 1.0, 0.0], [2])
    assert made.first[0, :4].tolist() == [0, 1, 2, 3]
    assert made.auc[0] == pytest.approx((0.5 + 0.5 + 1) / 3)


def test_a_list_of_fewer_products_than_asked_for_ends_early() -> None:
    made = lists([0.0, 1.0], [0])
    assert made.first[0, :3].tolist() == [1, 0, NOBODY]
    assert figures([0.0, 1.0], [0])["precision@5"] == pytest.approx(1 / 5)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_figures_agree_with_plain_definitions(data) -> None:
    count = data.draw(st.integers(3, 40))
    scores = data.draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    items = st.sets(st.integers(0, count - 1), max_size=count // 2)
    known = data.draw(items)
    wanted = data.draw(items.filter(lambda one: one - known)) - known
    order = sorted((i for i in range(count) if i not in known), key=lambda i: (-scores[i], i))
    found = figures([float(score) for score in scores], sorted(wanted), sorted(known))
    for k in metrics.CUTOFFS:
        hits = [item in wanted for item in order[:k]]
        gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(hits) if hit)
        best = sum(1 / math.log2(place + 2) for place in range(min(k, len(wanted))))
        precisions = [sum(hits[: n + 1]) / (n + 1) for n, hit in enumerate(hits) if hit]
        assert found[f"precision@{k}"] == pytest.approx(sum(hits) / k)
        assert found[f"recall@{k}"] == pytest.approx(sum(hits) / len(wanted))
        assert found[f"ndcg@{k}"] == pytest.approx(gain / best)
        assert found[f"map@{k}"] == pytest.approx(sum(precisions) / min(k, len(wanted)))
        assert found[f"mrr@{k}"] == (1 / (hits.index(True) + 1) if any(hits) else 0)
        assert found[f"hit@{k}"] == any(hits)
    others = [i for i in order if i not in wanted]
    pairs = [(scores[i] > scores[j]) + (scores[i] == scores[j]) / 2 for i in wanted for j in others]
    assert found["auc"] == pytest.approx(np.mean(pairs) if pairs else 0.5)


def test_novelty_and_popularity_come_from_who_likes_what_is_listed() -> None:
    training = shoppers([0, 1], [0], [0], [0])
    made = lists([2.0, 1.0], [1])
    found = metrics.by_shopper(made, training, sp.csr_matrix((2, 1)))
    assert found["novelty@10"][0] == pytest.approx((-math.log2(4 / 5) - math.log2(1 / 5)) / 2)
    assert found["popularity@10"][0] == pytest.approx((4 / 4 + 1 / 4) / 2)


def test_diversity_is_one_less_the_mean_cosine_of_all_pairs() -> None:
    generator = np.random.default_rng(3)
    features = generator.random((12, 4))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    made = lists([-float(n) for n in range(12)], [0])
    found = metrics.by_shopper(made, shoppers([0]), sp.csr_matrix(features))["diversity@10"][0]
    cosines = [features[i] @ features[j] for i, j in combinations(range(10), 2)]
    assert found == pytest.approx(1 - np.mean(cosines))


def test_coverage_and_gini_speak_of_all_lists_together() -> None:
    scores = np.array([[-float(n) for n in range(40)]] * 2)
    nobody = shoppers([], [])
    made = metrics.order(scores, nobody, shoppers([0], [0]), np.ones(40, bool))
    found = metrics.of_all_lists(made, np.ones(40, bool))
    assert found["coverage@10"] == pytest.approx(10 / 40)
    assert found["gini@10"] == pytest.approx(1 - 10 / 40)
    lift = metrics.popularity_lift(made, shoppers([39], [39]), shoppers([0], [0], [39]))
    assert lift == pytest.approx((2 / 10) / 1 - 1)
    assert metrics.popularity_lift(made, shoppers([39], [39]), shoppers([0])) == 0


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_gini_is_half_the_mean_difference_over_the_mean(counts) -> None:
    found = metrics.gini(np.array(counts))
    total = sum(counts)
    spread = sum(abs(a - b) for a in counts for b in counts)
    assert found == pytest.approx(spread / (2 * len(counts) * total) if total else 0)


def test_exposure_is_the_share_of_places_of_a_group() -> None:
    made = lists([3.0, 2.0, 1.0], [0])
    assert metrics.exposure(made, np.array([0, 1, 1]), 2).tolist() == pytest.approx([1 / 3, 2 / 3])
