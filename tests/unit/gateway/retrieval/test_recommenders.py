"""Recommenders by counts, anchors, and followed attributes."""

from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.controls import ControlRule, ControlState
from gateway.model.errors import NothingAvailable, PeerUnavailable, ProductNotFound
from gateway.model.explanation import ProductOutcome
from gateway.model.query import CallersFilter, RequestQuery
from gateway.model.scene import Scene
from gateway.recommend.explain import explain
from gateway.recommend.recommend import recommend
from gateway.recommend.search import search
from gateway.state.scenes import SceneFiles
from servicekit.rpc.requests import RequestInvalid
from sightline_core.branch import BITS, Branch
from sightline_core.degradations import DegradationCause
from sightline_core.ranking import (
    NO_RECOMMENDERS,
    AnchorSource,
    NominationBasis,
    Recommenders,
    RequestAnchors,
)
from sightline_rules.controls import ControlKind
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_values import ANN, DEFAULT, by_photo, degraded, ids, near

BUILT_IN = SceneFiles()
IN_RED = CallersFilter("f", b"f", False, category_path=("Wine", "Red"))


@pytest.fixture
def shop():
    made = Shop()
    made.scenes.scenes |= {name: BUILT_IN.get(name) for name in BUILT_IN.names()} | {
        "default": DEFAULT
    }
    made.ranker.counted = {
        "co_view": {"p3": 0.9, "p1": 0.4, "gone": 0.3},
        "co_purchase": {"p4": 0.8, "p3": 0.2},
        "trending": {"p5": 1.0, "p6": 0.5},
        "best_sellers": {"p2": 1.0},
        "reorder": {"p7": 0.6},
        "recently_viewed": {"p8": 1.0, "p7": 0.5},
    }
    made.retriever.nearest["p1"] = {"p2": 0.9, "p3": 0.5}
    return made


def ranked(shop: Shop):
    """Return the ranker's last ranking request."""
    return [what for name, what in shop.ranker.calls if name == "rank"][-1]


def scores(shop: Shop, part: str) -> dict[str, float]:
    """Return the part's scores by product, for candidates that have it."""
    order = ranked(shop)
    values = {**order.candidates.similarities, **order.signals}[part]
    pairs = zip(order.candidates.columns.product_ids, values, strict=True)
    return {product_id: value for product_id, value in pairs if value == value}


async def test_one_call_and_one_read_serve_all_recommenders_and_the_shopper(shop):
    shop.ranker.generated["ann"] = (NominationBasis.SESSION, ("p9", "p3"))
    shop.ranker.history_token = "h7"
    answer = await recommend(RequestQuery(scene="cart", anchors=("p1",), shopper=ANN), shop.deps)

    assert shop.ranker.asked == ["generate", "rank"]
    assert [name for name, _ in shop.retriever.calls] == ["columns", "categories", "products"]
    assert shop.ranker.recommenders == [
        Recommenders(("co_purchase", "co_view"), RequestAnchors(("p1",)), (), only=False)
    ]
    assert {*ids(answer)} == {"p3", "p4", "p9"}
    assert scores(shop, "co_view") == {"p3": 0.9}
    assert scores(shop, "co_purchase") == {"p4": 0.8, "p3": 0.2}
    bits = dict(
        zip(
            ranked(shop).candidates.columns.product_ids,
            ranked(shop).candidates.branches,
            strict=True,
        )
    )
    assert bits["p3"] == sum(
        BITS[one] for one in (Branch.COLLABORATIVE, Branch.CO_VIEW, Branch.CO_PURCHASE)
    )
    assert ranked(shop).weights == BUILT_IN.get("cart").parts_with_signals
    assert ranked(shop).anchors == RequestAnchors(("p1",))
    assert ranked(shop).history_token == "h7"
    # Lists that were read together are sent as they came, and not copied apart.
    assert len(ranked(shop).candidates.columns.blocks) == 1


