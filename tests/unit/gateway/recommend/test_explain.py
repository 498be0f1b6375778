"""The outcome of a product: each kind, with its evidence."""

from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import NothingAvailable, PeerUnavailable
from gateway.model.explanation import ProductOutcome
from gateway.ranking import wording
from gateway.recommend.explain import explain
from servicekit.rpc.requests import CatalogNotFound, RequestInvalid
from sightline_core.degradations import DegradationCause
from sightline_core.search import Rejection
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import ANN, FILTER, by_photo, near, photo


async def asked(product_id: str, shop: Shop | None = None, **fields):
    return await explain(by_photo(**fields), product_id, (shop or shop_with_photo()).deps)


def texts(found) -> tuple[str, str]:
    return wording.outcome(found, ""), wording.outcome(found, "zh-Hans")


async def test_a_shown_product_is_reported_with_its_score_by_feature():
    found = await asked("p1")

    assert found.outcome is ProductOutcome.SHOWN
    assert found.placed.rank == 2
    assert found.placed.answered.contributions == {
        "visual": (("signals[0]", 0.8),),
        "taste": (("brand=b", 0.05),),
    }
    assert found.last_shown.row.product_id == "p2"
    assert found.versions.model_version == "m1"
    assert texts(found) == ("It is shown at place 2.", "已展示，位于第 2 位。")


async def test_nothing_is_recorded():
    shop = shop_with_photo()
    await asked("p1", shop)
    assert shop.ranker.records == {}


async def test_an_outranked_product_is_compared_with_the_last_one_shown():
    found = await asked("p2", page_size=2)

    assert found.outcome is ProductOutcome.OUTRANKED
    assert (found.placed.rank, found.last_shown.rank) == (4, 2)
    assert found.placed.answered.raw_score < found.last_shown.answered.raw_score
    assert texts(found)[0] == (
        "It is at place 4: its score is 0.550, and that of the last product shown 0.850."
    )


async def test_a_product_that_the_catalog_does_not_hold_is_an_outcome():
    found = await asked("nope")
    assert (found.outcome, found.row) == (ProductOutcome.PRODUCT_NOT_FOUND, None)


async def test_what_the_request_leaves_out_itself():
    assert (await asked("p1", exclude_product_ids=("p1",))).outcome is ProductOutcome.EXCLUDED
    shop = shop_with_photo()
    shop.retriever.nearest["p5"] = {}
    assert (await asked("p5", shop, signals=(near("p5"),))).outcome is ProductOutcome.EXCLUDED


async def test_what_the_filter_leaves_out_is_shown_by_its_condition():
    shop = shop_with_photo()
    why = Rejection(
        path="filter.all.filters[1].comparison",
        condition="price < 30 EUR",
        held=["price: 45 EUR"],
    )
    shop.retriever.rejections["p1"] = why

    found = await asked("p1", shop, filter=FILTER)

    assert (found.outcome, found.rejection) == (ProductOutcome.FILTERED, why)
    assert texts(found)[0] == (
        "The filter excludes it: it requires price < 30 EUR (price: 45 EUR)."
    )
    assert shop.embedder.calls == []


async def test_the_scenes_own_categories_that_a_product_fails_are_named():
    shop = shop_with_photo()
    shop.retriever.paths = {"p0": "Wine > Red", "p1": "Wine > Red > Merlot", "p2": "Beer"}
    shop.scene(lambda scene: replace(scene, other_categories=2))
    shop.retriever.rejections["p1"] = Rejection(condition='NOT category = "Wine > Red"')
    found = await asked("p1", shop, filter=FILTER, anchors=("p0", "p2"))
    assert found.outcome is ProductOutcome.FILTERED
    assert found.other_categories == ("Wine > Red",)
    shop.retriever.rejections["p1"] = Rejection(path="filter.comparison", condition="price < 1 EUR")
    assert (await asked("p1", shop, filter=FILTER, anchors=("p0",))).other_categories == ()


async def test_what_can_not_be_bought_is_the_scenes_doing():
    shop = shop_with_photo()
    shop.retriever.sold_out = {"p1"}
    found = await asked("p1", shop, filter=FILTER)
    assert found.outcome is ProductOutcome.UNAVAILABLE
    assert found.rejection.path == ""
    shop.scene(lambda scene: replace(scene, buyable_only=False))
    assert (await asked("p1", shop)).outcome is ProductOutcome.SHOWN


@pytest.mark.parametrize("drop_seen", [False, True])
async def test_a_hidden_product_is_shown_as_hidden(drop_seen):
    shop = shop_with_photo()
    shop.ranker.hidden = frozenset({"p1"})
    shop.scene(lambda scene: replace(scene, drop_seen=drop_seen))
    found = await asked("p1", shop, shopper=ANN)
    assert (found.outcome, found.placed) == (ProductOutcome.HIDDEN, None)


