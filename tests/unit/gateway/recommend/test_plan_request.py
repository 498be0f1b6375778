"""Scene × request → plan."""

from dataclasses import replace

import pytest

from gateway.model.filters import CallersFilter
from gateway.model.query import RequestQuery
from gateway.recommend.plan_request import make_plan, scened, weights_of
from gateway.retrieval.history import most_searches
from sightline_core.branch import OF_SHOPPERS, Branch
from sightline_core.ranking import AnchorSource
from tests.fakes.gateway_values import ANN, DEFAULT, near, photo, words


@pytest.mark.parametrize(
    ("query", "branches"),
    [
        (RequestQuery(), ()),
        (RequestQuery(signals=(photo(),)), (Branch.VISUAL,)),
        (RequestQuery(signals=(near("p1"),)), (Branch.VISUAL,)),
        (RequestQuery(signals=(words(),)), (Branch.TEXT, Branch.TEXT_VISUAL, Branch.KEYWORDS)),
        (RequestQuery(shopper=ANN), (Branch.COLLABORATIVE,)),
        (
            RequestQuery(signals=(photo(), words(index=1)), shopper=ANN),
            (
                Branch.VISUAL,
                Branch.TEXT,
                Branch.TEXT_VISUAL,
                Branch.KEYWORDS,
                Branch.COLLABORATIVE,
            ),
        ),
    ],
)
def test_branches_follow_from_what_is_given(query, branches):
    assert make_plan(query, DEFAULT, 1.0).branches == branches


def test_a_branch_of_weight_0_is_not_run():
    scene = replace(DEFAULT, branches={**DEFAULT.branches, Branch.COLLABORATIVE: 0.0})

    assert make_plan(RequestQuery(shopper=ANN), scene, 1.0).branches == ()


@pytest.mark.parametrize(("page_size", "top_k"), [(1, 10), (0, 40), (30, 60), (200, 100)])
def test_more_is_asked_than_a_page_holds_within_the_scenes_bounds(page_size, top_k):
    assert make_plan(RequestQuery(page_size=page_size), DEFAULT, 1.0).top_k == top_k


def test_no_more_is_asked_or_ranked_than_the_peers_take():
    scene = replace(DEFAULT, most_candidates=2_000, over_fetch=100.0)
    plan = make_plan(RequestQuery(page_size=200), scene, 1.0)

    assert (plan.top_k, plan.most, plan.ahead) == (1_000, 2_000, 410)
    assert make_plan(RequestQuery(page_size=200), DEFAULT, 1.0).most == 100


def test_with_a_filter_all_candidates_are_asked_for_because_it_thins_them_out():
    asked = RequestQuery(filter=CallersFilter("f", b"f", False))

    assert make_plan(asked, DEFAULT, 1.0).generated == 1000
    assert make_plan(RequestQuery(), DEFAULT, 1.0).generated == 40


def test_stages_end_at_their_share_of_the_time():
    ends = make_plan(RequestQuery(), DEFAULT, 2.0).ends

    assert (ends.embed, ends.candidates, ends.fallback, ends.rank, ends.answer) == (
        1.0,
        1.3,
        1.6,
        1.8,
        2.0,
    )


def test_parts_count_as_with_signals_where_one_of_them_named_a_candidate():
    assert weights_of(DEFAULT, (Branch.COLLABORATIVE, Branch.VISUAL), ()) == {
        "visual": 1.0,
        "taste": 0.1,
    }


def test_candidates_by_last_products_have_weights_of_their_own_if_the_scene_has_any():
    parts, named = ("visual", "affinity"), (Branch.VISUAL, Branch.POPULAR)
    followed = replace(DEFAULT, parts_with_history={"visual": 0.5, "affinity": 0.1})

    assert weights_of(followed, named, parts) == {"visual": 0.5, "affinity": 0.1}
    assert weights_of(followed, named, ("visual",)) == DEFAULT.parts_with_signals
    assert weights_of(DEFAULT, named, parts) == DEFAULT.parts_with_signals