async def test_without_the_ranker_the_answer_says_which_recommenders_are_lost(shop):
    shop.ranker.fails["generate"] = PeerUnavailable(Peer.RANKER)
    answer = await recommend(RequestQuery(scene="also-viewed", anchors=("p1",)), shop.deps)

    assert ids(answer) == ["p2", "p3"]  # by looks
    assert degraded(answer)[0] == ("co_view", DegradationCause.RANKER_UNAVAILABLE)
    with pytest.raises(NothingAvailable):
        await recommend(RequestQuery(scene="bought-together", anchors=("p1",)), shop.deps)


async def test_a_scene_without_recommenders_costs_what_it_did(shop):
    await recommend(RequestQuery(shopper=ANN), shop.deps)
    assert shop.ranker.recommenders[0] is NO_RECOMMENDERS
    assert not ranked(shop).anchors

    shop.ranker.calls.clear()
    shop.retriever.calls.clear()
    await recommend(RequestQuery(signals=(near("p1"),)), shop.deps)
    assert shop.ranker.asked == ["rank"]
    assert [name for name, _ in shop.retriever.calls] == ["search", "products"]
    assert ranked(shop).anchors == RequestAnchors(("p1",))


async def test_the_filters_category_is_where_what_many_do_counts(shop):
    answer = await recommend(RequestQuery(scene="trending", filter=IN_RED), shop.deps)

    (asked,) = shop.ranker.recommenders
    assert asked == Recommenders(("trending",), RequestAnchors(), ("Wine", "Red"), only=True)
    assert {*ids(answer)} == {"p5", "p6"}
    assert "trending: top 1000" in answer.versions.plan


@pytest.mark.parametrize("scene", ["reorder", "recently-viewed", "bought-together"])
async def test_a_scene_that_stands_for_one_thing_is_empty_without_it(shop, scene):
    shop.ranker.counted = {}
    answer = await recommend(RequestQuery(scene=scene, anchors=("p1",), shopper=ANN), shop.deps)

    assert ids(answer) == []
    assert degraded(answer) == []
    assert "generate" in shop.ranker.asked


async def test_recommenders_that_name_nothing_give_way_to_what_is_popular(shop):
    shop.ranker.counted = {}
    shop.ranker.generated[""] = (NominationBasis.POPULARITY, ("p8",))
    answer = await recommend(RequestQuery(scene="trending", page_size=1), shop.deps)

    assert ids(answer) == ["p8"]


async def test_few_products_that_trend_do_not_keep_a_newcomers_page_short(shop):
    shop.ranker.generated["ann"] = (NominationBasis.POPULARITY, ("p8", "p5"))
    whole = await recommend(RequestQuery(scene="for-you", shopper=ANN, page_size=4), shop.deps)
    assert ids(whole)[:3] == ["p5", "p6", "p8"]
    assert len(ids(whole)) == 4
    assert whole.degradations == ()

    shop.ranker.generated["ann"] = (NominationBasis.SESSION, ("p9",))
    assert {*ids(await recommend(RequestQuery(scene="for-you", shopper=ANN), shop.deps))} == {
        *("p9", "p5", "p6")
    }


# Anchors


async def test_anchors_are_left_out_unless_the_scene_answers_them(shop):
    assert "p1" not in ids(
        await recommend(RequestQuery(scene="cart", anchors=("p1", "p4")), shop.deps)
    )
    shop.scenes.scenes["cart"] = replace(shop.scenes.scenes["cart"], answer_anchors=True)
    shop.ranker.counted["co_view"]["p1"] = 0.9
    assert "p1" in ids(await recommend(RequestQuery(scene="cart", anchors=("p1", "p4")), shop.deps))


async def test_anchors_of_the_shopper_are_left_out_as_those_of_a_request_are(shop):
    shop.ranker.anchors[AnchorSource.CART] = ("p1",)
    assert ids(await recommend(RequestQuery(scene="cart", shopper=ANN), shop.deps)) == ["p3", "p4"]
    named = RequestQuery(scene="cart", anchors=("p4",))
    assert (await explain(named, "p4", shop.deps)).outcome is ProductOutcome.EXCLUDED


