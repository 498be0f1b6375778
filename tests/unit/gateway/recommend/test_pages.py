"""Later pages come from the answer's record and are checked again."""

from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import AnswerMissing, NothingAvailable, PeerUnavailable
from gateway.model.scene import SceneRanking
from gateway.recommend.recommend import recommend
from servicekit.errors import Internal, NotFound
from servicekit.rpc.requests import PageTokenInvalid
from sightline_core.degradations import DegradationCause
from sightline_core.reasons import Move, MoveCause
from sightline_core.shoppers import Shopper
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import ANN, by_photo, ids, photo, reason


async def first_page(shop: Shop, **fields):
    return await recommend(by_photo(page_size=2, **fields), shop.deps)


async def test_pages_walk_through_one_order_without_gap_or_overlap():
    shop = shop_with_photo()
    one = await first_page(shop)
    two = await first_page(shop, page_token=one.next_page_token)

    assert ids(one) + ids(two) == ["p3", "p1", "p4", "p2"]
    assert [result.rank for result in two.results] == [3, 4]
    assert two.next_page_token == ""
    assert two.attribution_token == one.attribution_token
    assert two.versions == one.versions
    assert two.results[0].answered.branches == ("visual",)
    assert two.results[0].answered.reasons[0].code == "LOOKS_LIKE_QUERY"


async def test_a_later_page_neither_embeds_nor_ranks_again():
    shop = shop_with_photo()
    one = await first_page(shop)
    shop.embedder.calls.clear()
    shop.ranker.calls.clear()

    await first_page(shop, page_token=one.next_page_token)

    assert shop.embedder.calls == []
    assert shop.ranker.asked == ["answer", "reasons"]


async def test_the_next_in_order_takes_the_place_and_rank_of_a_product_that_vanished():
    shop = shop_with_photo()
    shop.retriever.record.remove("p3")

    one = await first_page(shop)
    assert ids(one) == ["p1", "p4"]
    assert [result.rank for result in one.results] == [1, 2]

    shop.retriever.record.remove("p2")
    two = await first_page(shop, page_token=one.next_page_token)
    assert ids(two) == []


@pytest.mark.parametrize(("drop_seen", "left"), [(False, ["p2"]), (True, [])])
async def test_what_was_hidden_or_seen_since_the_page_before_is_left_out(drop_seen, left):
    shop = shop_with_photo()
    shop.scene(lambda scene: replace(scene, drop_seen=drop_seen))
    one = await first_page(shop, shopper=ANN)
    shop.ranker.hidden, shop.ranker.seen = frozenset({"p4"}), {"p2"}

    two = await first_page(shop, shopper=ANN, page_token=one.next_page_token)

    assert ids(two) == left
    assert [result.rank for result in two.results] == [3][: len(left)]


async def test_a_record_that_is_not_handed_over_yet_is_found():
    shop = shop_with_photo()
    shop.answers.waiting = True
    shop.ranker.fails["rank"] = Internal("a bug", reason="INTERNAL")
    one = await first_page(shop)

    two = await first_page(shop, page_token=one.next_page_token)

    assert ids(two) == ["p4", "p2"]
    assert two.results[0].answered.reasons[0].code == "LOOKS_LIKE_QUERY"
    assert shop.ranker.asked == ["rank"]


async def test_a_dropped_record_is_reported_as_missing():
    shop = shop_with_photo()
    one = await first_page(shop)
    shop.ranker.records.clear()

    with pytest.raises(NotFound) as caught:
        await first_page(shop, page_token=one.next_page_token)
    assert caught.value.reason == "ANSWER_RECORD_MISSING"


async def test_an_expired_record_is_said_to_be_missing():
    shop = shop_with_photo()
    one = await first_page(shop)
    for key, record in shop.ranker.records.items():
        shop.ranker.records[key] = replace(record, expire_micros=1)

    with pytest.raises(AnswerMissing):
        await first_page(shop, page_token=one.next_page_token)


