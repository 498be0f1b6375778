"""Answers to shoppers who were not in training: their last products find others."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.model.causes import Peer
from gateway.model.controls import ControlRule, ControlState
from gateway.model.errors import NothingAvailable, PeerUnavailable
from gateway.model.explanation import ProductOutcome
from gateway.model.quality import Quality
from gateway.model.query import RequestQuery
from gateway.model.response import RecommendAnswer
from gateway.recommend.explain import explain
from gateway.recommend.recommend import recommend
from gateway.recommend.shelves import ShelfKind, ShelfQuery, recommend_shelves
from gateway.state.scenes import SceneFiles
from servicekit.errors import FailedPrecondition, Unavailable
from sightline_core.branch import Branch
from sightline_core.columns import ProductColumns
from sightline_core.ranking import AnchorSource, NominationBasis
from sightline_rules.controls import ControlKind
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_values import ANN, by_photo, ids, near, reason

BUILT_IN = SceneFiles()
PATHS = {
    **dict.fromkeys(("p1", "p2", "p3", "p4"), "Drinks > Juice"),
    **dict.fromkeys(("p5", "p6"), "Drinks > Milk"),
    **dict.fromkeys(("p7", "p8", "p9"), "Shoes"),
}


@pytest.fixture
def shop() -> Shop:
    """Return a shop in which Ann looked at a juice, then at another one, and all buy shoes."""
    made = Shop()
    made.scenes.scenes = {name: BUILT_IN.get(name) for name in BUILT_IN.names()}
    made.retriever.paths = PATHS
    made.ranker.last_products = {"p2": 0.4, "p1": 0.36}
    made.ranker.generated["ann"] = (NominationBasis.POPULARITY, ("p7", "p8", "p9"))
    made.retriever.nearest |= {"p1": {}, "p2": {}, "+0.4 p2 +0.36 p1": {"p3": 0.9, "p4": 0.8}}
    made.ranker.counted = {"co_view": {"p5": 0.5}}
    return made


def ranked(shop: Shop):
    """Return the ranker's last ranking request."""
    return [what for name, what in shop.ranker.calls if name == "rank"][-1]


def said(answer: RecommendAnswer) -> dict[str, list[tuple[str, str]]]:
    """Return code and text of each product's reasons."""
    return {
        item.row.product_id: [(one.code, one.text) for one in item.answered.reasons]
        for item in answer.results
    }


@pytest.mark.parametrize("scene", ["for-you", "default"])
async def test_last_products_find_others_by_looks_texts_and_views_before_popular_ones(shop, scene):
    answer = await recommend(RequestQuery(scene=scene, shopper=ANN), shop.deps)

    assert {*ids(answer)[:3]} == {"p3", "p4", "p5"}
    assert {*ids(answer)[3:]} >= {"p7", "p8", "p9"}
    assert {"p1", "p2"}.isdisjoint(ids(answer))
    order = ranked(shop)
    named = order.candidates.columns.product_ids
    found = dict(zip(named, order.signals["affinity"], strict=True))
    assert found["p3"] == 0.5  # two products count half
    assert found["p5"] == 0.25
    assert found["p7"] == 0.0
    looks = dict(zip(named, order.candidates.similarities["visual"], strict=True))
    assert looks["p3"] == pytest.approx(0.45)
    assert ranked(shop).weights == shop.scenes.scenes[scene].parts_with_history
    assert {"visual", "text", "co_view"} <= {*ranked(shop).candidates.similarities}
    assert answer.degradations == ()
    assert answer.match is None


async def test_an_unknown_visitor_gets_popular_products(shop):
    shop.ranker.last_products = {}
    answer = await recommend(RequestQuery(scene="for-you", shopper=ANN), shop.deps)

    assert ids(answer)[:3] == ["p7", "p8", "p9"]
    assert "search" not in [name for name, _ in shop.retriever.calls]


