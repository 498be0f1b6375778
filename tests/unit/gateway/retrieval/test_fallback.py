"""Fallbacks when the branches find no product: popular products, then the newest."""

from dataclasses import replace

from gateway.model.causes import Peer
from gateway.model.errors import (
    PeerUnavailable,
)
from gateway.model.query import RequestQuery
from gateway.recommend.recommend import recommend
from gateway.retrieval.fallback import distinct_count
from servicekit.errors import Internal
from sightline_core.degradations import DegradationCause
from sightline_core.ranking import NominationBasis
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import ANN, by_photo, columns, degraded, ids


async def test_a_newcomer_without_signals_gets_what_is_popular():
    shop = Shop()
    shop.ranker.generated["ann"] = (NominationBasis.POPULARITY, ("p4", "p2"))

    answer = await recommend(RequestQuery(shopper=ANN, page_size=2), shop.deps)

    assert ids(answer) == ["p4", "p2"]
    assert answer.results[0].answered.branches == ("popular",)
    assert shop.ranker.asked == ["generate", "rank"]
    assert "newest" not in [name for name, _ in shop.retriever.calls], "they fill the page"


async def test_popular_products_stay_out_while_the_photo_names_candidates():
    shop = shop_with_photo()
    shop.ranker.generated["ann"] = (NominationBasis.POPULARITY, ("p9",))

    assert "p9" not in ids(await recommend(by_photo(shopper=ANN), shop.deps))


async def test_before_anything_has_happened_the_newest_products_are_answered():
    shop = Shop()

    answer = await recommend(RequestQuery(), shop.deps)

    assert ids(answer) == shop.retriever.record
    assert {result.answered.branches for result in answer.results} == {("new",)}


async def test_popular_products_that_do_not_fill_the_page_are_followed_by_the_newest():
    shop = Shop()
    shop.ranker.generated["ann"] = (NominationBasis.POPULARITY, ("p4", "p2"))

    answer = await recommend(RequestQuery(shopper=ANN, page_size=5), shop.deps)

    assert ids(answer) == ["p4", "p2", "p0", "p1", "p3"]
    branches = [result.answered.branches for result in answer.results]
    assert branches == [("popular",)] * 2 + [("new",)] * 3
    assert answer.versions.plan == "popular: top 10 → new: top 12 → rank"
    assert answer.degradations == ()


async def test_with_the_ranker_dead_the_newest_still_follow_what_is_popular():
    shop = Shop()
    shop.ranker.generated["ann"] = (NominationBasis.POPULARITY, ("p4", "p2"))
    shop.ranker.fails["rank"] = PeerUnavailable(Peer.RANKER)

    answer = await recommend(RequestQuery(shopper=ANN), shop.deps)

    assert ids(answer) == ["p4", "p2", "p0", "p1", "p3", "p5", "p6", "p7", "p8", "p9"]
    codes = [[item.code for item in result.answered.reasons] for result in answer.results]
    assert codes == [["POPULAR"]] * 2 + [["NEW"]] * 8


async def test_excluded_popular_products_do_not_count_as_filling_the_page():
    shop = Shop()
    generate = shop.ranker.generate
    shop.ranker.generated[""] = (NominationBasis.POPULARITY, ("p4", "p2"))

    async def forgets_what_is_excluded(order):
        return await generate(order._replace(exclude_product_ids=()))

    shop.ranker.generate = forgets_what_is_excluded
    answer = await recommend(RequestQuery(page_size=2, exclude_product_ids=("p2",)), shop.deps)

    assert ids(answer) == ["p4", "p0"]


async def test_a_scene_without_new_products_leaves_the_popular_ones_alone():
    shop = Shop()
    shop.ranker.generated["ann"] = (NominationBasis.POPULARITY, ("p4", "p2"))
    shop.scene(lambda scene: replace(scene, new_fallback=False))

    assert ids(await recommend(RequestQuery(shopper=ANN), shop.deps)) == ["p4", "p2"]


async def test_popular_products_stand_when_the_newest_are_unavailable_and_that_is_flagged():
    shop = Shop()
    shop.ranker.generated["ann"] = (NominationBasis.POPULARITY, ("p4", "p2"))
    shop.retriever.fails["newest"] = Internal("a bug", reason="INTERNAL")

    answer = await recommend(RequestQuery(shopper=ANN), shop.deps)

    assert ids(answer) == ["p4", "p2"]
    assert degraded(answer) == [("new", DegradationCause.RETRIEVER_UNAVAILABLE)]


async def test_excluding_the_newest_products_brings_the_next_newest():
    shop = Shop()
    shop.retriever.record = [f"p{i}" for i in range(100)]
    first = tuple(shop.retriever.record[:40])

    answer = await recommend(RequestQuery(exclude_product_ids=first), shop.deps)

    assert ids(answer) == shop.retriever.record[40:60]


async def test_popular_products_that_are_one_do_not_fill_a_page():
    shop = Shop()
    shop.ranker.generated[""] = (NominationBasis.POPULARITY, ("p8", "p9"))
    shop.retriever.parents = {"p8": "x", "p9": "x"}
    answer = await recommend(RequestQuery(page_size=2), shop.deps)

    groups = {item.row.product_id: item.answered.collapsed for item in answer.results}
    assert groups == {"p8": ("p9",), "p0": ()}


def test_what_is_left_out_does_not_count():
    shown = replace(columns("a", "b", "c"), parent_ids=["x", "x", ""])

    assert distinct_count(shown, ()) == 2
    assert distinct_count(shown, ("c",)) == 1
    assert distinct_count(shown, ("a",)) == 2