async def test_a_seen_product_is_shown_as_seen_where_the_scene_leaves_such_out():
    shop = shop_with_photo()
    shop.ranker.seen = {"p1"}
    assert (await asked("p1", shop, shopper=ANN)).outcome is ProductOutcome.SHOWN
    shop.scene(lambda scene: replace(scene, drop_seen=True))
    assert (await asked("p1", shop, shopper=ANN)).outcome is ProductOutcome.SEEN


async def test_a_near_duplicate_names_the_product_that_it_is_grouped_with():
    shop = shop_with_photo()
    shop.retriever.parents = {"p4": "p1"}
    found = await asked("p4", shop)
    assert (found.outcome, found.collapsed_into) == (ProductOutcome.COLLAPSED, "p1")
    assert found.placed.answered.raw_score == pytest.approx(0.75)


async def test_a_near_duplicate_of_the_querys_own_product_names_that():
    shop = Shop()
    shop.retriever.nearest["p5"] = {"p1": 0.9}
    shop.retriever.parents = {"p7": "p5"}
    found = await asked("p7", shop, signals=(near("p5"),))
    assert (found.outcome, found.collapsed_into) == (ProductOutcome.COLLAPSED, "p5")


async def test_no_candidate_is_shown_how_near_it_is_and_where_it_would_be():
    shop = shop_with_photo()
    shop.retriever.created = {"p8": 77}
    shop.retriever.far[b"photo"] = {"p8": 0.3}

    found = await asked("p8", shop)

    assert found.outcome is ProductOutcome.NOT_A_CANDIDATE
    (verdict,) = found.branches
    assert (verdict.branch, verdict.signal, verdict.named, verdict.named_count) == (
        "visual",
        0,
        False,
        4,
    )
    assert (verdict.similarity, verdict.last_similarity) == pytest.approx((0.3, 0.5))
    assert found.placed.rank == 5
    assert found.placed.answered.parts == (("visual", 0.3), ("taste", 0.05))
    assert found.placed.answered.contributions["visual"] == (("signals[0]", 0.3),)
    assert "0.300" in texts(found)[0]
    # The search for it alone leaves no trace in the explanation of the request.
    assert found.versions.plan == "visual: top 40 (flat) → rank"


async def test_of_several_signals_each_has_the_product():
    shop = shop_with_photo()
    shop.retriever.nearest[b"other"] = {"p1": 0.6}
    shop.retriever.created = {"p2": 5}
    shop.retriever.far[b"other"] = {"p2": 0.1}

    found = await asked("p2", shop, signals=(photo(), photo(1, b"other")))

    assert found.outcome is ProductOutcome.SHOWN
    assert [item.named for item in found.branches] == [True, False]
    assert [item.similarity for item in found.branches] == pytest.approx([0.5, 0.1])


async def test_a_product_that_no_branch_found_is_placed_by_what_is_left():
    found = await asked("p8")
    assert found.outcome is ProductOutcome.NOT_A_CANDIDATE
    assert found.branches[0].similarity is None
    assert found.placed.rank == 5
    assert texts(found)[0] == "No branch found it; it would be at place 5."


async def test_without_the_ranker_the_place_is_that_of_fusion_and_it_is_said():
    shop = shop_with_photo()
    shop.ranker.fails["rank"] = PeerUnavailable(Peer.RANKER)
    found = await asked("p1", shop)
    assert found.outcome is ProductOutcome.SHOWN
    assert [item.cause for item in found.degradations] == [DegradationCause.RANKER_UNAVAILABLE]


async def test_without_the_record_nothing_can_be_explained():
    shop = shop_with_photo()
    shop.retriever.fails["products"] = PeerUnavailable(Peer.RETRIEVER)
    with pytest.raises(NothingAvailable):
        await asked("p1", shop)


@pytest.mark.parametrize(
    ("fields", "product_id", "field"),
    [({}, "", "product_id"), ({"page_token": "t"}, "p1", "page_token")],
)
async def test_a_bad_question_is_refused_by_its_field(fields, product_id, field):
    with pytest.raises(RequestInvalid) as caught:
        await asked(product_id, **fields)
    assert caught.value.violations[0].field == field


async def test_errors_are_those_of_recommend():
    with pytest.raises(CatalogNotFound):
        await asked("p1", catalog_id="nope")


def test_every_outcome_is_worded_in_every_language():
    keys = {frozenset(texts) for texts in wording.OUTCOMES.values()}
    assert len(keys) == 1
    assert set(ProductOutcome) <= next(iter(keys))
    assert len({frozenset(texts) for texts in wording.TITLED.values()}) == 1