@pytest.mark.parametrize("scene", ["for-you", "default"])
async def test_counts_are_one_more_branch_beside_a_model_without_the_shopper(shop, scene):
    shop.ranker.generated["ann"] = (NominationBasis.SESSION, ("p9", "p8"))
    answer = await recommend(RequestQuery(scene=scene, shopper=ANN), shop.deps)

    assert {*ids(answer)} == {"p5", "p8", "p9"}
    weights = ranked(shop).weights
    assert weights == BUILT_IN.get(scene).parts_with_history
    assert {"co_view", "session", "item_item", "bought_together", "content"} <= weights.keys()
    assert ranked(shop).candidates.similarities["co_view"]
    assert "search" not in [name for name, _ in shop.retriever.calls]
    assert answer.degradations == ()

    shop.ranker.counted = {}
    alone = await recommend(RequestQuery(scene=scene, shopper=ANN), shop.deps)
    assert {*ids(alone)} == {"p8", "p9"}
    assert ranked(shop).weights == BUILT_IN.get(scene).parts_without_signals


async def test_a_shopper_who_was_in_training_is_answered_by_the_model(shop):
    shop.ranker.generated["ann"] = (NominationBasis.LONG_TERM, ("p9", "p8"))
    answer = await recommend(RequestQuery(scene="for-you", shopper=ANN), shop.deps)

    assert {*ids(answer)} == {"p8", "p9"}
    assert ranked(shop).weights == BUILT_IN.get("for-you").parts_without_signals
    assert "search" not in [name for name, _ in shop.retriever.calls]


@pytest.mark.parametrize(
    "query", [by_photo(shopper=ANN), RequestQuery(signals=(near("p1"),), shopper=ANN)]
)
async def test_a_request_that_names_something_is_answered_by_that(shop, query):
    shop.retriever.nearest |= {b"photo": {"p6": 0.9}, "p1": {"p6": 0.9}}
    answer = await recommend(query, shop.deps)

    assert ids(answer)[0] == "p6"
    assert ranked(shop).weights == BUILT_IN.get("default").parts_with_signals
    assert "affinity" not in ranked(shop).signals
    assert all(one.last_products == 0 for one in shop.ranker.recommenders)


async def test_each_interest_is_searched_by_itself(shop):
    shop.ranker.last_products = {"p7": 0.4, "p2": 0.3, "p1": 0.3, "gone": 0.3}
    shop.retriever.nearest |= {"p7": {"p8": 0.9}, "+0.3 p2 +0.3 p1": {"p3": 0.9}}
    shop.retriever.nearest["+0.4 p7"] = {"p8": 0.9}
    shop.ranker.generated["ann"] = (NominationBasis.POPULARITY, ())
    shop.retriever.record = [item for item in shop.retriever.record if item != "gone"]
    answer = await recommend(RequestQuery(scene="for-you", shopper=ANN), shop.deps)

    searched = [what for name, what in shop.retriever.calls if name == "search"]
    assert {*searched} == {"+0.3 p2 +0.3 p1", "+0.4 p7"}
    assert {"p3", "p8"} <= {*ids(answer)[:3]}


async def test_an_interest_is_searched_without_a_product_that_is_deleted_meanwhile(shop):
    shop.ranker.last_products = {"p7": 0.4, "p2": 0.3, "p1": 0.3}
    shop.retriever.nearest |= {"p7": {}, "+0.4 p7": {"p8": 0.9}, "+0.3 p1": {"p3": 0.9}}
    del shop.retriever.nearest["p2"]
    shop.ranker.generated["ann"] = (NominationBasis.POPULARITY, ())
    answer = await recommend(RequestQuery(scene="for-you", shopper=ANN), shop.deps)

    assert {"p3", "p8"} <= {*ids(answer)[:3]}
    assert answer.degradations == ()


async def test_an_interest_that_cannot_be_searched_takes_no_other_with_it(shop):
    shop.ranker.last_products = {"p7": 0.4, "p2": 0.3, "p1": 0.3}
    shop.retriever.nearest |= {"p7": {}, "+0.4 p7": {"p8": 0.9}}
    shop.retriever.cancelling = {"+0.3 p2 +0.3 p1"}
    shop.ranker.generated["ann"] = (NominationBasis.POPULARITY, ())
    answer = await recommend(RequestQuery(scene="for-you", shopper=ANN), shop.deps)

    assert "p8" in ids(answer)[:3]
    assert answer.degradations == ()


