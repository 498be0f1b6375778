import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.domain.events import EventType, History
from ranker.domain.model import Calibration
from ranker.serving.ranking import fold_in
from ranker.serving.ranking.rank import (
    RankCandidates,
    calibrated,
    needs_popularity,
    rank,
)
from tests.fakes import ranker as fakes
from tests.fakes.ranker import model, product

ALL = {"visual": 1.0, "taste": 1.0, "session": 1.0, "popularity": 1.0}
MODEL = model(
    {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [-1.0, 0.0]},
    actors={"ann": [0.0, 2.0]},
    features={"category=Red": [0.5, 0.0], "id=z": [9.0, 9.0]},
    biases={"b": 0.25},
    score_scale=4.0,
)
NOBODY = fold_in.of(MODEL, None, [])


def candidates(*ids: str, visual: list[float] | None = None, fused: list[float] | None = None):
    similarities = {} if visual is None else {"visual": visual}
    return fakes.candidates([product(item) for item in ids], similarities, fused)


def ordered(given: RankCandidates, **options) -> list[str]:
    ranking = rank(given, **{"history": History(), **options})
    return [given.ids[row] for row in ranking.rows]


def test_similarity_orders_and_a_candidate_that_a_branch_did_not_name_gets_nothing() -> None:
    given_ = candidates("a", "b", "c", visual=[0.2, np.nan, 0.9])
    ranking = rank(given_, ALL, NOBODY, None, None, history=History())
    assert [given_.ids[row] for row in ranking.rows] == ["c", "a", "b"]
    np.testing.assert_allclose(ranking.parts["visual"], [0.9, 0.2, 0.0])


def test_taste_is_the_models_score_over_its_scale() -> None:
    ranking = rank(
        candidates("a", "b"), ALL, fold_in.of(MODEL, "ann", []), MODEL, None, history=History()
    )
    assert list(ranking.rows) == [1, 0]
    np.testing.assert_allclose(ranking.parts["taste"], [(2.0 + 0.25) / 4, 0.0])
    assert "session" not in ranking.parts


def test_what_the_model_holds_of_a_product_for_anybody_is_no_part_of_the_session() -> None:
    one = candidates("b")
    newcomer = rank(one, ALL, fold_in.of(MODEL, "x", ["b"]), MODEL, None, history=History())
    known = rank(one, ALL, fold_in.of(MODEL, "ann", ["b"]), MODEL, None, history=History())
    assert newcomer.parts["session"][0] == pytest.approx(2 * (2 / 3) / 4)  # shrunk
    assert newcomer.parts["popularity"][0] == pytest.approx(2 * 0.25 / 4)  # its bias
    assert newcomer.raw_scores[0] == pytest.approx(2 * (2 / 3 + 0.25) / 4)
    assert "popularity" not in known.parts
    assert known.parts["session"][0] == pytest.approx(2.0 / 4)
    assert known.parts["taste"][0] == pytest.approx(2.25 / 4)


def test_popularity_counts_only_for_those_of_whom_nothing_is_known() -> None:
    popularity = np.array([0.25, 1.0])
    given_ = candidates("a", "b")
    ranking = rank(given_, ALL, NOBODY, MODEL, popularity, history=History())
    np.testing.assert_allclose(ranking.parts["popularity"], [1.0, 0.5])
    personal = fold_in.of(MODEL, "ann", [])
    assert (
        "popularity" not in rank(given_, ALL, personal, MODEL, popularity, history=History()).parts
    )
    assert not needs_popularity(ALL, personal)
    assert not needs_popularity({"visual": 1.0}, NOBODY)


def test_a_part_without_a_weight_is_left_out() -> None:
    ranking = rank(
        candidates("a", visual=[1.0]),
        {},
        fold_in.of(MODEL, "ann", ["a"]),
        MODEL,
        None,
        history=History(),
    )
    assert ranking.parts == {}
    assert list(ranking.raw_scores) == [0.0]


