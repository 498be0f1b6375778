"""Several signals, positive and negative, as one list or as one each."""

import math
from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import ImageRefused, PeerUnavailable, ProductNotFound
from gateway.model.match import Thresholds
from gateway.model.query import RequestQuery
from gateway.model.scene import Fusion
from gateway.recommend.explain import explain
from gateway.recommend.recommend import recommend
from gateway.recommend.search import search
from servicekit.errors import InvalidArgument
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1.photo_pb2 import CategoryGuess, Classification
from sightline_core.branch import Branch
from sightline_core.degradations import DegradationCause
from sightline_core.embedding import EmbeddedSignals
from sightline_core.ranking import NominationBasis
from sightline_core.versions import SpaceVersion
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import ANN, ids, near, photo, words

NOT_P2 = replace(near("p2", 1), negative=True, weight=0.5)


def shop_of(fusion: Fusion, **nearest: dict[str, float]) -> Shop:
    shop = shop_with_photo()
    shop.scene(lambda scene: replace(scene, fusion=fusion))
    shop.retriever.nearest |= {"p2": {"p1": 0.9, "p5": 0.2}}
    shop.retriever.nearest |= {key.replace("_", " "): value for key, value in nearest.items()}
    return shop


def searches(shop: Shop) -> list[object]:
    return [what for name, what in shop.retriever.calls if name == "search"]


@pytest.mark.parametrize("fusion", list(Fusion))
async def test_what_is_not_wanted_is_searched_for_by_itself_and_falls(fusion):
    shop = shop_of(fusion)
    found = await search(RequestQuery(signals=(photo(), replace(NOT_P2, weight=1.0))), shop.deps)

    assert sorted(map(str, searches(shop))) == ["b'photo'", "p2"]
    # p1 was second; p2, which is not wanted, is left out like every product that is asked with.
    assert ids(found) == ["p3", "p4", "p1"]


async def test_by_rank_each_signal_is_searched_for():
    shop = shop_of(Fusion.RANK)
    await search(RequestQuery(signals=(photo(), near("p2", 1))), shop.deps)

    assert sorted(map(str, searches(shop))) == ["b'photo'", "p2"]


async def test_by_vector_what_is_wanted_of_a_branch_is_one_search():
    shop = shop_of(Fusion.VECTOR)
    shop.retriever.nearest["+1 photo +2 second"] = {"p4": 0.9, "p1": 0.3, "p5": 0.25}
    query = RequestQuery(signals=(photo(), replace(NOT_P2, index=2), photo(1, b"second", 2.0)))
    found = await search(query, shop.deps)

    assert set(searches(shop)) == {"+1 photo +2 second", "p2"}
    # p1, which is near to what is not wanted, falls behind p5.
    assert ids(found) == ["p4", "p5", "p1"]
    assert found.results[0].similarity == pytest.approx(0.9)


async def test_one_signal_is_no_blend():
    shop = shop_of(Fusion.VECTOR)
    await search(RequestQuery(signals=(photo(),)), shop.deps)

    assert searches(shop) == [b"photo"]


async def test_branches_with_spaces_of_their_own_are_fused_by_rank_all_the_same():
    shop = shop_of(Fusion.VECTOR)
    shop.retriever.nearest["+1 photo +1 second"] = {"p1": 0.9, "p2": 0.8}
    shop.retriever.nearest[b"leather"] = {"p1": 0.7, "p9": 0.1}
    unwanted = replace(words("leather", 2), negative=True)
    query = RequestQuery(signals=(photo(), photo(1, b"second"), unwanted))
    found = await search(query, shop.deps)

    assert set(searches(shop)) == {"+1 photo +1 second", b"leather"}
    assert ids(found) == ["p2", "p1"]


async def test_a_product_of_a_blend_that_is_missing_is_named_and_left_out():
    shop = shop_of(Fusion.VECTOR)
    shop.retriever.nearest["+1 photo"] = {"p4": 0.9}
    query = RequestQuery(signals=(photo(), NOT_P2, near("gone", 2)))
    answer = await recommend(query, shop.deps)

    assert answer.missing_product_ids == ("gone",)
    assert ids(answer) == ["p4"]


async def test_where_all_that_is_wanted_is_missing_the_request_fails():
    for fusion in Fusion:
        with pytest.raises(ProductNotFound):
            await recommend(RequestQuery(signals=(near("gone"), NOT_P2)), shop_of(fusion).deps)


async def test_what_is_not_wanted_may_be_missing():
    unknown = replace(near("gone", 1), negative=True)
    for fusion in Fusion:
        shop = shop_of(fusion)
        answer = await recommend(RequestQuery(signals=(photo(), unknown)), shop.deps)

        assert answer.missing_product_ids == ("gone",)
        assert ids(answer)[0] == "p3"