@pytest.mark.parametrize("kinds", [("Drinks",) * 10, ("Drinks",) * 8 + ("Shoes", "Hats")])
async def test_last_products_that_nothing_is_searched_by_are_left_out_too(shop, kinds):
    viewed = [f"p{number}" for number in range(10)]
    shop.retriever.record = [*viewed, "p11", "p15"]
    shop.retriever.paths = dict(zip(viewed, kinds, strict=True))
    shop.ranker.last_products = dict.fromkeys(viewed, 0.4)
    shop.ranker.generated["ann"] = (NominationBasis.POPULARITY, ("p9", "p15"))
    found = dict.fromkeys(viewed, 0.9) | {"p11": 0.8}
    first = " ".join(f"+0.4 {item}" for item in viewed[:8])
    shop.retriever.nearest |= {item: {} for item in viewed} | {first: found, "+0.4 p8": found}
    answer = await recommend(RequestQuery(scene="for-you", shopper=ANN), shop.deps)

    assert {*ids(answer)} == {"p11", "p15"}
    assert answer.degradations == ()


@pytest.mark.parametrize("excluded", [(), ("p2",)])
async def test_a_pin_shows_for_shoppers_who_looked_at_the_product(shop, excluded):
    pin = ControlRule("ad", ControlKind.PIN, ("p2",), place=1)
    shop.scene(lambda scene: replace(scene, controls=(pin,)))
    query = RequestQuery(scene="default", shopper=ANN, exclude_product_ids=excluded)
    answer = await recommend(query, shop.deps)
    own = ranked(shop).candidates.own.product_ids
    found = await explain(query, "p2", shop.deps)
    (told,) = answer.control_outcomes

    if excluded:
        assert "p2" not in ids(answer)
        assert (told.state, found.outcome) == (ControlState.EXCLUDED, ProductOutcome.EXCLUDED)
    else:
        assert ids(answer)[0] == "p2"
        assert (told.state, found.outcome) == (ControlState.APPLIED, ProductOutcome.SHOWN)
        assert [*own] == ["p1"]
    assert "p1" not in ids(answer)


async def test_a_shop_without_photos_or_texts_is_no_degradation(shop):
    shop.retriever.fails["search"] = FailedPrecondition("none", reason="SPACE_UNAVAILABLE")
    answer = await recommend(RequestQuery(scene="for-you", shopper=ANN), shop.deps)

    assert ids(answer)[0] == "p5"
    assert answer.degradations == ()


async def test_without_the_record_the_answer_says_so(shop):
    shop.retriever.fails["columns"] = PeerUnavailable(Peer.RETRIEVER)
    shop.retriever.fails["newest"] = PeerUnavailable(Peer.RETRIEVER)
    with pytest.raises(NothingAvailable):
        await recommend(RequestQuery(scene="for-you", shopper=ANN), shop.deps)


@pytest.mark.parametrize("scene", ["for-you", "default"])
@pytest.mark.parametrize("cause", ["RETRIEVER_UNAVAILABLE", "STAGE_DEADLINE"])
async def test_last_products_that_cannot_be_read_degrade_the_answer(shop, scene, cause):
    read = shop.retriever.columns

    async def fails_once(*asked: Any) -> ProductColumns:
        shop.retriever.columns = read
        raise Unavailable("late", reason=cause)

    shop.retriever.columns = fails_once
    answer = await recommend(RequestQuery(scene=scene, shopper=ANN), shop.deps)

    assert {*ids(answer)} >= {"p5", "p7", "p8", "p9"}
    assert [(one.stage, one.cause.name) for one in answer.degradations] == [("history", cause)]
    assert answer.quality < Quality.FULL