async def test_a_record_without_an_expiry_is_read():
    shop = shop_with_photo()
    one = await first_page(shop)
    for key, record in shop.ranker.records.items():
        shop.ranker.records[key] = replace(record, expire_micros=0)

    assert ids(await first_page(shop, page_token=one.next_page_token)) == ["p4", "p2"]


async def test_with_the_ranker_down_a_later_page_is_unavailable_and_not_missing():
    shop = shop_with_photo()
    one = await first_page(shop)
    shop.ranker.fails["answer"] = PeerUnavailable(Peer.RANKER)

    with pytest.raises(NothingAvailable):
        await first_page(shop, page_token=one.next_page_token)


@pytest.mark.parametrize(
    "other",
    [
        {"signals": (photo(image=b"other"),)},
        {"shopper": Shopper(ANN.kind, "bob")},
        {"session_id": "s2"},
        {"min_quality": 0.5},
        {"exclude_product_ids": ("p9",)},
        {"catalog_id": "other"},
    ],
)
async def test_a_page_token_is_no_good_with_another_request(other):
    shop = shop_with_photo()
    one = await first_page(shop, shopper=ANN)

    with pytest.raises(PageTokenInvalid):
        await first_page(shop, **{"shopper": ANN, "page_token": one.next_page_token, **other})


async def test_page_size_and_request_id_may_change_between_pages():
    shop = shop_with_photo()
    one = await first_page(shop)

    two = await recommend(
        by_photo(page_size=1, request_id="r2", page_token=one.next_page_token), shop.deps
    )

    assert ids(two) == ["p4"]


async def test_a_token_that_points_to_the_record_of_another_request_is_refused():
    shop = shop_with_photo()
    one = await first_page(shop)
    for key, record in shop.ranker.records.items():
        shop.ranker.records[key] = replace(record, request_digest=b"another")

    with pytest.raises(PageTokenInvalid):
        await first_page(shop, page_token=one.next_page_token)


async def test_whether_there_was_a_good_match_is_said_on_every_page():
    shop = shop_with_photo()
    one = await first_page(shop, min_quality=0.99)
    two = await first_page(shop, min_quality=0.99, page_token=one.next_page_token)

    assert one.no_good_match
    assert two.no_good_match
    assert one.match is not None
    assert one.match.threshold == 0.99
    assert two.match == one.match


async def test_the_record_holds_the_whole_order_beyond_the_page():
    shop = shop_with_photo()
    await first_page(shop, shopper=ANN)

    (record,) = shop.ranker.records.values()
    assert record.order.product_ids == ["p3", "p1", "p4", "p2"]
    assert record.shopper == ANN
    assert len(record.request_digest) == 32
    assert record.expire_micros > record.answer_micros


async def test_a_page_after_many_vanished_products_costs_few_calls():
    shop = shop_with_photo()
    shop.retriever.nearest[b"photo"] = {f"q{i:03}": 1 - i / 1000 for i in range(100)}
    shop.scene(lambda scene: replace(scene, least_candidates=100))
    shop.retriever.record = ["q099"]

    answer = await recommend(by_photo(page_size=1), shop.deps)

    assert ids(answer) == ["q099"]
    assert len([name for name, _ in shop.retriever.calls if name == "products"]) <= 3


async def test_when_the_page_and_what_is_ahead_of_it_vanished_the_rest_is_asked_for_and_kept_once():
    shop = shop_with_photo()
    shop.retriever.nearest[b"photo"] = {f"q{i:03}": 1 - i / 1000 for i in range(100)}
    pinned = SceneRanking(model="m2")  # the ranker has m1
    shop.scene(lambda scene: replace(scene, least_candidates=100, ranking=pinned))
    shop.retriever.record = ["q097", "q099"]

    one = await recommend(by_photo(page_size=1), shop.deps)
    two = await recommend(by_photo(page_size=1, page_token=one.next_page_token), shop.deps)

    assert (ids(one), ids(two)) == (["q097"], ["q099"])
    asked = [what for name, what in shop.ranker.calls if name == "rank"]
    assert [(order.top_k, order.record is None) for order in asked] == [(12, False), (0, True)]
    assert [order.model_version for order in asked] == ["m2", "m1"]
    assert len(shop.ranker.records) == 1
    assert one.versions.plan == "visual: top 100 (flat) → rank" == two.versions.plan
    assert one.results[0].answered.reasons[0].text == "alike"