async def test_a_blend_is_embedded_once_more_when_the_index_holds_another_version():
    shop = shop_of(Fusion.VECTOR)
    shop.embedder.served = ("v1", "v2")
    shop.retriever.active = [SpaceVersion(space="visual", version="v2", generation="g2")]
    shop.retriever.nearest["+1 photo +1 second"] = {"p4": 0.9}
    query = RequestQuery(signals=(photo(), photo(1, b"second")))

    assert ids(await search(query, shop.deps)) == ["p4"]
    assert shop.embedder.versions == ["", "v2"]
    assert ids(await search(query, shop.deps)) == ["p4"]


async def test_parts_that_cancel_out_are_searched_for_one_by_one():
    shop = shop_of(Fusion.VECTOR)
    shop.retriever.cancelling = {"+1 photo +1 opposite"}
    shop.retriever.nearest[b"opposite"] = {"p9": 0.1}
    query = RequestQuery(signals=(photo(), photo(1, b"opposite")))
    found = await search(query, shop.deps)

    assert searches(shop) == ["+1 photo +1 opposite", b"photo", b"opposite"]
    assert "p9" in ids(found)
    assert not found.degradations


async def test_a_blend_whose_photos_are_unavailable_rests_on_its_products():
    shop = shop_of(Fusion.VECTOR)
    shop.embedder.fails = PeerUnavailable(Peer.EMBEDDER)
    shop.retriever.nearest["+1 p2"] = {"p5": 0.9}
    found = await search(RequestQuery(signals=(photo(), near("p2", 1))), shop.deps)

    assert ids(found) == ["p5"]
    assert [item.cause for item in found.degradations] == [DegradationCause.EMBEDDER_UNAVAILABLE]


async def test_with_a_shopper_it_is_enough_to_say_what_is_not_wanted():
    shop = shop_of(Fusion.RANK)
    shop.ranker.generated["ann"] = (NominationBasis.LONG_TERM, ("p1", "p6", "p7"))
    unwanted = replace(near("p2"), negative=True)
    answer = await recommend(RequestQuery(signals=(unwanted,), shopper=ANN), shop.deps)

    assert set(ids(answer)) == {"p1", "p6", "p7"}
    assert not answer.no_good_match
    (order,) = (what for name, what in shop.ranker.calls if name == "rank")
    assert order.candidates.columns.product_ids[order.candidates.order[-1]] == "p1"
    # How much it counts, in a scene that lets similarity count nothing without signals.
    assert order.weights == {"taste": 1.0, "popularity": 1.0, "visual": 1.0}


async def test_a_shopper_without_history_gets_what_is_popular_but_not_what_is_unwanted_first():
    shop = shop_of(Fusion.RANK)
    shop.ranker.generated["ann"] = (NominationBasis.POPULARITY, ("p1", "p6", "p7"))
    shop.scene(lambda scene: replace(scene, new_fallback=False))
    unwanted = replace(near("p2"), negative=True)
    answer = await recommend(RequestQuery(signals=(unwanted,), shopper=ANN), shop.deps)

    assert set(ids(answer)) == {"p1", "p6", "p7"}
    (order,) = (what for name, what in shop.ranker.calls if name == "rank")
    assert order.candidates.columns.product_ids[order.candidates.order[-1]] == "p1"


@pytest.mark.parametrize("call", [recommend, search])
async def test_only_what_is_not_wanted_is_no_request(call):
    with pytest.raises(RequestInvalid, match="all negative"):
        await call(RequestQuery(signals=(replace(NOT_P2, index=0),)), shop_of(Fusion.RANK).deps)


async def test_a_negative_text_without_its_space_costs_no_more_than_itself():
    shop = shop_of(Fusion.RANK)
    shop.embedder.items[b"leather"] = InvalidArgument("no", reason="SPACE_UNAVAILABLE")
    unwanted = replace(words("leather", 1), negative=True)
    answer = await recommend(RequestQuery(signals=(photo(), unwanted)), shop.deps)

    assert ids(answer) == ["p3", "p1", "p4", "p2"]
    assert [(item.stage, item.cause) for item in answer.degradations] == [
        ("text", DegradationCause.SPACE_UNAVAILABLE)
    ]


@pytest.mark.parametrize("fusion", list(Fusion))
async def test_an_explanation_splits_a_score_by_signals_and_sums_up(fusion):
    shop = shop_of(fusion)
    shop.retriever.nearest["+1 photo +1 second"] = {"p3": 0.9, "p1": 0.3}
    shop.retriever.nearest[b"second"] = {"p1": 0.5, "p4": 0.4}
    query = RequestQuery(signals=(photo(), photo(1, b"second"), replace(NOT_P2, index=2)))
    explanation = await explain(query, "p1", shop.deps)

    parts = dict(explanation.placed.answered.parts)
    contributions = dict(explanation.placed.answered.contributions)["visual"]
    assert sum(value for _, value in contributions) == pytest.approx(parts["visual"])
    together = {"signals"} if fusion is Fusion.VECTOR else {"signals[0]", "signals[1]"}
    assert {name for name, _ in contributions} == {*together, "signals[2]"}


