"""Listings: pages, popular products, controls, shoppers, etags and fallbacks."""

from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.controls import ControlRule
from gateway.model.errors import NothingAvailable, PeerUnavailable
from gateway.model.quality import Quality
from gateway.model.query import RequestQuery
from gateway.ranking.sorting import RELEVANCE
from gateway.recommend.listing import listing
from gateway.recommend.search import search
from gateway.state.popular import MOST_LISTS, PopularLists
from servicekit.errors import Unavailable
from servicekit.rpc.requests import PageTokenInvalid, RequestInvalid
from sightline.common.v1.facet_pb2 import FacetRequest
from sightline_core.degradations import DegradationCause
from sightline_core.ranking import NominationBasis
from sightline_core.search import RANKED
from sightline_rules.controls import ControlKind
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_snapshot import row, snapshot
from tests.fakes.gateway_values import ANN, photo


def asked(**fields) -> RequestQuery:
    return RequestQuery(**{"listed": True, "sort": "NEWEST", "page_size": 4, **fields})


def ids(page) -> list[str]:
    return [item.row.product_id for item in page.results]


async def test_pages_follow_one_another_with_rising_ranks_and_facets_on_the_first():
    shop = Shop()
    query = asked(facets=(FacetRequest(field="brand"),), text="red")
    first = await listing(query, shop.deps)
    rest = await listing(replace(query, page_token=first.next_page_token), shop.deps)
    assert (ids(first), ids(rest)) == (["p0", "p1", "p2", "p3"], ["p4", "p5", "p6", "p7"])
    assert [item.rank for item in rest.results] == [5, 6, 7, 8]
    assert (first.total, [each.field for each in first.facets]) == (10, ["brand"])
    assert (rest.total, rest.facets) == (10, ())
    assert [each.text for each in shop.retriever.asked] == ["red", "red"]
    assert (first.quality, first.degradations) == (Quality.FULL, ())
    assert shop.ranker.calls == []


@pytest.mark.parametrize(
    "other", [{"sort": "RATING"}, {"text": "white"}, {"shopper": ANN}, {"scene": "other"}]
)
async def test_a_page_token_of_another_request_is_refused(other):
    shop = Shop()
    shop.scenes.scenes["other"] = shop.deps.scenes.get("default")
    token = (await listing(asked(), shop.deps)).next_page_token
    with pytest.raises(PageTokenInvalid):
        await listing(asked(page_token=token, **other), shop.deps)


async def test_an_unknown_order_is_refused_and_popularity_is_no_order_of_a_search():
    with pytest.raises(RequestInvalid):
        await listing(asked(sort="COLOUR"), Shop().deps)
    with pytest.raises(RequestInvalid):
        await search(RequestQuery(signals=(photo(),), sort="POPULARITY"), Shop().deps)


async def test_without_an_order_popular_products_come_first_in_one_list_for_all_pages():
    shop = Shop()
    shop.ranker.generated[""] = (NominationBasis.POPULARITY, ("p5", "p3"))
    deps = shop.deps
    first = await listing(asked(sort=""), deps)
    again = await listing(asked(sort="", page_token=first.next_page_token), deps)
    lists = [each.ranked for each in shop.retriever.asked]
    assert shop.retriever.asked[0].order == RANKED
    assert lists == [("p5", "p3")] * 2
    assert ids(first) == ["p5", "p3", "p0", "p1"]
    assert not set(ids(first)) & set(ids(again))
    assert len(shop.ranker.calls) == 1


@pytest.mark.parametrize(
    ("sort", "order"),
    [("", RELEVANCE), ("NEAREST", RELEVANCE), ("RELEVANCE", RELEVANCE), ("POPULARITY", RANKED)],
)
async def test_a_text_orders_by_relevance_and_equal_matches_by_popularity(sort, order):
    shop = Shop()
    shop.ranker.generated[""] = (NominationBasis.POPULARITY, ("p5", "p3"))
    deps = shop.deps
    page = await listing(asked(sort=sort, text="red"), deps)
    await listing(asked(sort=sort, text="red", page_token=page.next_page_token), deps)
    sent = [(each.order, tuple(each.ranked)) for each in shop.retriever.asked]
    assert sent == [(order, ("p5", "p3"))] * 2


async def test_relevance_needs_a_text():
    with pytest.raises(RequestInvalid) as caught:
        await listing(asked(sort="RELEVANCE"), Shop().deps)
    assert [each.field for each in caught.value.violations] == ["sort"]
    with pytest.raises(RequestInvalid):
        await search(RequestQuery(signals=(photo(),), sort="RELEVANCE"), Shop().deps)


async def test_a_shoppers_page_of_a_text_is_ordered_by_the_ranker_unless_relevance_is_named():
    shop = Shop()
    named = await listing(asked(shopper=ANN, sort="RELEVANCE", text="red"), shop.deps)
    own = await listing(asked(shopper=ANN, sort="", text="red"), shop.deps)
    assert ids(named) == ["p0", "p1", "p2", "p3"]
    assert (named.attribution_token, bool(own.attribution_token)) == ("", True)


async def test_without_the_ranker_the_newest_products_are_listed_and_that_is_said():
    shop = Shop()
    shop.ranker.fails = {"generate": PeerUnavailable(Peer.RANKER)}
    page = await listing(asked(sort="POPULARITY"), shop.deps)
    assert ids(page) == ["p0", "p1", "p2", "p3"]
    assert [each.cause for each in page.degradations] == [DegradationCause.RANKER_UNAVAILABLE]
    assert (page.quality, page.etag) == (Quality.REDUCED, "")