async def test_what_took_the_place_of_a_vanished_product_gets_its_reasons_by_name():
    shop = shop_with_photo()
    shop.retriever.record.remove("p1")
    viewed = reason("SIMILAR_TO_VIEWED", "Similar to something", "p9")
    shop.ranker.reasons_given = (viewed,)

    one = await first_page(shop)

    assert ids(one) == ["p3", "p4"]
    texts = {item.answered.reasons[0].text for item in one.results}
    assert texts == {"Because you looked at Title of p9"}
    (order,) = [what for name, what in shop.ranker.calls if name == "reasons"]
    assert [row.product_id for row in order.rows] == ["p4"]
    assert dict(order.parts)["visual"] == [0.7]
    assert order.weights == shop.scenes.get("").parts_with_signals


async def test_later_pages_say_which_products_were_given_a_place():
    shop = shop_with_photo()
    up, down = (
        Move(cause=MoveCause.EXPLORATION, places=2),
        Move(cause=MoveCause.EXPLORATION, places=-1),
    )
    shop.ranker.moves = ((), (), (down,), (up,))
    one = await first_page(shop)
    await first_page(shop, page_token=one.next_page_token)
    (order,) = [what for name, what in shop.ranker.calls if name == "reasons"]
    assert list(order.explored_places) == [1]


async def test_an_order_that_ends_while_it_is_read_leaves_a_short_page():
    shop = shop_with_photo()
    shop.retriever.nearest[b"photo"] = {f"q{i:03}": 1 - i / 1000 for i in range(100)}
    shop.scene(lambda scene: replace(scene, least_candidates=100))
    shop.retriever.record = ["q000", "q099"]
    rank = shop.ranker.rank

    async def first_alone(order):
        if not order.top_k:
            raise PeerUnavailable(Peer.RANKER)
        return await rank(order)

    shop.ranker.rank = first_alone
    answer = await first_page(shop)

    assert ids(answer) == ["q000"]
    assert [item.cause for item in answer.degradations] == [DegradationCause.RANKER_UNAVAILABLE]


async def test_on_later_pages_parts_of_behaviour_are_split_where_it_is_asked_for():
    shop = shop_with_photo()
    one = await first_page(shop, explain=True)
    two = await first_page(shop, explain=True, page_token=one.next_page_token)

    assert set(one.results[0].answered.contributions) == {"visual", "taste"}
    assert two.results[0].answered.contributions == {"taste": (("brand=b", 0.05),)}


async def test_products_read_ahead_of_a_full_page_come_on_the_next():
    shop = shop_with_photo()
    shop.retriever.record.remove("p3")
    one = await recommend(by_photo(page_size=1), shop.deps)
    two = await recommend(by_photo(page_size=1, page_token=one.next_page_token), shop.deps)

    assert (ids(one), ids(two)) == (["p1"], ["p4"])


async def test_what_failed_in_the_first_page_alone_is_not_flagged_on_the_next():
    shop = shop_with_photo()
    shop.retriever.record.remove("p3")
    products = shop.retriever.products

    async def first_call(*asked):
        shop.retriever.products = products
        found = await products(*asked)
        shop.retriever.fails["products"] = PeerUnavailable(Peer.RETRIEVER)
        return found

    shop.retriever.products = first_call
    one = await first_page(shop)
    shop.retriever.fails.clear()
    two = await first_page(shop, page_token=one.next_page_token)

    assert (ids(one), [item.stage for item in one.degradations]) == (["p1"], ["hydrate"])
    assert (ids(two), two.degradations) == (["p4", "p2"], ())
