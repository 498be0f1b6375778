"""Anchors that are the products in a request's photo."""

from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import ImageRefused, PeerUnavailable
from gateway.model.price import detection_price
from gateway.model.query import MOST_IN_PHOTO, RequestQuery, Signal, SignalKind
from gateway.recommend.charge import covered
from gateway.recommend.explain import explain
from gateway.recommend.recommend import recommend
from servicekit.errors import InvalidArgument
from sightline.common.v1.photo_pb2 import Box
from sightline_core.branch import Branch
from sightline_core.degradations import DegradationCause
from sightline_core.ranking import AnchorSource
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_values import DEFAULT


def photo(index: int = 0, **more: object) -> Signal:
    return Signal(index, SignalKind.IMAGE, image=b"shelf", **more)  # type: ignore[arg-type]


QUERY = RequestQuery(signals=(photo(),))


@pytest.fixture
def shop() -> Shop:
    """Return a shop whose photo shows p1 once, p2 twice, and an unknown object; by orders, p5 and
    p6 go with them, and the whole photo looks like p9."""
    shop = Shop()
    shop.embedder.regions[b"shelf"] = tuple(
        Box(left=left, top=0.1, right=left + 0.1, bottom=0.5) for left in (0.1, 0.3, 0.5, 0.7)
    )
    for place, near in enumerate(
        ({"p1": 0.95, "p7": 0.3}, {"p2": 0.9, "p7": 0.4}, {"p2": 0.9, "p7": 0.4}, {"p7": 0.2})
    ):
        shop.retriever.nearest[place.to_bytes(4, "little")] = near
    shop.retriever.nearest[b"shelf"] = {"p9": 0.9}
    shop.ranker.counted[Branch.CO_PURCHASE] = {"p5": 0.6, "p6": 0.4}
    branches = {**DEFAULT.branches, Branch.CO_PURCHASE: 1.0}
    shop.scene(lambda it: replace(it, anchors_from=AnchorSource.PHOTO, branches=branches))
    return shop


def asked(shop: Shop) -> tuple[str, ...]:
    """Return the anchors that the ranker was given."""
    return shop.ranker.recommenders[-1].anchors.product_ids


async def test_products_in_the_photo_are_the_anchors_most_places_first(shop: Shop) -> None:
    answer = await recommend(QUERY, shop.deps)
    assert asked(shop) == ("p2", "p1")
    assert [each.product_id for each in answer.detections] == ["p1", "p2", "p2", ""]
    found = [each.row.product_id for each in answer.results]
    assert found[:2] == ["p5", "p6"]
    assert not {"p1", "p2", "p9"} & set(found)  # the photo itself is not searched
    assert "detect: 2 anchors" in answer.versions.plan
    assert not answer.degradations


async def test_what_looks_like_the_anchors_is_found_where_the_scene_asks_for_it(shop: Shop) -> None:
    shop.scene(lambda it: replace(it, anchors_look_alike=True))
    shop.embedder.regions[b"shelf"] = shop.embedder.regions[b"shelf"][:1]
    shop.retriever.nearest["p1"] = {"p1": 1.0, "p8": 0.9}
    answer = await recommend(QUERY, shop.deps)
    found = [each.row.product_id for each in answer.results]
    assert "p8" in found
    assert not {"p1", "p9"} & set(found)


async def test_a_photo_without_products_is_searched_as_a_whole(shop: Shop) -> None:
    shop.embedder.regions.clear()
    answer = await recommend(QUERY, shop.deps)
    assert "p9" in [each.row.product_id for each in answer.results]
    assert answer.detections == []
    assert "detect: 0 anchors" in answer.versions.plan


async def test_without_detection_the_answer_says_so(shop: Shop) -> None:
    shop.embedder.fails = PeerUnavailable(Peer.EMBEDDER)
    answer = await recommend(QUERY, shop.deps)
    lost = [(each.stage, each.cause) for each in answer.degradations]
    assert ("detect", DegradationCause.EMBEDDER_UNAVAILABLE) in lost
    assert answer.results


async def test_a_photo_that_is_none_is_the_callers_error(shop: Shop) -> None:
    shop.embedder.fails = InvalidArgument("no photo", reason="IMAGE_UNDECODABLE")
    with pytest.raises(ImageRefused) as caught:
        await recommend(QUERY, shop.deps)
    assert caught.value.violations[0].field == "signals[0].image"


@pytest.mark.parametrize(
    "query",
    [
        RequestQuery(signals=(photo(),), anchors=("p3",)),
        RequestQuery(signals=(photo(), Signal(1, SignalKind.PRODUCT, product_id="p3"))),
        RequestQuery(signals=(photo(box=Box(right=0.5, bottom=0.5)),)),
        RequestQuery(signals=(Signal(0, SignalKind.TEXT, text="red"),)),
    ],
)
async def test_what_the_request_names_itself_is_not_looked_for(
    shop: Shop, query: RequestQuery
) -> None:
    assert covered(query, shop.deps)[1].parts["anchors"] == 0
    answer = await recommend(query, shop.deps)
    assert answer.detections == ()


async def test_the_price_has_the_detections(shop: Shop) -> None:
    _, price = covered(QUERY, shop.deps)
    assert price.parts["anchors"] == detection_price(MOST_IN_PHOTO).seconds


async def test_a_product_is_explained_by_the_same_anchors(shop: Shop) -> None:
    found = await explain(QUERY, "p5", shop.deps)
    assert found.outcome.name == "SHOWN"
    shown = await explain(QUERY, "p1", shop.deps)
    assert shown.outcome.name != "SHOWN"
