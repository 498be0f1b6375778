import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.domain.arrays import Neighbours
from ranker.domain.events import History
from ranker.domain.features import shopper_feature_names
from ranker.domain.model import Model
from ranker.serving.ranking import fold_in, parts
from ranker.serving.ranking.fold_in import LIKED_PRIOR, FoldIn, HistoryWindow, HistoryWindows
from sightline_core.parts import BY_NUMBER
from tests.fakes.ranker import model

IDS = tuple("abcd")
TABLE = np.array([[0, 2, 0, 1], [3, 0, 0, 0], [0, 0, 0, 0], [0, 0, 5, 0]], np.float32)
TOGETHER = np.array([[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.float32)


def neighbours(table: np.ndarray) -> Neighbours:
    """Return the table as a sparse matrix; row j has the weights given j."""
    rows, items = np.nonzero(table)
    starts = np.searchsorted(rows, np.arange(len(table) + 1))
    return Neighbours(starts, items.astype(np.int32), table[rows, items])


def full(**fields: object) -> Model:
    """Return a model with every part."""
    made = model(
        {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [-1.0, 0.0], "d": [0.5, 0.5]},
        actors={"ann": [0.0, 2.0]},
        biases={"b": 0.25, "d": -0.5},
        score_scale=4.0,
    )
    values: dict[str, object] = {
        "neighbours": {"item_item": neighbours(TABLE), "bought_together": neighbours(TOGETHER)},
        "popularity": np.array([1.0, 0.25, 0.0, 0.04], np.float32),
        "numbers": dict.fromkeys(BY_NUMBER, np.array([0.0, 1.5, -0.5, 0.25], np.float32)),
        "blend": dict.fromkeys(parts.OWN_PARTS, 1.0),
        **fields,
    }
    return dataclasses.replace(made, **values)


def test_neighbours_of_the_last_products_add_up_and_fade() -> None:
    windows = HistoryWindows(liked=HistoryWindow(2, decay=0.5))
    shopper = fold_in.of(full(), "x", ["a", "new", "b", "d"], windows=windows)
    found = parts.raw_parts(full(), shopper, parts.all_items(full()))
    evidence = 1.5 / (1.5 + LIKED_PRIOR)
    np.testing.assert_allclose(found[parts.ITEM_ITEM], evidence * (TABLE[0] + 0.5 * TABLE[1]))


def test_only_what_was_bought_speaks_for_what_is_bought_with_it() -> None:
    made = full()
    viewed = parts.raw_parts(made, fold_in.of(made, "x", ["a", "c"]), parts.all_items(made))
    assert "bought_together" not in viewed
    shopper = fold_in.of(made, "x", ["a", "c"], bought=["c"])
    found = parts.raw_parts(made, shopper, parts.all_items(made))
    np.testing.assert_allclose(found["bought_together"], TOGETHER[2])


def test_candidates_get_what_the_whole_catalog_gives_them_and_unseen_ones_no_neighbours() -> None:
    made = full()
    shopper = fold_in.of(made, "ann", ["a", "b"], bought=["a"])
    rows = np.array([3, parts.UNKNOWN, 0])
    items = parts.Items(
        vectors=made.item_vectors[rows] * (rows >= 0)[:, None],
        biases=made.item_biases[rows] * (rows >= 0),
        rows=rows,
    )
    everything = parts.raw_parts(made, shopper, parts.all_items(made))
    found = parts.raw_parts(made, shopper, items)
    others = {parts.CONTENT, parts.POPULARITY}
    assert set(found) == set(everything) == set(parts.OWN_PARTS) - others
    for name, values in found.items():
        np.testing.assert_allclose(values[[0, 2]], everything[name][[3, 0]], rtol=1e-6)
        assert values[1] == 0


def test_popularity_is_a_part_only_of_those_of_whom_nothing_is_known() -> None:
    made = full()
    nobody = parts.raw_parts(made, FoldIn(), parts.all_items(made))
    assert set(nobody) == {parts.POPULARITY}
    np.testing.assert_allclose(nobody[parts.POPULARITY], [1.0, 0.5, 0.0, 0.2], rtol=1e-6)
    assert parts.raw_parts(full(popularity=None), FoldIn(), parts.all_items(made)) == {}


@pytest.mark.parametrize("shopper", [FoldIn(), fold_in.of(full(), "ann", ["a"], ["a"])])
def test_parts_that_are_not_wanted_are_left_out(shopper: FoldIn) -> None:
    items = parts.all_items(full())
    every = parts.raw_parts(full(), shopper, items)
    assert every
    for name in parts.OWN_PARTS:
        found = parts.raw_parts(full(), shopper, items, {name})
        assert set(found) == {name} & set(every)


def test_a_factor_is_the_scenes_weight_times_the_blend_over_the_scale() -> None:
    made = full(blend={"taste": 1.0, "item_item": 0.5}, part_scales={"item_item": 2.0})
    assert parts.factors(made) == {"taste": 0.25, "item_item": 0.25, "popularity": 1.0}
    assert parts.factors(made, {"item_item": 4.0, "visual": 1.0}) == {"item_item": 1.0}


def test_a_model_without_a_blend_counts_the_session_twice_and_no_neighbours() -> None:
    assert parts.factors(full(blend={})) == {"taste": 0.25, "session": 0.5, "popularity": 1.0}


DAY = 24 * fold_in.HOUR_MICROS


def told(**fields: object) -> Model:
    """Return a model that has weights of its own for newcomers and for shoppers who return."""
    returning = {"taste": 3.0, "popularity": 2.0, "trend": 0.5}
    return full(newcomers={"trend": 0.0}, returning=returning, **fields)


BERN = (("city", "Bern"),)


def given_city(**fields: object) -> Model:
    """Return `told` with a vector of shoppers who live in Bern."""
    (name,) = shopper_feature_names(BERN)
    vectors = np.array([[1.0, 0.0]], np.float32)
    return dataclasses.replace(
        told(), shopper_feature_rows={name: 0}, shopper_feature_vectors=vectors, **fields
    )


def test_the_fewer_events_a_newcomer_has_the_less_a_trend_counts() -> None:
    made, usual = told(), parts.factors(full())
    less = {name: usual[name] for name in usual if name != parts.POPULARITY}
    for viewed, share in (["a"], 1 / 6), (["a", "b", "new"], 2 / 7):
        found = parts.factors(made, None, fold_in.of(made, "x", viewed))
        assert found == {**less, "trend": pytest.approx(share)}
    assert parts.factors(made, None, fold_in.of(made, "ann", ["a"])) == usual
    anchored = fold_in.by_anchors(made, "x", History(), ["a"])
    assert parts.factors(made, None, anchored) == parts.factors(full(), None, anchored)


def test_the_weights_of_those_who_return_come_in_as_their_last_products_fade() -> None:
    made, usual = told(), parts.factors(full())
    returning = fold_in.of(made, "ann", ["a"], idle_micros=2 * DAY)
    found = parts.factors(made, None, returning)
    assert found == {**usual, "taste": 2.5 / 4, "popularity": 1.5, "trend": 0.625}
    scores = parts.raw_parts(made, returning, parts.all_items(made))[parts.POPULARITY]
    np.testing.assert_allclose(scores, [1.0, 0.5, 0.0, 0.2], rtol=1e-6)
    without = parts.factors(made, {"taste": 2.0, "session": 1.0}, returning)
    assert without == {"taste": 5 / 4, "session": usual["session"]}


def test_a_model_of_an_older_release_scores_all_shoppers_by_its_blend() -> None:
    old, usual = full(), parts.factors(full())
    less = {name: usual[name] for name in usual if name != parts.POPULARITY}
    assert parts.factors(old, None, fold_in.of(old, "x", ["a"])) == less
    found = parts.factors(old, None, fold_in.of(old, "ann", ["a"], idle_micros=9 * DAY))
    assert found == less
    given_ = given_city(newcomers={}, returning={})
    for viewed in [], ["a"]:
        shopper = fold_in.of(given_, "x", viewed, attributes=BERN, idle_micros=9 * DAY)
        assert parts.factors(given_, None, shopper) == less


def test_who_is_known_by_attributes_alone_is_a_newcomer_and_does_not_return() -> None:
    made, usual = given_city(), parts.factors(full())
    less = {name: usual[name] for name in usual if name != parts.POPULARITY}
    for viewed, idle in itertools.product((["a"], ["a", "b", "new"]), (0, 9 * DAY)):
        share = fold_in.of(made, "x", viewed).usual
        shopper = fold_in.of(made, "x", viewed, attributes=BERN, idle_micros=idle)
        assert shopper.long_term is not None
        found = parts.factors(made, None, shopper)
        assert found == {**less, "trend": pytest.approx(share)}
        assert parts.POPULARITY not in parts.raw_parts(made, shopper, parts.all_items(made))
    unseen = fold_in.by_history(made, "x", History(attributes=BERN), 500 * DAY)
    del less["trend"]
    assert parts.factors(made, None, unseen) == less
    assert not unseen.by_popularity
    assert parts.factors(made, None, fold_in.of(made, "x", [])) == usual, "of whom nothing is known"


def test_shares_tell_by_how_much_a_shoppers_weights_differ_from_the_blend() -> None:
    made = given_city(blend={**dict.fromkeys(parts.OWN_PARTS, 2.0), "popularity": 0.0})
    few, late = fold_in.of(made, "x", ["a"]), fold_in.of(made, "ann", ["a"], idle_micros=2 * DAY)
    assert parts.shares(made, fold_in.of(made, "ann", ["a"])) == {}
    assert parts.shares(made, FoldIn()) == {}
    assert parts.shares(full(), late) == {}
    assert parts.shares(made, few) == {"trend": pytest.approx(1 / 6)}
    assert parts.shares(made, late) == {"taste": 2.75 / 2, "trend": 0.875 / 2, "popularity": 1.5}
    for shopper in few, late:
        found, usual = parts.factors(made, None, shopper), parts.factors(made)
        for name, share in parts.shares(made, shopper).items():
            assert found[name] / share == pytest.approx(usual[name])


numbers = st.floats(-3, 3, width=16)


@given(
    actor=st.sampled_from(["ann", "x"]),
    viewed=st.lists(st.sampled_from(IDS), unique=True),
    weights=st.tuples(*[st.floats(0, 4)] * len(parts.OWN_PARTS)),
    decay=st.floats(0.1, 1),
    idle=st.sampled_from([0, 1, 30]),
)
def test_one_pass_over_the_catalog_is_the_sum_of_the_parts(
    actor: str, viewed: list[str], weights: tuple[float, ...], decay: float, idle: int
) -> None:
    made = told()
    windows = HistoryWindows(
        HistoryWindow(2, decay), HistoryWindow(3, decay), HistoryWindow(1, decay)
    )
    bought, age = viewed[1:], idle * DAY
    shopper = fold_in.of(made, actor, viewed, bought, windows, idle_micros=age)
    given_ = dict(zip(parts.OWN_PARTS, weights, strict=True))
    factors = parts.factors(made, given_, shopper)
    each = parts.weighed(parts.raw_parts(made, shopper, parts.all_items(made)), factors)
    total = sum(each.values(), start=np.zeros(len(IDS)))
    np.testing.assert_allclose(parts.blended(made, shopper, factors), total, atol=2e-5)
    turned = parts.blended(parts.by_columns(made), shopper, factors)
    np.testing.assert_allclose(turned, total, atol=2e-5)
    rows = np.array([3, 0])
    np.testing.assert_allclose(parts.blended(made, shopper, factors, rows), total[rows], atol=2e-5)


def test_the_query_gives_taste_and_session_in_one_product() -> None:
    made = full()
    shopper = fold_in.of(made, "ann", ["a"])
    vector, bias = parts.query(made, shopper, {"taste": 0.5, "session": 2.0})
    np.testing.assert_allclose(vector, [2.0, 1.0])
    assert bias == pytest.approx(0.5)
    newcomer = fold_in.of(made, "x", ["a"])
    assert parts.query(made, newcomer, {"taste": 0.5, "session": 2.0})[1] == 2.0
    assert parts.query(made, FoldIn(), {"taste": 0.5, "session": 2.0})[1] == 0.0


def test_products_without_neighbours_speak_for_nothing() -> None:
    shopper = fold_in.of(full(), "x", ["c"])
    found = parts.raw_parts(full(), shopper, parts.all_items(full()))[parts.ITEM_ITEM]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, np.zeros(len(IDS)))


def test_the_last_products_account_for_the_parts_that_rest_on_them() -> None:
    made = full()
    windows = HistoryWindows(HistoryWindow(3, 0.5), HistoryWindow(2, 0.5), HistoryWindow(2, 0.5))
    shopper = fold_in.of(
        made, "ann", ["d", "a", "b"], ["a", "c"], windows, idle_micros=24 * fold_in.HOUR_MICROS
    )
    items = parts.all_items(made).at(np.array([3, 1]))
    raw, terms = parts.raw_parts(made, shopper, items), parts.terms(made, shopper, items)
    assert set(terms) == {parts.SESSION, parts.ITEM_ITEM, "bought_together"}
    for name, each in terms.items():
        np.testing.assert_allclose(each.sum(axis=1), raw[name], rtol=1e-6)
    np.testing.assert_allclose(terms[parts.ITEM_ITEM][0], [0.0, 0.25 * TABLE[0, 3]])
    everything = parts.terms(made, shopper, parts.all_items(made))
    for name, each in terms.items():
        np.testing.assert_allclose(everything[name][[3, 1]], each, rtol=1e-6)
        assert len(everything[name]) == len(IDS)


def test_neighbours_are_those_in_the_parts_that_count() -> None:
    made = full()
    shopper = fold_in.of(made, "ann", ["b", "a"], ["a"])

    def found(*names: str) -> list[int]:
        return parts.neighbour_rows(made, shopper, dict.fromkeys(names, 1.0)).tolist()

    assert found(parts.ITEM_ITEM) == [0, 1, 3]
    assert found("bought_together", parts.TASTE) == [2]
    assert found("bought_together", parts.ITEM_ITEM) == [0, 1, 2, 3]
    assert found(parts.TASTE) == []


def test_the_trend_counts_for_everybody_of_whom_something_is_known() -> None:
    made = full()
    for actor, viewed in (("ann", []), ("x", ["a"])):
        shopper = fold_in.of(made, actor, viewed)
        found = parts.raw_parts(made, shopper, parts.all_items(made))
        np.testing.assert_allclose(found["trend"], [0.0, 1.5, -0.5, 0.25])
    assert "trend" not in parts.raw_parts(made, FoldIn(), parts.all_items(made))
