"""Requests about products: with a promoted model, without a shopper."""

import dataclasses

import numpy as np
import pytest

from ranker.domain.arrays import Neighbours
from ranker.domain.events import EventType, History, Identity, Shopper
from ranker.domain.model import Model
from ranker.domain.recommenders import Counted, CountsQuery
from ranker.servicer.ranking import RankingServicer
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb
from tests.fakes.ranker import KEY, FakeReader, columns, did, model, product
from tests.unit.ranker.servicer.test_ranking import candidates

ANN = KEY.of("default", Shopper(Identity.USER, "ann"))
FOR_ANN = {"shopper": event_pb2.Shopper(user_id="ann")}
PUT = EventType.ADD_TO_CART


def promoted() -> Model:
    """Return a model in which shoppers who buy a also buy c, with this part turned off in its
    blend."""
    made = model({item: [0.1] for item in "abcd"})
    goes_with = Neighbours(
        starts=np.array([0, 1, 1, 1, 1]),
        items=np.array([2], np.int32),
        weights=np.array([0.8], np.float32),
    )
    return dataclasses.replace(
        made, neighbours={"bought_together": goes_with}, blend={"session": 1.0}
    )


class Serving:
    def serving(self, catalog_id: str) -> Model:
        return promoted()

    def pinned(self, catalog_id: str, version: str) -> Model | None:
        return None

    def refused(self, catalog_id: str) -> bool:
        return False

    def former(self, catalog_id: str) -> Model | None:
        return None


class Counts:
    """Counts in memory with best sellers only."""

    def __init__(self) -> None:
        self.asked: list[CountsQuery] = []

    async def counted(self, catalog_id: str, asked: CountsQuery) -> Counted:
        self.asked.append(asked)
        return Counted(best=[(item, -n) for n, item in enumerate("abcd")], lag_micros=7)


def servicer(history: History = History(), counts: Counts | None = None) -> RankingServicer:  # noqa: B008
    reader = FakeReader({ANN: history}, {"b": 1.0})
    return RankingServicer.of(("default",), KEY, reader, Serving(), 100, counts=counts or Counts())


async def ranked(history: History = History(), **fields: object) -> pb.RankResponse:  # noqa: B008
    request = pb.RankRequest(
        candidates=columns([product(item) for item in "bcd"]),
        weights=[pb.PartWeight(part="bought_together", weight=1)],
        **fields,
    )
    return await servicer(history).Rank(request, None)


async def test_a_products_pair_comes_first_on_its_page_for_nobody_in_particular() -> None:
    assert list((await ranked()).raw_scores) == [0, 0, 0]
    found = await ranked(anchors=pb.Anchors(product_ids=["a"]))
    assert found.product_ids[0] == "c"
    assert found.raw_scores[0] == pytest.approx(0.8)
    assert [part.name for part in found.parts] == ["bought_together"]
    (reason,) = found.reasons[0].reasons
    assert (reason.code, reason.parameters[0].value) == ("BOUGHT_WITH", "a")


async def test_a_cart_is_gone_by_and_an_unknown_product_counts_nothing() -> None:
    history = History(recent=(did(ANN, "a", PUT),))
    cart = pb.Anchors(source=pb.Anchors.SOURCE_CART)
    assert (await ranked(history, anchors=cart, **FOR_ANN)).raw_scores[0] == pytest.approx(0.8)
    unknown = pb.Anchors(product_ids=["nowhere"])
    assert list((await ranked(history, anchors=unknown, **FOR_ANN)).raw_scores) == [0, 0, 0]


async def test_later_pages_are_explained_by_the_same_anchors() -> None:
    request = pb.GiveReasonsRequest(
        candidates=columns([product("c")]),
        parts=[pb.PartColumn(name="bought_together", values=[0.8])],
        weights=[pb.PartWeight(part="bought_together", weight=1)],
        anchors=pb.Anchors(product_ids=["a"]),
    )
    (found,) = (await servicer().GiveReasons(request, None)).reasons
    assert found.reasons[0].parameters[0].value == "a"


async def test_candidates_and_lists_go_by_anchors_and_leave_them_out() -> None:
    counts = Counts()
    found = await candidates(
        servicer(counts=counts),
        anchors=pb.Anchors(product_ids=["a"]),
        recommenders=["best_sellers", "co_view"],
        exclude_product_ids=["d"],
        scope=pb.CountScope(category_path=["x", "y"], price_band="EUR:6", segment="k=v"),
    )
    assert list(found.product_ids) == ["c", "b"]
    assert found.basis == found.BASIS_SESSION
    assert list(found.anchor_product_ids) == ["a"]
    assert [(one.recommender, list(one.product_ids)) for one in found.lists] == [
        ("best_sellers", ["b", "c"]),
        ("co_view", []),
    ]
    assert found.count_lag_micros == 7
    (asked,) = counts.asked
    assert asked.near == [("view", "a")]
    assert asked.scope.groups == ("category=x > y", "price_band=EUR:6")
    assert asked.scope.segment == "k=v"


async def test_recommenders_alone_cost_no_candidates_and_those_no_counts() -> None:
    counts = Counts()
    alone = {"recommenders": ["best_sellers"], "recommenders_only": True}
    found = await candidates(servicer(counts=counts), **alone)
    assert (list(found.product_ids), len(found.lists)) == ([], 1)
    assert (await candidates(servicer(counts=counts))).product_ids
    assert len(counts.asked) == 1


async def test_what_was_hidden_or_viewed_is_as_asked() -> None:
    history = History(recent=(did(ANN, "d"), did(ANN, "b")), hidden=frozenset("ab"))
    found = await candidates(
        servicer(history),
        recommenders=["best_sellers", "recently_viewed"],
        anchors=pb.Anchors(source=pb.Anchors.SOURCE_VIEWED),
        **FOR_ANN,
    )
    assert list(found.anchor_product_ids) == ["d"], "without hidden ones"
    assert [list(one.product_ids) for one in found.lists] == [["c"], []]
    assert list(found.product_ids) == ["c"]


BAD = [
    ({"anchors": pb.Anchors(product_ids=[f"p{n}" for n in range(51)])}, "anchors.product_ids"),
    ({"anchors": pb.Anchors(product_ids=["a", "b", "a"])}, "anchors.product_ids[0]"),
    ({"anchors": pb.Anchors(product_ids=["a", ""])}, "anchors.product_ids[1]"),
    ({"anchors": pb.Anchors(source=9)}, "anchors.source"),
]
BAD_LISTS = [
    *BAD,
    ({"recommenders": ["best_sellers", "best_seller"]}, "recommenders[1]"),
    ({"recommenders": ["co_view", "co_view"]}, "recommenders[0]"),
    ({"recommenders": ["co_view"] * 9}, "recommenders"),
    ({"scope": pb.CountScope(category_path=["a > b"])}, "scope.category_path"),
    ({"scope": pb.CountScope(category_path=list("abcdefghi"))}, "scope.category_path"),
    ({"scope": pb.CountScope(price_band="cheap")}, "scope.price_band"),
    ({"scope": pb.CountScope(segment="FR")}, "scope.segment"),
]


@pytest.mark.parametrize(("fields", "path"), BAD_LISTS)
async def test_bad_lists_are_refused_with_the_field(fields: dict[str, object], path: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        await candidates(servicer(), **fields)
    assert caught.value.violations[0].field == path


@pytest.mark.parametrize(("fields", "path"), BAD)
async def test_bad_anchors_are_refused_with_the_field(fields: dict[str, object], path: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        await ranked(**fields)
    assert caught.value.violations[0].field == path