@pytest.mark.parametrize(
    ("query", "follows"),
    [
        (RequestQuery(shopper=ANN), True),
        (RequestQuery(), False),
        (RequestQuery(shopper=ANN, signals=(words(),)), False),
        (RequestQuery(shopper=ANN, anchors=("p1",)), False),
        (RequestQuery(shopper=ANN, listed=True), False),
    ],
)
def test_a_request_that_names_nothing_but_a_shopper_follows_their_history(query, follows):
    scene = replace(DEFAULT, parts_with_history={"visual": 0.5, "co_view": 0.3})
    plan = make_plan(query, scene, 1.0)

    assert plan.by_history is follows
    assert plan.weights[Branch.VISUAL] == (0.5 if follows else 1.0)
    assert most_searches(plan) == (2 if follows else 0)
    assert not make_plan(query, DEFAULT, 1.0).by_history


def test_a_part_that_has_no_weight_with_signals_has_none_where_all_are_negative():
    assert weights_of(DEFAULT, (Branch.COLLABORATIVE,), (Branch.VISUAL, Branch.TEXT)) == {
        "taste": 1.0,
        "popularity": 1.0,
        "visual": 1.0,
        "text": 0.0,
    }


def test_products_are_hydrated_within_the_longer_of_two_budgets():
    shorter = replace(DEFAULT, budgets=replace(DEFAULT.budgets, hydrate=0.5))

    assert make_plan(RequestQuery(), DEFAULT, 2.0).ends.hydrate == 1.9
    assert make_plan(RequestQuery(), shorter, 2.0).ends.hydrate == 1.8


@pytest.mark.parametrize("branch", sorted(OF_SHOPPERS))
def test_lists_of_a_shoppers_own_events_are_for_known_shoppers(branch):
    scene = replace(DEFAULT, branches={branch: 1.0})
    assert branch in make_plan(RequestQuery(shopper=ANN), scene, 1.0).branches
    assert branch not in make_plan(RequestQuery(signals=(near("p1"),)), scene, 1.0).branches


@pytest.mark.parametrize("branch", [Branch.NEW, Branch.TRENDING, Branch.BEST_SELLERS])
def test_some_branches_need_nothing_of_the_request(branch):
    scene = replace(DEFAULT, branches={branch: 1.0})

    assert make_plan(RequestQuery(), scene, 1.0).branches == (branch,)


def test_anchors_are_left_out_of_the_answer_unless_the_scene_answers_them():
    query = RequestQuery(anchors=("p1",), exclude_product_ids=("p2",))

    assert scened(query, DEFAULT).exclude_product_ids == ("p2", "p1")
    assert scened(query, replace(DEFAULT, answer_anchors=True)).exclude_product_ids == ("p2",)


@pytest.mark.parametrize(
    ("query", "source", "anchored"),
    [
        (RequestQuery(), AnchorSource.CART, False),
        (RequestQuery(shopper=ANN), AnchorSource.CART, True),
        (RequestQuery(shopper=ANN), AnchorSource.REQUEST, False),
        (RequestQuery(anchors=("p1",)), AnchorSource.REQUEST, True),
    ],
)
def test_a_request_is_about_its_products_or_those_of_a_known_shopper(query, source, anchored):
    branches = {**DEFAULT.branches, Branch.CO_VIEW: 1.0}
    scene = replace(DEFAULT, anchors_from=source, branches=branches)

    assert (Branch.CO_VIEW in make_plan(query, scene, 1.0).branches) is anchored


def test_a_changed_scene_has_plans_of_its_own():
    query, plans = RequestQuery(anchors=("p1",)), []
    for weight in (1.0, 0.0):
        scene = replace(DEFAULT, branches={**DEFAULT.branches, Branch.CO_VIEW: weight})
        plans += [make_plan(query, scene, seconds) for seconds in (1.0, 2.0)]

    assert [Branch.CO_VIEW in plan.branches for plan in plans] == [True, True, False, False]
    assert [plan.ends.answer for plan in plans] == [1.0, 2.0, 1.0, 2.0]
    assert make_plan(replace(query, page_size=50), scene, 1.0).ahead > plans[0].ahead