def test_a_product_added_after_training_is_represented_by_the_features_that_it_shares() -> None:
    new = fakes.candidates([product("z2", "Red"), product("y")])
    viewer = fold_in.of(MODEL, "x", ["a"])
    ranking = rank(new, ALL, viewer, MODEL, None, history=History())
    assert list(ranking.rows) == [0, 1]
    np.testing.assert_allclose(ranking.parts["session"], [2 * 0.5 * (2 / 3) / 4, 0.0])


def test_hidden_products_are_dropped_and_counted_and_seen_ones_only_on_request() -> None:
    history = History(hidden=frozenset({"a"}), seen=frozenset({"a", "b"}))
    given_ = candidates("a", "b", "c", visual=[0.9, 0.8, 0.7])
    kept = rank(given_, ALL, NOBODY, None, None, history=history)
    assert (kept.hidden_count, kept.seen_count, len(kept.rows)) == (1, 0, 2)
    fresh = rank(given_, ALL, NOBODY, None, None, history=history, drop_seen=True)
    assert (fresh.hidden_count, fresh.seen_count) == (1, 1)
    assert [given_.ids[row] for row in fresh.rows] == ["c"]


def test_equal_scores_are_ordered_by_fusion_then_by_id() -> None:
    given_ = candidates("d", "c", "b", "a", fused=[0.1, 0.2, 0.1, 0.1])
    assert ordered(given_, weights=ALL, shopper=NOBODY, model=None, popularity=None) == list("cabd")


def test_taking_the_first_keeps_the_best_and_counts_all_that_were_hidden() -> None:
    given_ = candidates("a", "b", "c", visual=[0.1, 0.2, 0.3])
    history = History(hidden=frozenset({"a"}))
    ranking = rank(given_, ALL, NOBODY, None, None, history=history).take(slice(1))
    assert [given_.ids[row] for row in ranking.rows] == ["c"]
    assert ranking.hidden_count == 1


numbers = st.floats(-1, 1, width=32)
vectors = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12)


@given(
    vectors=vectors,
    user=st.tuples(numbers, numbers),
    weight=st.floats(0, 1000),
    seed=st.integers(0, 9),
)
def test_the_raw_score_is_the_sum_of_its_parts_whatever_the_numbers(
    vectors: list[tuple[float, float]], user: tuple[float, float], weight: float, seed: int
) -> None:
    ids = [f"p{n:02}" for n in range(len(vectors))]
    made = model(dict(zip(ids, vectors, strict=True)), actors={"ann": user}, score_scale=0.01)
    similarities = np.random.default_rng(seed).uniform(-1, 1, len(ids))
    given_ = fakes.candidates(
        list(map(product, ids)), {"visual": similarities, "text": -similarities}
    )
    weights = ALL | {"text": weight, "taste": weight}
    ranking = rank(given_, weights, fold_in.of(made, "ann", ids[:2]), made, None, history=History())
    parts = np.stack(list(ranking.parts.values()))
    assert set(ranking.parts) == {"visual", "text", "taste", "session"} - (
        {"text", "taste"} if weight == 0 else set()
    )
    bound = 1e-6 * np.abs(parts).sum(axis=0)
    assert (np.abs(ranking.raw_scores - parts.sum(axis=0)) <= bound).all()
    assert (np.diff(ranking.raw_scores) <= 0).all()


def test_a_calibration_is_linear_between_its_knots_and_level_beyond_them() -> None:
    knots = Calibration(EventType.CLICK, np.array([0.0, 1.0, 2.0]), np.array([0.1, 0.2, 0.6]), 999)
    made = dataclasses.replace(MODEL, calibration=knots)
    found = calibrated(made, np.array([-5.0, 0.5, 1.5, 9.0]))
    np.testing.assert_allclose(found, [0.1, 0.15, 0.4, 0.6])
    assert calibrated(MODEL, np.zeros(1)) is None
    assert calibrated(None, np.zeros(1)) is None
