import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.domain.arrays import Neighbours
from ranker.domain.events import History
from ranker.serving.ranking import fold_in, parts
from ranker.serving.ranking.generate import (
    best,
    by_behaviour,
    by_neighbours,
    generate,
)
from sightline_core.ranking import NominationBasis
from tests.fakes.ranker import FakeReader, model

NONE = History()
MODEL = model(
    {"a": [1.0, 0.0], "b": [0.9, 0.0], "c": [0.0, 1.0], "d": [0.9, 0.0]},
    actors={"ann": [0.0, 1.0]},
    score_scale=2.0,
)


async def named(profile_, model_=MODEL, history=NONE, reader=None, top_k=10, exclude=()):
    return await generate(
        "default", profile_, model_, history, reader or FakeReader(), top_k=top_k, exclude=exclude
    )


async def test_a_newcomer_gets_what_is_closest_to_the_last_views_with_ties_by_id() -> None:
    found = await named(fold_in.of(MODEL, "x", ["a"]))
    assert found.product_ids == ("a", "b", "d", "c")
    assert found.basis is NominationBasis.SESSION
    assert found.scores[0] == pytest.approx(2 / 3)  # twice the closeness, shrunk, over the scale


async def test_a_trained_shopper_gets_the_long_term_taste() -> None:
    found = await named(fold_in.of(MODEL, "ann", []), top_k=1)
    assert found.product_ids == ("c",)
    assert found.basis is NominationBasis.LONG_TERM


async def test_ties_at_the_cut_are_settled_by_id() -> None:
    found = await named(fold_in.of(MODEL, "x", ["a"]), top_k=2)
    assert found.product_ids == ("a", "b")


async def test_excluded_and_hidden_products_are_never_named() -> None:
    history = History(hidden=frozenset({"b", "not in the model"}))
    found = await named(fold_in.of(MODEL, "x", ["a"]), history=history, exclude={"a"})
    assert found.product_ids == ("d", "c")


async def test_when_all_are_excluded_none_is_named() -> None:
    found = await named(fold_in.of(MODEL, "x", ["a"]), exclude=set("abcd"))
    assert found.product_ids == ()


async def test_without_history_the_popular_are_named_less_the_hidden() -> None:
    reader = FakeReader(popular={"a": 0.5, "b": 1.0, "c": 0.1})
    history = History(hidden=frozenset({"b"}))
    found = await named(fold_in.of(MODEL, "x", []), history=history, reader=reader, top_k=2)
    assert found.product_ids == ("a", "c")
    assert found.basis is NominationBasis.POPULARITY


async def test_without_a_model_the_popular_are_named() -> None:
    reader = FakeReader(popular={"a": 1.0})
    found = await named(fold_in.of(MODEL, "ann", ["a"]), model_=None, reader=reader)
    assert (found.product_ids, found.basis) == (("a",), NominationBasis.POPULARITY)


async def test_before_any_event_nothing_is_named_and_nothing_fails() -> None:
    found = await named(fold_in.of(MODEL, None, []))
    assert (found.product_ids, found.basis) == ((), NominationBasis.NOTHING)


def with_neighbours(pairs: dict[tuple[str, str], float]):
    """Return the model with neighbours: (a, b): w means that an affinity for a raises b by the
    weight w."""
    keys = sorted(
        (MODEL.item_rows[a], MODEL.item_rows[b], weight) for (a, b), weight in pairs.items()
    )
    rows, items, weights = (np.array(column) for column in zip(*keys, strict=True))
    starts = np.searchsorted(rows, np.arange(len(MODEL.item_ids) + 1))
    table = Neighbours(starts, items.astype(np.int32), weights.astype(np.float32))
    blend = {"taste": 1.0, "session": 1.0, "item_item": 10.0}
    return dataclasses.replace(MODEL, neighbours={"item_item": table}, blend=blend)


async def test_what_goes_with_the_last_products_is_named_before_what_is_closest() -> None:
    made = with_neighbours({("a", "c"): 3.0})
    found = await named(fold_in.of(made, "x", ["a"]), made)
    assert found.product_ids == ("c", "a", "b", "d")
    assert found.scores[0] == pytest.approx(6.0)  # a fifth of 10 × 3: one affinity says little


def test_neighbours_alone_are_named_with_their_whole_score_less_those_left_out() -> None:
    made = with_neighbours({("a", "c"): 1.0, ("a", "b"): 0.25, ("a", "d"): 0.5, ("c", "a"): 9.0})
    shopper = fold_in.of(made, "x", ["a"])
    everything = by_behaviour(shopper, made, 9, set())
    beside = by_neighbours(shopper, made, 9, {"d", "not in the model"})
    assert beside.product_ids == ("c", "b")
    expected = dict(zip(everything.product_ids, everything.scores, strict=True))
    np.testing.assert_allclose(beside.scores, [expected["c"], expected["b"]], rtol=1e-6)
    assert by_neighbours(fold_in.of(made, "x", ["b"]), made, 9, set()).product_ids == ()
    assert by_neighbours(fold_in.of(MODEL, "x", ["a"]), MODEL, 9, set()).product_ids == ()


@given(st.integers(0, 99), st.integers(1, 40), st.floats(0, 2))
def test_nearest_vectors_and_neighbours_together_miss_none_of_the_best(
    seed: int, top_k: int, weight: float
) -> None:
    draw = np.random.default_rng(seed)
    ids = [f"p{n:03}" for n in range(200)]
    made = model(dict(zip(ids, draw.normal(size=(200, 2)), strict=True)))
    each = [np.sort(draw.choice(200, 10, replace=False)) for _ in ids]
    table = Neighbours(
        starts=np.arange(0, 2001, 10),
        items=np.concatenate(each).astype(np.int32),
        weights=draw.uniform(0, 1, 2000).astype(np.float32),
    )
    blend = {"session": 1.0, "item_item": weight}
    made = dataclasses.replace(made, neighbours={"item_item": table}, blend=blend)
    shopper = fold_in.of(made, "x", ["p007", "p100"])
    vector, bias = parts.query(made, shopper, parts.factors(made))
    nearest = best((made.item_vectors @ vector + bias * made.item_biases).astype(float), top_k)
    union = {made.item_ids[row] for row in nearest}
    union.update(by_neighbours(shopper, made, top_k, set()).product_ids)
    assert union.issuperset(by_behaviour(shopper, made, top_k, set()).product_ids)


@given(
    st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]) | st.floats(-9, 9), max_size=700),
    st.integers(0, 800),
)
def test_the_best_are_those_of_a_whole_sort_whatever_the_sample_says(
    scores: list[float], count: int
) -> None:
    given_ = np.array(scores)
    np.testing.assert_array_equal(best(given_, count), np.argsort(-given_, kind="stable")[:count])


def test_a_sample_that_misses_the_best_costs_time_and_no_product() -> None:
    scores = np.zeros(16_000)
    scores[1::16] = np.arange(1000) + 1.0  # the sample sees none of them
    np.testing.assert_array_equal(best(scores, 3), [15_985, 15_969, 15_953])
    scores[::16] = 5000.0  # the sample sees nothing else
    scores[1:16] = 6000.0
    assert list(best(scores, 400)[:15]) == list(range(1, 16))
