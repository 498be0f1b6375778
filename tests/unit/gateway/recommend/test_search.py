"""Search: near products, ranked without a shopper."""

from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import NothingAvailable, PeerUnavailable
from gateway.model.query import RequestQuery
from gateway.recommend.search import search
from servicekit.errors import FailedPrecondition, InvalidArgument, Unavailable
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1.facet_pb2 import FacetRequest
from sightline_core.branch import Branch
from sightline_core.degradations import DegradationCause
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
    assert found.freshness is not None


async def test_similarity_is_that_to_the_best_signal():
    shop = shop_with_photo()
    shop.retriever.nearest[b"second"] = {"p2": 0.95, "p3": 0.1}

    found = await search(RequestQuery(signals=(photo(), photo(1, b"second"))), shop.deps)

    similarity = {item.product.product_id: item.similarity for item in found.results}
    assert similarity["p2"] == pytest.approx(0.95)
    assert similarity["p3"] == pytest.approx(0.9)


async def test_without_signals_there_is_nothing_to_search():
    with pytest.raises(RequestInvalid):
        await search(RequestQuery(), Shop().deps)


async def test_when_no_signal_can_be_followed_nothing_is_made_up():
    shop = shop_with_photo()
    shop.embedder.fails = PeerUnavailable(Peer.EMBEDDER)

    with pytest.raises(NothingAvailable):
        await search(by_photo(), shop.deps)


async def test_a_signal_that_can_not_be_followed_is_flagged_beside_one_that_can():
    shop = shop_with_photo()
    shop.embedder.items[b"a red wine"] = FailedPrecondition("no", reason="SPACE_UNAVAILABLE")

    found = await search(RequestQuery(signals=(photo(), words(index=1))), shop.deps)

    assert [item.cause for item in found.degradations] == [DegradationCause.SPACE_UNAVAILABLE]
    assert len(found.results) == 4


async def test_a_text_alone_is_shown_that_there_is_no_space_and_not_to_try_again():
    shop = Shop()
    shop.embedder.items[b"a red wine"] = FailedPrecondition("no", reason="SPACE_UNAVAILABLE")
    shop.scene(lambda scene: replace(scene, branches={**scene.branches, Branch.KEYWORDS: 0.0}))

    with pytest.raises(FailedPrecondition) as caught:
        await search(RequestQuery(signals=(words(),)), shop.deps)

    assert caught.value.reason == "SPACE_UNAVAILABLE"
    assert caught.value.retry_after is None


FACETS = (FacetRequest(field="brand"), FacetRequest(field="price"))


async def test_facets_are_counted_under_the_filter_of_the_search():
    shop = shop_with_photo()
    found = await search(by_photo(facets=FACETS), shop.deps)

    assert [each.field for each in found.facets] == ["brand", "price"]
    ((_, asked),) = [call for call in shop.retriever.calls if call[0] == "facets"]
    assert asked == ["brand", "price"]
    assert len({repr(scope) for scope in shop.retriever.scopes}) == 1
    assert not found.degradations


async def test_without_facets_nothing_is_counted():
    shop = shop_with_photo()
    assert not (await search(by_photo(), shop.deps)).facets
    assert "facets" not in dict(shop.retriever.calls)


async def test_products_come_without_counts_where_these_could_not_be_had():
    shop = shop_with_photo()
    shop.retriever.fails["facets"] = Unavailable("cold", reason="COLUMNS_UNAVAILABLE")
    found = await search(by_photo(facets=FACETS), shop.deps)

    assert found.results
    assert not found.facets
    (lost,) = found.degradations
    assert (lost.stage, lost.cause) == ("facets", DegradationCause.RETRIEVER_UNAVAILABLE)
    assert lost.substitute == "no counts"


async def test_a_field_that_can_not_be_counted_is_the_callers_own_mistake():
    shop = shop_with_photo()
    shop.retriever.fails["facets"] = InvalidArgument("no", reason="FACET_INVALID")
    with pytest.raises(InvalidArgument):
        await search(by_photo(facets=FACETS), shop.deps)


@pytest.mark.parametrize("sort", ["-1", "7"])
async def test_an_order_that_is_none_is_refused(sort):
    with pytest.raises(RequestInvalid) as caught:
        await search(by_photo(sort=sort), shop_with_photo().deps)
    assert [each.field for each in caught.value.violations] == ["sort"]


async def test_the_newest_come_first_where_that_is_asked():
    shop = shop_with_photo()
    shop.retriever.created |= {"p1": 30, "p3": 10, "p4": 20}
    found = await search(by_photo(sort="NEWEST", page_size=3), shop.deps)
    assert [(each.product.product_id, each.rank) for each in found.results] == [
        ("p1", 1),
        ("p4", 2),
        ("p3", 3),
    ]