async def test_a_pin_does_not_put_into_the_answer_what_is_in_the_shoppers_cart(shop):
    shop.ranker.anchors[AnchorSource.CART] = ("p1",)
    hero = ControlRule("hero", ControlKind.PIN, ("p1", "p9"), place=1)
    query = RequestQuery(scene="cart", shopper=ANN, controls=(hero,))
    answer = await recommend(query, shop.deps)

    assert ids(answer) == ["p9", "p3", "p4"]
    said = {item.product_id: item.state for item in answer.control_outcomes}
    assert said["p1"] == ControlState.EXCLUDED
    assert (await explain(query, "p1", shop.deps)).outcome is ProductOutcome.EXCLUDED


async def test_pins_and_explanations_keep_to_the_categories_that_the_scene_keeps_to(shop):
    shop.retriever.paths = {"p1": "Clothing > Shoes > Boots"}
    hero = ControlRule("hero", ControlKind.PIN, ("p9",), place=1)
    query = RequestQuery(scene="complete-the-look", anchors=("p1",), controls=(hero,))
    await recommend(query, shop.deps)
    calls = dict(
        zip([name for name, _ in shop.retriever.calls], shop.retriever.scopes, strict=True)
    )
    assert calls["checked"].other_categories == ("Clothing > Shoes",)
    assert calls["products"] == calls["checked"]

    await explain(query, "p9", shop.deps)
    pairs = zip(shop.retriever.calls, shop.retriever.scopes, strict=True)
    asked = [scope.other_categories for (name, _), scope in pairs if name == "rejection"]
    assert asked[0] == ("Clothing > Shoes",)


async def test_unknown_anchors_are_named_and_the_others_answered(shop):
    answer = await recommend(RequestQuery(scene="cart", anchors=("nope", "p1")), shop.deps)
    assert answer.missing_product_ids == ("nope",)
    assert ids(answer)

    with pytest.raises(ProductNotFound) as caught:
        await recommend(RequestQuery(scene="cart", anchors=("nope", "nor")), shop.deps)
    paths = [item.field for item in caught.value.violations]
    assert paths == ["anchor_product_ids[0]", "anchor_product_ids[1]"]
    with pytest.raises(ProductNotFound):
        await recommend(RequestQuery(scene="similar-behavior", signals=(near("nope"),)), shop.deps)


async def test_a_photo_is_answered_whatever_the_anchors_are(shop):
    shop.retriever.nearest[b"photo"] = {"p1": 0.8}
    answer = await recommend(by_photo(anchors=("nope",)), shop.deps)
    assert ids(answer) == ["p1"]
    assert answer.missing_product_ids == ("nope",)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"anchors": ("a", "b", "a")}, "anchor_product_ids[2]"),
        ({"anchors": ("a", "")}, "anchor_product_ids[1]"),
        ({"anchors": tuple(f"p{i}" for i in range(200))}, "anchor_product_ids"),
        ({"followed": ("a", "a")}, "followed[1]"),
        ({"followed": ("",)}, "followed[0]"),
        ({"followed": tuple(f"p{i}" for i in range(1001))}, "followed"),
        ({"followed": ("ann",)}, "followed"),  # the scene has no followed branch
    ],
)
async def test_anchors_and_followed_that_cant_be_are_refused_with_their_place(shop, fields, path):
    with pytest.raises(RequestInvalid) as caught:
        await recommend(RequestQuery(**fields), shop.deps)
    assert [item.field for item in caught.value.violations] == [path]
    assert shop.ranker.calls == []


async def test_anchors_are_searched_by_what_they_look_like_where_the_scene_says_so(shop):
    answer = await recommend(
        RequestQuery(scene="similar-looks", anchors=("p1",), explain=True), shop.deps
    )

    assert ids(answer) == ["p2", "p3"]
    visual = answer.results[0].answered.contributions["visual"]
    assert [name for name, _ in visual] == ["anchors[0]"]
    assert shop.ranker.asked == ["rank"]
    assert [name for name, _ in shop.retriever.calls] == ["search", "products"]


