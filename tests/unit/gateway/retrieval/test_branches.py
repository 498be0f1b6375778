"""The branches' calls, and their further calls."""

import asyncio
from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import NothingAvailable, PeerUnavailable
from gateway.model.filters import CallersFilter
from gateway.model.query import RequestQuery
from gateway.recommend.begin import begin
from gateway.retrieval.branches import find
from sightline_core.ranking import NominationBasis
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import ANN, by_photo, near, photo


def named(listings):
    return [(str(item.branch), list(item.columns.product_ids)) for item in listings]


def names(shop):
    return [name for name, _ in shop.retriever.calls]


async def test_all_photos_are_embedded_in_one_call():
    shop = shop_with_photo()
    shop.retriever.nearest[b"second"] = {"p9": 0.1}

    listings = await find(begin(RequestQuery(signals=(photo(), photo(1, b"second"))), shop.deps))

    assert [len(call) for call in shop.embedder.calls] == [2]
    assert named(listings) == [("visual", ["p1", "p2", "p3", "p4"]), ("visual", ["p9"])]


async def test_a_product_is_searched_without_the_embedder():
    shop = Shop()
    shop.retriever.nearest["p1"] = {"p2": 0.9}

    await find(begin(RequestQuery(signals=(near("p1"),)), shop.deps))

    assert shop.embedder.calls == []


async def test_weights_travel_with_the_signals():
    shop = shop_with_photo()
    listings = await find(begin(RequestQuery(signals=(photo(weight=3.0), photo(1))), shop.deps))

    assert [item.weight for item in listings] == [3.0, 1.0]


async def test_one_failed_search_of_two_leaves_the_other():
    shop = shop_with_photo()
    search = shop.retriever.search

    async def first_only(catalog_id, vector, scope, **rest):
        if vector == "p1":
            raise PeerUnavailable(Peer.RETRIEVER)
        return await search(catalog_id, vector, scope, **rest)

    shop.retriever.search = first_only
    run = begin(RequestQuery(signals=(photo(), near("p1", 1))), shop.deps)
    listings = await find(run)

    assert len(listings) == 1
    assert [item.stage for item in run.trace.failures] == ["visual"]


async def test_candidates_are_looked_up_in_the_record_under_the_filter():
    shop = Shop()
    shop.ranker.generated["ann"] = (NominationBasis.SESSION, ("p4", "gone", "p2"))
    asked = CallersFilter("f", b"f", False)

    listings = await find(begin(RequestQuery(shopper=ANN, filter=asked), shop.deps))

    assert named(listings) == [("collaborative", ["p4", "p2"])]
    assert shop.retriever.scopes[0].filter is asked


async def test_when_no_candidate_passes_popular_then_new_products_are_tried():
    shop = Shop()
    shop.ranker.generated["ann"] = (NominationBasis.LONG_TERM, ("gone",))
    shop.ranker.generated[""] = (NominationBasis.POPULARITY, ("gone too",))

    listings = await find(begin(RequestQuery(shopper=ANN), shop.deps))

    assert shop.ranker.asked == ["generate", "generate"]
    assert names(shop) == ["columns", "columns", "newest"]
    assert named(listings)[0][0] == "new"


async def test_a_ranker_that_is_gone_is_not_asked_for_popular_products_too():
    shop = Shop()
    shop.ranker.fails["generate"] = PeerUnavailable(Peer.RANKER)

    await find(begin(RequestQuery(shopper=ANN), shop.deps))

    assert shop.ranker.asked == ["generate"]


async def test_a_scene_may_do_without_fallbacks():
    shop = Shop()
    shop.scene(lambda scene: replace(scene, popular_fallback=False, new_fallback=False))

    assert await find(begin(RequestQuery(), shop.deps)) == ()

    shop.embedder.fails = PeerUnavailable(Peer.EMBEDDER)
    with pytest.raises(NothingAvailable):
        await find(begin(by_photo(), shop.deps))


async def test_a_cancelled_request_cancels_its_branches():
    shop = shop_with_photo()
    shop.retriever.hang = {"search"}
    task = asyncio.create_task(find(begin(by_photo(), shop.deps)))
    while not shop.retriever.calls:  # noqa: ASYNC110
        await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert shop.retriever.cancelled == ["search"]