async def test_a_box_that_holds_nothing_is_the_callers_error():
    shop = shop_of(Fusion.RANK)
    shop.embedder.items[b"photo"] = InvalidArgument("too small", reason="BOX_INVALID")
    with pytest.raises(ImageRefused) as caught:
        await recommend(RequestQuery(signals=(photo(),)), shop.deps)

    assert caught.value.reason == "BOX_INVALID"
    assert [item.field for item in caught.value.violations] == ["signals[0].box"]


async def test_the_scene_says_how_many_views_are_embedded():
    shop = shop_of(Fusion.RANK)
    shop.scene(lambda scene: replace(scene, views=4))
    asked = []
    embed = shop.embedder.embed

    async def noting(*args: object, **kwargs: object) -> EmbeddedSignals:
        asked.append(kwargs["views"])
        return await embed(*args, **kwargs)

    shop.embedder.embed = noting
    await search(RequestQuery(signals=(photo(),)), shop.deps)

    assert asked == [4]


def shop_of_kinds(weight: float, fusion: Fusion = Fusion.RANK) -> Shop:
    """Return a shop whose p3, nearest to the photo, is a pear, and whose photo shows an apple."""
    shop = shop_of(fusion)
    shop.scene(lambda scene: replace(scene, category_weight=weight))
    shop.retriever.paths = {"p3": "Pear", "p1": "Apple", "p4": "Pear", "p2": "Apple"}
    guesses = [
        CategoryGuess(category_path=["Apple"], probability=0.9),
        CategoryGuess(category_path=["Pear"], probability=0.1),
    ]
    shop.embedder.shown = Classification(guesses=guesses)
    return shop


async def test_the_category_that_a_photo_shows_moves_products_of_others_back():
    found = await search(RequestQuery(signals=(photo(),)), shop_of_kinds(0.1).deps)

    assert ids(found) == ["p1", "p3", "p2", "p4"]
    by_id = {each.product.product_id: each.similarity for each in found.results}
    assert by_id["p3"] == pytest.approx(0.9), "similarities stay cosines"
    assert found.match is not None
    assert found.match.product_id == "p3"


async def test_without_a_weight_photos_are_not_classified():
    shop = shop_of_kinds(0.0)

    assert ids(await search(RequestQuery(signals=(photo(),)), shop.deps)) == [
        "p3",
        "p1",
        "p4",
        "p2",
    ]
    assert shop.embedder.classifying == [False]


async def test_a_photo_is_a_good_match_by_what_the_fit_measured_for_such_photos():
    shop = shop_of(Fusion.VECTOR)
    shop.scene(lambda scene: replace(scene, match=Thresholds(refuse=0.05)))
    poor, good = (0.9, 0.92, 0.95, 0.97, 0.98, 0.99), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    for cosines, outcome in ((poor, "POOR"), (good, "GOOD"), ((), "NO_THRESHOLD")):
        shop.embedder.match_cosines = cosines
        found = await search(RequestQuery(signals=(photo(),)), shop.deps)
        assert found.match is not None
        assert found.match.outcome.name == outcome


async def test_the_ranker_gets_the_similarity_with_what_the_category_adds():
    shop = shop_of_kinds(0.1)
    await recommend(RequestQuery(signals=(photo(),)), shop.deps)

    (order,) = (what for name, what in shop.ranker.calls if name == "rank")
    places = order.candidates.places
    visual = order.candidates.similarities[Branch.VISUAL]
    assert visual[places["p1"]] == pytest.approx(0.8 + 0.1 * math.log(0.9))
    assert visual[places["p3"]] == pytest.approx(0.9 + 0.1 * math.log(0.1))


async def test_photos_in_one_search_add_by_their_shares_of_the_strength():
    shop = shop_of_kinds(0.1, Fusion.VECTOR)
    shop.retriever.nearest["+3 photo +1 p2"] = {"p3": 0.9, "p1": 0.8}
    query = RequestQuery(signals=(photo(weight=3.0), near("p2", 1)))
    answer = await recommend(query, shop.deps)

    assert set(ids(answer)) == {"p3", "p1"}
    (order,) = (what for name, what in shop.ranker.calls if name == "rank")
    visual = order.candidates.similarities[Branch.VISUAL]
    assert visual[order.candidates.places["p3"]] == pytest.approx(0.9 + 0.075 * math.log(0.1))


async def test_a_photo_that_is_not_wanted_is_searched_for_by_looks_alone():
    shop = shop_of_kinds(0.1)
    shop.retriever.nearest[b"other"] = {"p4": 0.7, "p2": 0.1}
    unwanted = replace(photo(1, b"other", 1.0), negative=True)
    found = await search(RequestQuery(signals=(photo(), unwanted)), shop.deps)

    assert ids(found)[0] == "p1"
    assert ids(found)[-1] == "p4"