async def test_reasons_name_what_the_parts_follow(shop):
    shop.ranker.reasons_given = (
        reason("LOOKS_LIKE_QUERY", "alike"),
        reason("MATCHES_TEXT", "alike"),
        reason("AFFINITY", "AFFINITY"),
    )
    query = RequestQuery(scene="default", shopper=ANN)
    answer = await recommend(query, shop.deps)
    assert said(answer)["p3"] == [
        ("SIMILAR_TO_VIEWED", "Because you looked at Title of p2"),
        ("MATCHES_TASTE", "Fits your taste: Drinks > Juice"),
    ]
    assert said(answer)["p5"] == [
        ("SIMILAR_TO_VIEWED", "Because you looked at Title of p2"),
        ("MATCHES_TASTE", "Fits your taste: Drinks"),
    ]
    assert said(answer)["p7"] == [
        ("SIMILAR_TO_VIEWED", "Similar to something you looked at"),
        ("MATCHES_TASTE", "Fits your taste"),
    ]


async def test_an_explanation_knows_the_similarity_to_the_last_products(shop):
    shop.retriever.nearest["p6"] = {}
    query = RequestQuery(scene="for-you", shopper=ANN, page_size=2)

    assert (await explain(query, "p3", shop.deps)).outcome is ProductOutcome.SHOWN
    assert (await explain(query, "p2", shop.deps)).outcome is ProductOutcome.EXCLUDED
    found = await explain(query, "p9", shop.deps)
    assert Branch.VISUAL in {one.branch for one in found.branches}


@pytest.mark.parametrize(("last", "noted"), [({"p2": 0.4}, 1), ({}, 0)])
async def test_a_caller_reads_a_history_that_the_answer_follows(shop, last, noted):
    shop.ranker.last_products = last
    shop.retriever.nearest["+0.4 p2"] = {"p3": 0.9}
    deps = shop.deps
    await recommend(RequestQuery(scene="default", shopper=ANN), deps)

    assert len(deps.history_reads._seen) == noted


async def test_a_caller_reads_a_history_that_a_scene_takes_its_anchors_from(shop):
    scene = replace(BUILT_IN.get("default"), parts_with_history={})
    branches = {**scene.branches, Branch.CO_PURCHASE: 1.0}
    source = AnchorSource.BOUGHT
    shop.scenes.scenes["default"] = replace(scene, branches=branches, anchors_from=source)
    query, deps = RequestQuery(scene="default", shopper=ANN), shop.deps
    await recommend(query, deps)
    assert len(deps.history_reads._seen) == 0

    shop.ranker.anchors = {source: ("p1",)}
    await recommend(replace(query, anchors=("p2",)), deps)
    assert len(deps.history_reads._seen) == 0

    await recommend(query, deps)
    assert len(deps.history_reads._seen) == 1


async def test_a_scene_without_the_table_answers_as_before(shop):
    scene = replace(shop.scenes.scenes["for-you"], parts_with_history={})
    shop.scenes.scenes["for-you"] = scene
    answer = await recommend(RequestQuery(scene="for-you", shopper=ANN), shop.deps)

    assert ids(answer)[:3] == ["p7", "p8", "p9"]


async def test_a_split_part_names_the_group_of_last_products(shop):
    shop.retriever.nearest["+0.4 p2 +0.36 p1"] = {"p3": 0.9}
    answer = await recommend(RequestQuery(shopper=ANN, explain=True), shop.deps)
    (found,) = (item.answered for item in answer.results if item.row.product_id == "p3")
    assert [name for name, _ in found.contributions["visual"]] == ["history[0]"]


async def test_shelves_of_a_home_page_follow_last_products_and_repeat_nothing(shop):
    shelves = [
        ShelfQuery(name, ShelfKind.RECOMMEND, RequestQuery(scene=scene, shopper=ANN, page_size=2))
        for name, scene in (("mine", "for-you"), ("more", "default"))
    ]
    mine, more = await recommend_shelves(RequestQuery(shopper=ANN), shelves, shop.deps)

    assert {*ids(mine.answer)} == {"p3", "p4"}
    assert ids(more.answer)[0] == "p5"
    assert said(mine.answer)["p3"] == [("SIMILAR_TO_VIEWED", "Because you looked at Title of p2")]
