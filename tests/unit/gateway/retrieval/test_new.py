"""New products are among the candidates where a scene has exploration places."""

from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.diversity import Diversity
from gateway.model.errors import PeerUnavailable
from gateway.model.query import RequestQuery
from gateway.recommend.begin import begin
from gateway.recommend.recommend import recommend
from gateway.retrieval.branches import find
from gateway.retrieval.new import DAY_MICROS
from sightline_core.ranking import NominationBasis
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import ANN, by_photo

EXPLORING = Diversity(exploration_places=(2,), exploration_days=10)


def exploring(shop: Shop, *young: str) -> Shop:
    """Return a scene with an exploration place; only these products are younger than ten days."""
    shop.scene(lambda scene: replace(scene, diversity=EXPLORING))
    now = begin(RequestQuery(), shop.deps).time_micros
    ages = {item: 5 if item in young else 20 for item in shop.retriever.record}
    shop.retriever.created = {item: now - days * DAY_MICROS for item, days in ages.items()}
    return shop


def named(listings):
    return [(str(item.branch), list(item.columns.product_ids)) for item in listings]


async def test_new_products_stand_beside_what_fits_the_shopper_and_behind_it():
    shop = exploring(Shop(), "p8", "p9")
    shop.ranker.generated["ann"] = (NominationBasis.SESSION, ("p4", "p2"))

    listings = await find(begin(RequestQuery(shopper=ANN), shop.deps))

    assert named(listings) == [("collaborative", ["p4", "p2"]), ("new", ["p8", "p9"])]
    shop.ranker.fails["rank"] = PeerUnavailable(Peer.RANKER)
    answer = await recommend(RequestQuery(shopper=ANN), shop.deps)
    assert [item.row.product_id for item in answer.results] == ["p4", "p2", "p8", "p9"]


async def test_a_scene_may_nominate_new_products_for_shoppers_without_exploration():
    shop = exploring(Shop(), "p8", "p9")
    shop.scene(
        lambda scene: replace(scene, diversity=Diversity(exploration_days=10), new_candidates=True)
    )
    shop.ranker.generated["ann"] = (NominationBasis.SESSION, ("p4", "p2"))
    listings = await find(begin(RequestQuery(shopper=ANN), shop.deps))
    assert named(listings) == [("collaborative", ["p4", "p2"]), ("new", ["p8", "p9"])]
    assert ("new", ["p8", "p9"]) not in named(await find(begin(RequestQuery(), shop.deps)))


async def test_new_products_stand_beside_popular_ones_for_newcomers():
    shop = exploring(Shop(), "p9")
    shop.ranker.generated["ann"] = (NominationBasis.POPULARITY, tuple(f"p{n}" for n in range(8)))
    listings = await find(begin(RequestQuery(shopper=ANN, page_size=3), shop.deps))
    assert named(listings) == [("popular", [f"p{n}" for n in range(8)]), ("new", ["p9"])]


@pytest.mark.parametrize("query", [by_photo(), by_photo(shopper=ANN)])
async def test_with_signals_nobody_asks_for_them(query):
    shop = exploring(shop_with_photo(), "p9")
    listings = await find(begin(query, shop.deps))
    assert ("new", ["p9"]) not in named(listings)


async def test_without_exploration_nobody_asks_for_them():
    shop = Shop()
    shop.ranker.generated["ann"] = (NominationBasis.SESSION, ("p4",))
    await find(begin(RequestQuery(shopper=ANN), shop.deps))
    assert "newest" not in [name for name, _ in shop.retriever.calls]


async def test_where_nothing_is_new_or_the_list_is_unavailable_the_others_stand_alone():
    shop = exploring(Shop())
    shop.ranker.generated["ann"] = (NominationBasis.SESSION, ("p4",))
    assert named(await find(begin(RequestQuery(shopper=ANN), shop.deps))) == [
        ("collaborative", ["p4"])
    ]
    shop.retriever.fails["newest"] = PeerUnavailable(Peer.RETRIEVER)
    run = begin(RequestQuery(shopper=ANN), shop.deps)
    assert named(await find(run))[0][0] == "collaborative"
    assert [failure.stage for failure in run.trace.failures] == ["new"]