def test_later_pages_use_the_list_of_the_first_for_a_quarter_of_an_hour():
    now = [1_000.0]
    lists = PopularLists(lambda: now[0])
    first, _ = lists.keep("c", ["a"])
    for _ in range(MOST_LISTS - 1):
        now[0] += 61
        assert lists.of("c") is None
        lists.keep("c", ["b"])
    assert lists.of("c", first) == (first, ["a"])
    assert lists.former("c")[1] == ["b"]
    now[0] += 61
    lists.keep("c", ["b"])
    assert lists.of("c", first) == lists.of("c")
    assert lists.former("other") == (0, ())


async def test_pins_stand_at_their_places_on_the_first_page_alone():
    shop = Shop()
    pins = ControlRule("pin", ControlKind.PIN, ("p7", "gone"), place=2)
    buried = ControlRule("bury", ControlKind.BURY, ("p1",))
    boost = ControlRule("boost", ControlKind.BOOST, ("p9",), boost=1.0)
    query = asked(controls=(pins, buried, boost), exclude_product_ids=("p2",))
    page = await listing(query, shop.deps)
    assert ids(page)[:2] == ["p0", "p7"]
    assert shop.retriever.asked[0].last_ids == ["p1"]
    assert set(shop.retriever.asked[0].exclude) == {"p2", "p7", "gone"}
    assert [(each.control, each.product_id, each.state.name) for each in page.control_outcomes] == [
        ("bury", "", "APPLIED"),
        ("pin", "p7", "APPLIED"),
        ("pin", "gone", "FILTERED"),
    ]
    rest = await listing(replace(query, page_token=page.next_page_token), shop.deps)
    assert "p7" not in ids(rest)
    assert rest.control_outcomes == ()


async def test_a_page_full_of_pins_has_room_for_another_product():
    shop = Shop()
    pins = ControlRule("pin", ControlKind.PIN, ("p5", "p6", "p7", "p8"), place=1)
    page = await listing(asked(page_size=2, controls=(pins,)), shop.deps)
    assert ids(page) == ["p5", "p0"]
    assert page.next_page_token


async def test_hidden_products_are_left_out_and_the_order_of_the_request_is_kept():
    shop = Shop()
    shop.ranker.hidden = frozenset({"p1"})
    page = await listing(asked(shopper=ANN), shop.deps)
    assert (ids(page), page.hidden_count) == (["p0", "p2", "p3"], 1)
    assert (page.etag, page.attribution_token) == ("", "")


async def test_a_pin_that_the_shopper_hid_is_left_out():
    shop = Shop()
    shop.ranker.hidden = frozenset({"p7"})
    pins = ControlRule("pin", ControlKind.PIN, ("p7", "p8"), place=1)
    for sort in ("NEWEST", ""):
        page = await listing(asked(shopper=ANN, sort=sort, controls=(pins,)), shop.deps)
        assert "p7" not in ids(page)
        assert ids(page).count("p8") == 1
        states = {each.product_id: each.state.name for each in page.control_outcomes}
        assert states == {"p7": "HIDDEN", "p8": "APPLIED"}


async def test_a_shoppers_page_is_ordered_by_the_ranker_and_recorded():
    shop = Shop()
    page = await listing(asked(shopper=ANN, sort=""), shop.deps)
    plain = await listing(asked(sort=""), shop.deps)
    assert sorted(ids(page)) == sorted(ids(plain))
    assert page.attribution_token
    assert plain.attribution_token == ""
    assert all(item.answered.parts for item in page.results)


async def test_without_the_ranker_a_shoppers_page_is_listed_as_for_others():
    shop = Shop()
    shop.ranker.fails = {"rank": PeerUnavailable(Peer.RANKER)}
    page = await listing(asked(shopper=ANN), shop.deps)
    assert ids(page) == ["p0", "p1", "p2", "p3"]
    causes = {each.cause for each in page.degradations}
    assert causes == {DegradationCause.RANKER_UNAVAILABLE, DegradationCause.PROFILE_UNAVAILABLE}


async def test_an_unchanged_page_is_not_sent_again():
    shop = Shop()
    tag = (await listing(asked(), shop.deps)).etag
    again = await listing(asked(if_none_match=tag), shop.deps)
    assert (again.not_modified, again.results, again.etag) == (True, (), tag)
    other = await listing(asked(if_none_match=tag, page_size=5), shop.deps)
    assert not other.not_modified
    shop.retriever.state = "8"
    changed = await listing(asked(if_none_match=tag), shop.deps)
    assert (changed.not_modified, changed.etag != tag) == (False, True)
    personal = await listing(asked(if_none_match=changed.etag, shopper=ANN), shop.deps)
    assert not personal.not_modified


async def test_without_the_retriever_the_snapshot_is_listed_in_order():
    shop = Shop()
    shop.retriever.fails = dict.fromkeys(("browse", "products"), PeerUnavailable(Peer.RETRIEVER))
    with pytest.raises(NothingAvailable):
        await listing(asked(), shop.deps)
    deps = replace(shop.deps, snapshot_of=lambda _: snapshot([row("p1"), row("p2")]))
    page = await listing(asked(), deps)
    assert page.results
    assert (page.quality, page.next_page_token, page.etag) == (Quality.SNAPSHOT, "", "")
    assert DegradationCause.RETRIEVER_UNAVAILABLE in {each.cause for each in page.degradations}
    with pytest.raises(NothingAvailable):
        await listing(asked(text="red"), deps)
    with pytest.raises(Unavailable):
        await listing(asked(min_answer_quality=int(Quality.REDUCED)), deps)
