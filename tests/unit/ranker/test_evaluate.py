import pytest

from ranker.evaluate import evaluate, products_by_recency, split_by_time
from ranker.signals import Positive
from tests.fakes.ranker import did, model

ITEMS = {f"p{n}": [1.0 - n / 10, n / 10] for n in range(10)}


def liked(actor: str, product_id: str, at: int = 0) -> Positive:
    return Positive(actor, product_id, 1.0, at)


def figures(made, before, after):
    return {one.name: one for one in evaluate(made, before, after)}


def test_the_last_fifth_by_time_is_held_out_for_everyone_at_once() -> None:
    events = [did("ann", f"p{n}", at=n) for n in range(10)]
    split = split_by_time(events)
    assert len(split.before) == 8
    assert split.liked_after == {"ann": {"p8", "p9"}}


def test_what_was_liked_before_is_not_to_be_found_again() -> None:
    events = [did("ann", f"p{n}", at=n) for n in range(9)] + [did("ann", "p0", at=9)]
    assert split_by_time(events).liked_after == {"ann": {"p8"}}


def test_equal_times_are_never_torn_apart() -> None:
    split = split_by_time([did("ann", f"p{n}", at=0) for n in range(10)])
    assert split.before == ()


def test_nothing_splits_into_nothing() -> None:
    assert split_by_time([]).liked_after == {}


def test_a_perfect_order_scores_one_and_a_reversed_one_zero() -> None:
    made = model(ITEMS, actors={"good": [1.0, 0.0], "bad": [0.0, 1.0]})
    good = figures(made, [], {"good": frozenset({"p0"})})
    assert good["ndcg@10"].value == pytest.approx(1.0)
    assert good["auc"].value == pytest.approx(1.0)
    bad = figures(made, [], {"bad": frozenset({"p0"})})
    assert bad["auc"].value == pytest.approx(0.0)


def test_the_second_place_is_worth_the_discount_of_the_second_place() -> None:
    made = model(ITEMS, actors={"ann": [1.0, 0.0]})
    found = figures(made, [], {"ann": frozenset({"p1"})})
    assert found["ndcg@10"].value == pytest.approx(0.6309, abs=1e-4)


def test_products_liked_before_do_not_compete() -> None:
    made = model(ITEMS, actors={"ann": [1.0, 0.0]})
    found = figures(made, [liked("ann", "p0")], {"ann": frozenset({"p1"})})
    assert found["auc"].value == pytest.approx(1.0)


def test_a_miss_of_the_first_ten_is_no_hit() -> None:
    items = {f"p{n:02}": [-float(n)] for n in range(20)}
    made = model(items, actors={"ann": [1.0]})
    assert figures(made, [], {"ann": frozenset({"p10"})})["hit@10"].value == 0
    assert figures(made, [], {"ann": frozenset({"p09"})})["hit@10"].value == 1


def test_popularity_is_measured_beside_it() -> None:
    made = model(ITEMS, actors={"ann": [0.0, 1.0]})
    before = [liked("bob", "p0"), liked("eve", "p0"), liked("eve", "p1")]
    found = figures(made, before, {"ann": frozenset({"p0"})})
    assert found["popularity_ndcg@10"].value == pytest.approx(1.0)
    assert found["ndcg@10"].value < 1.0


def test_figures_rest_on_the_shoppers_that_the_model_knows() -> None:
    made = model(ITEMS, actors={"ann": [1.0, 0.0], "bob": [1.0, 0.0]})
    after = {name: frozenset({"p0"}) for name in ("ann", "bob", "newcomer")}
    assert figures(made, [], after)["auc"].sample_count == 2
    assert evaluate(made, [], {"newcomer": frozenset({"p0"})}) == ()
    assert evaluate(made, [], {"ann": frozenset({"unknown"})}) == ()


def test_products_by_recency_are_newest_first_with_ties_by_id() -> None:
    ones = [liked("ann", "b", 1), liked("ann", "a", 1), liked("ann", "c", 2)]
    assert products_by_recency(ones) == {"ann": ("c", "a", "b")}