async def test_anchors_that_nobody_named_come_with_the_rankers_candidates(shop):
    shop.ranker.anchors[AnchorSource.CART] = ("p1",)
    shop.ranker.counted["co_purchase"]["p1"] = 0.9
    answer = await recommend(RequestQuery(scene="complete-the-look", shopper=ANN), shop.deps)

    assert ids(answer) == ["p2", "p3", "p4"]  # by looks, and by what is bought together; not p1
    assert shop.ranker.asked == ["generate", "rank"]
    assert shop.ranker.recommenders[0].anchors == RequestAnchors((), AnchorSource.CART)
    assert ranked(shop).anchors == RequestAnchors(("p1",))


async def test_completing_a_look_leaves_out_the_anchors_categories(shop):
    shop.retriever.paths = {"p1": "Clothing > Shoes > Boots", "p4": "Toys"}
    query = RequestQuery(scene="complete-the-look", anchors=("p1", "p4"), filter=IN_RED)
    await recommend(query, shop.deps)

    calls = dict(
        zip([name for name, _ in shop.retriever.calls], shop.retriever.scopes, strict=True)
    )
    assert calls["search"].other_categories == ("Clothing > Shoes", "Toys")
    assert calls["columns"] == calls["search"]
    assert calls["search"].filter is IN_RED


async def test_a_place_by_counts_is_explained(shop):
    query = RequestQuery(scene="also-viewed", anchors=("p1",), page_size=1)
    found = await explain(query, "p3", shop.deps)
    verdicts = {item.branch: (item.named, round(item.similarity, 3)) for item in found.branches}
    assert verdicts == {"co_view": (True, 0.9), "visual": (True, 0.5)}
    assert not any(item.signal is not None for item in found.branches)

    assert (await explain(query, "p7", shop.deps)).outcome is ProductOutcome.NOT_A_CANDIDATE
    assert (await explain(query, "p1", shop.deps)).outcome is ProductOutcome.EXCLUDED


async def test_search_knows_no_anchors(shop):
    found = await search(RequestQuery(signals=(near("p1"),)), shop.deps)
    assert [item.product.product_id for item in found.results] == ["p2", "p3"]


# Feeds


async def test_a_feed_is_of_whom_one_follows_the_freshest_first_and_what_trends(shop):
    hour = 3_600_000_000
    shop.retriever.record = ["p0", "p1", "p5", "p6"]
    asked = RequestQuery(scene="feed", followed=("ann", "bob"), shopper=ANN)
    now = (await recommend(asked, shop.deps), ranked(shop).time_micros)[1]
    shop.retriever.created = {"p0": now, "p1": now - 24 * hour, "p5": now - 48 * hour, "p6": 0}
    shop.retriever.calls.clear()
    shop.retriever.scopes.clear()
    await recommend(asked, shop.deps)

    calls = dict(
        zip([name for name, _ in shop.retriever.calls], shop.retriever.scopes, strict=True)
    )
    assert calls["newest"].attribute == ("author", ("ann", "bob"))
    assert ranked(shop).drop_seen
    fresh = scores(shop, "freshness")
    assert fresh["p0"] == pytest.approx(1.0, abs=1e-3)
    assert fresh["p1"] == pytest.approx(0.5, abs=1e-3)
    assert fresh["p5"] == pytest.approx(0.25, abs=1e-3)
    assert fresh["p6"] == 0.0  # its age is unknown
    assert scores(shop, "followed") == dict.fromkeys(["p0", "p1", "p5", "p6"], 1.0)
    assert scores(shop, "trending") == {"p5": 1.0, "p6": 0.5}


async def test_the_newest_are_a_branch_of_their_own_where_it_has_a_weight(shop):
    answer = await recommend(RequestQuery(scene="new", page_size=3), shop.deps)

    assert {*ids(answer)} <= {*shop.retriever.record}
    assert answer.results[0].answered.branches == (Branch.NEW,)
    assert {*ranked(shop).signals} == {"freshness"}
    assert shop.ranker.asked == ["rank"]


def test_a_scene_of_before_uses_no_recommender():
    assert Scene("old", "1").used == {"visual", "text", "text_visual", "keywords", "collaborative"}
