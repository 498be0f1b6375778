"""Search: near products, ranked for nobody."""

from dataclasses import replace

import pytest

from gateway.model.branch import Branch
from gateway.model.causes import Cause, Peer
from gateway.model.errors import NothingAvailable, PeerUnavailable
from gateway.model.query import Query
from gateway.recommend.search import search
from servicekit.errors import FailedPrecondition
from servicekit.requests import RequestInvalid
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import by_photo, photo, words


async def test_results_are_in_order_of_similarity_with_their_photo():
    shop = shop_with_photo()
    found = await search(by_photo(page_size=3), shop.deps)

    assert [(item.product.product_id, item.rank) for item in found.results] == [
        ("p3", 1),
        ("p1", 2),
        ("p4", 3),
    ]
    assert found.results[0].similarity == pytest.approx(0.9)
    assert found.results[0].matched_image_id == "image of p3"
    assert shop.ranker.calls == []
    assert found.HasField("freshness")


async def test_similarity_is_that_to_the_best_signal():
    shop = shop_with_photo()
    shop.retriever.nearest[b"second"] = {"p2": 0.95, "p3": 0.1}

    found = await search(Query(signals=(photo(), photo(1, b"second"))), shop.deps)

    similarity = {item.product.product_id: item.similarity for item in found.results}
    assert similarity["p2"] == pytest.approx(0.95)
    assert similarity["p3"] == pytest.approx(0.9)


async def test_without_signals_there_is_nothing_to_search():
    with pytest.raises(RequestInvalid):
        await search(Query(), Shop().deps)


async def test_when_no_signal_can_be_followed_nothing_is_made_up():
    shop = shop_with_photo()
    shop.embedder.fails = PeerUnavailable(Peer.EMBEDDER)

    with pytest.raises(NothingAvailable):
        await search(by_photo(), shop.deps)


async def test_a_signal_that_can_not_be_followed_is_flagged_beside_one_that_can():
    shop = shop_with_photo()
    shop.embedder.items[b"a red wine"] = FailedPrecondition("no", reason="SPACE_UNAVAILABLE")

    found = await search(Query(signals=(photo(), words(index=1))), shop.deps)

    assert [item.cause for item in found.degradations] == [Cause.SPACE_UNAVAILABLE]
    assert len(found.results) == 4


async def test_a_text_alone_is_shown_that_there_is_no_space_and_not_to_try_again():
    shop = Shop()
    shop.embedder.items[b"a red wine"] = FailedPrecondition("no", reason="SPACE_UNAVAILABLE")
    shop.scene(lambda scene: replace(scene, branches={**scene.branches, Branch.KEYWORDS: 0.0}))

    with pytest.raises(FailedPrecondition) as caught:
        await search(Query(signals=(words(),)), shop.deps)

    assert caught.value.reason == "SPACE_UNAVAILABLE"
    assert caught.value.retry_after is None
