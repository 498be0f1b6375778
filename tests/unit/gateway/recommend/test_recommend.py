"""The path of a request, step by step."""

import asyncio
from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.diversity import Diversity
from gateway.model.errors import (
    ImageRefused,
    ImageUnreadable,
    PeerUnavailable,
    ProductNotFound,
    SceneNotFound,
)
from gateway.model.query import AnswerScope, RequestQuery
from gateway.recommend.recommend import recommend
from gateway.state import tokens
from servicekit.errors import FailedPrecondition, InvalidArgument
from servicekit.keys.keyring import open_keys
from servicekit.rpc.requests import CatalogNotFound
from sightline_core.ranking import NominationBasis
from sightline_core.reasons import Move, MoveCause
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import (
    ANN,
    FILTER,
    SPACE,
    address,
    by_photo,
    ids,
    near,
    photo,
    reason,
    words,
)
from tests.waiting import SECONDS


async def test_a_photo_is_answered_in_the_rankers_order_with_parts_reasons_and_photo():
    answer = await recommend(by_photo(), shop_with_photo().deps)

    assert ids(answer) == ["p3", "p1", "p4", "p2"]
    assert [result.rank for result in answer.results] == [1, 2, 3, 4]
    first = answer.results[0].answered
    assert first.parts == (("visual", 0.9), ("taste", 0.05))
    assert first.raw_score == pytest.approx(sum(value for _, value in first.parts))
    assert first.matched_image_id == "image of p3"
    assert first.branches == ("visual",)
    assert first.reasons[0].code == "LOOKS_LIKE_QUERY"
    assert answer.degradations == ()
    assert list(answer.versions.spaces) == [SPACE]
    assert answer.versions.model_version == "m1"
    assert answer.versions.plan == "visual: top 40 (flat) → rank"
    assert answer.freshness.index_token == "t1"


async def test_each_stage_is_timed_with_the_peers_own_work():
    answer = await recommend(by_photo(), shop_with_photo().deps)

    work = {"embed": 0.001, "retrieve": 0.002, "rank": 0.003}
    for item in answer.timings:
        assert item.work == work.get(item.stage)
    assert [item.stage for item in answer.timings] == ["embed", "retrieve", "rank", "hydrate"]


async def test_the_same_request_gets_the_same_answer_and_seed():
    shop = shop_with_photo()
    first = await recommend(by_photo(shopper=ANN), shop.deps)
    second = await recommend(by_photo(shopper=ANN, request_id="other"), shop.deps)

    seeds = {
        tokens.read_attribution_token(each.attribution_token, open_keys(), 0).seed
        for each in (first, second)
    }
    assert len(seeds) == 1
    assert seeds == {shop.ranker.calls[-1][1].seed}
    assert ids(first) == ids(second)


async def test_branches_run_side_by_side():
    shop = shop_with_photo()
    shop.ranker.generated["ann"] = (NominationBasis.LONG_TERM, ("p7", "p1"))
    begun = asyncio.Event()

    async def embed_waits_for_generate(*args, **kwargs):
        await begun.wait()
        return await type(shop.embedder).embed(shop.embedder, *args, **kwargs)

    async def generating_begins(*args, **kwargs):
        begun.set()
        return await type(shop.ranker).generate(shop.ranker, *args, **kwargs)

    shop.embedder.embed = embed_waits_for_generate
    shop.ranker.generate = generating_begins

    answer = await asyncio.wait_for(recommend(by_photo(shopper=ANN), shop.deps), SECONDS)

    branches = {result.row.product_id: result.answered.branches for result in answer.results}
    assert branches["p1"] == ("visual", "collaborative")
    assert branches["p7"] == ("collaborative",)


@pytest.mark.parametrize(
    ("asked", "count"),
    [({}, 20), ({"page_size": 80}, 80), ({"explain": True}, 20)],
)
async def test_reasons_are_asked_for_the_page_alone_and_products_a_page_beyond_it(asked, count):
    shop = Shop()
    await recommend(RequestQuery(shopper=ANN, **asked), shop.deps)
    (order,) = [what for name, what in shop.ranker.calls if name == "rank"]
    assert (order.reason_count, order.top_k) == (count, 2 * count + 10)


async def test_a_filter_that_nothing_passes_is_an_empty_answer_and_no_failure():
    shop = Shop()
    shop.retriever.record = []
    shop.retriever.nearest[b"photo"] = {}

    answer = await recommend(by_photo(filter=FILTER), shop.deps)

    assert answer.results == ()
    assert answer.degradations == ()
    assert answer.next_page_token == ""


async def test_a_photo_beside_a_text_is_still_followed():
    shop = shop_with_photo()
    shop.embedder.items[b"a red wine"] = FailedPrecondition("no", reason="SPACE_UNAVAILABLE")

    answer = await recommend(RequestQuery(signals=(photo(), words(index=1))), shop.deps)

    assert ids(answer) == ["p3", "p1", "p4", "p2"]
    assert answer.degradations[0].substitute == "products that look similar"


async def test_a_bad_photo_fails_the_request_with_its_field():
    shop = shop_with_photo()
    shop.embedder.items[b"text"] = InvalidArgument("not a photo", reason="IMAGE_UNDECODABLE")

    with pytest.raises(ImageRefused) as caught:
        await recommend(RequestQuery(signals=(photo(), photo(1, b"text"))), shop.deps)

    assert caught.value.reason == "IMAGE_UNDECODABLE"
    assert [item.field for item in caught.value.violations] == ["signals[1].image"]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (InvalidArgument("its host is not allowed", reason="URI_FORBIDDEN"), ImageRefused),
        (InvalidArgument("not a photo", reason="IMAGE_UNDECODABLE"), ImageRefused),
        (FailedPrecondition("the host answered 404", reason="URI_UNREADABLE"), ImageUnreadable),
    ],
)
async def test_a_photo_that_its_address_does_not_give_fails_the_request_with_its_field(
    error, raised
):
    shop = shop_with_photo()
    shop.embedder.items[b"https://photos.test/a.jpg"] = error
    query = RequestQuery(signals=(photo(), address(1)))
    with pytest.raises(raised) as caught:
        await recommend(query, shop.deps)
    assert caught.value.reason == error.reason
    assert [item.field for item in caught.value.violations] == ["signals[1].image_uri"]


async def test_a_photo_is_followed_by_its_address():
    shop = Shop()
    shop.retriever.nearest[b"https://photos.test/a.jpg"] = {"p1": 0.8, "p3": 0.9}

    answer = await recommend(RequestQuery(signals=(address(),)), shop.deps)

    assert ids(answer)[:2] == ["p3", "p1"]
    assert not answer.degradations


async def test_an_unknown_product_alone_is_refused_with_its_field():
    with pytest.raises(ProductNotFound) as caught:
        await recommend(RequestQuery(signals=(near("nope"),), shopper=ANN), Shop().deps)

    assert [item.field for item in caught.value.violations] == ["signals[0].product_id"]


async def test_an_unknown_product_beside_a_photo_is_named_as_missing():
    answer = await recommend(
        RequestQuery(signals=(photo(), near("nope", 1), near("nope", 2))), shop_with_photo().deps
    )

    assert answer.missing_product_ids == ("nope",)
    assert answer.degradations == ()
    assert ids(answer) == ["p3", "p1", "p4", "p2"]


async def test_the_callers_own_error_from_a_peer_fails_the_request_as_it_is():
    shop = shop_with_photo()
    shop.retriever.fails["search"] = InvalidArgument("bad", reason="FILTER_INVALID")

    with pytest.raises(InvalidArgument) as caught:
        await recommend(by_photo(shopper=ANN), shop.deps)

    assert caught.value.reason == "FILTER_INVALID"


async def test_similar_products_leave_out_the_product_itself_and_the_excluded():
    shop = Shop()
    shop.retriever.nearest["p1"] = {"p1": 1.0, "p2": 0.9, "p3": 0.8, "p4": 0.7}

    answer = await recommend(
        RequestQuery(signals=(near("p1"),), exclude_product_ids=("p3",)), shop.deps
    )

    assert ids(answer) == ["p2", "p4"]


async def test_hidden_products_are_dropped_and_counted():
    shop = shop_with_photo()
    shop.ranker.hidden = frozenset({"p1"})

    answer = await recommend(by_photo(shopper=ANN), shop.deps)

    assert ids(answer) == ["p3", "p4", "p2"]
    assert answer.hidden_count == 1


async def test_what_cannot_be_bought_is_left_out_unless_the_filter_speaks_of_it():
    shop = shop_with_photo()
    await recommend(by_photo(filter=FILTER), shop.deps)
    assert set(shop.retriever.scopes) == {AnswerScope(FILTER, buyable_only=True)}

    shop = shop_with_photo()
    spoken = replace(FILTER, names_availability=True)
    await recommend(by_photo(filter=spoken), shop.deps)
    assert set(shop.retriever.scopes) == {AnswerScope(spoken, buyable_only=False)}


async def test_a_scene_may_show_what_cannot_be_bought():
    shop = shop_with_photo()
    shop.scene(lambda scene: replace(scene, buyable_only=False))

    await recommend(by_photo(), shop.deps)

    assert set(shop.retriever.scopes) == {AnswerScope(None, buyable_only=False)}


async def test_no_good_match_is_said_below_the_asked_similarity_only():
    deps = shop_with_photo().deps

    assert (await recommend(by_photo(min_quality=0.95), deps)).no_good_match
    assert not (await recommend(by_photo(min_quality=0.85), deps)).no_good_match


async def test_unknown_scenes_and_catalogs_are_refused_before_any_call():
    shop = shop_with_photo()

    with pytest.raises(SceneNotFound):
        await recommend(by_photo(scene="nope"), shop.deps)
    with pytest.raises(CatalogNotFound):
        await recommend(by_photo(catalog_id="nope"), shop.deps)
    assert shop.embedder.calls == []


# What moved, what a score is made of, and what reasons name.


async def test_moves_sum_to_the_way_from_the_score_rank_to_the_rank_near_duplicates_included():
    shop = shop_with_photo()
    shop.retriever.parents = {"p1": "p3"}
    up, down = (
        Move(cause=MoveCause.DIVERSITY, places=1),
        Move(cause=MoveCause.DIVERSITY, places=-1),
    )
    shop.ranker.moves = ((), (), (up,), (down,))

    answer = await recommend(by_photo(), shop.deps)

    assert ids(answer) == ["p3", "p4", "p2"]
    assert [item.answered.score_rank for item in answer.results] == [1, 3, 4]
    assert [item.moves for item in answer.results] == [
        (),
        (up,),
        (down, Move(cause=MoveCause.COLLAPSE, places=2)),
    ]
    for item in answer.results:
        assert sum(m.places for m in item.moves) == item.answered.score_rank - item.rank


async def test_the_record_keeps_moves_and_no_features():
    shop = shop_with_photo()
    up = (Move(cause=MoveCause.EXPLORATION, places=3),)
    shop.ranker.moves = (up, (), (), ())

    answer = await recommend(by_photo(explain=True), shop.deps)

    (record,) = shop.ranker.records.values()
    assert record.order.product(0).moves == up
    assert answer.results[0].answered.contributions
    assert not record.order.contributions


async def test_features_are_there_when_asked_for_alone_and_sum_to_their_parts():
    plain = await recommend(by_photo(), shop_with_photo().deps)
    split = await recommend(by_photo(explain=True), shop_with_photo().deps)

    assert ids(plain) == ids(split)
    assert all(not item.answered.contributions for item in plain.results)
    for item in split.results:
        assert set(item.answered.contributions) == {"visual", "taste"}
        for part, value in item.answered.parts:
            total = sum(added for _, added in item.answered.contributions[part])
            assert total == pytest.approx(value)


async def test_the_scenes_diversity_and_the_requests_time_go_to_the_ranker():
    shop = shop_with_photo()
    shop.scene(lambda scene: replace(scene, diversity=Diversity(brand_cap=2)))

    await recommend(by_photo(), shop.deps)

    order = shop.ranker.calls[-1][1]
    (record,) = shop.ranker.records.values()
    assert order.diversity == Diversity(brand_cap=2)
    assert order.time_micros == record.answer_micros > 1_700_000_000_000_000


VIEWED = reason("SIMILAR_TO_VIEWED", "Similar to something", "p9")


@pytest.mark.parametrize(
    ("language", "text"),
    [("", "Because you looked at Title of p9"), ("zh-CN", "因为您看过“Title of p9”")],
)
async def test_a_reason_names_the_product_by_its_title(language, text):
    shop = shop_with_photo()
    shop.ranker.reasons_given = (VIEWED,)

    answer = await recommend(by_photo(language_code=language, page_size=2), shop.deps)

    assert {item.answered.reasons[0].text for item in answer.results} == {text}
    read = [what for name, what in shop.retriever.calls if name == "products"]
    assert (read, shop.retriever.titled) == ([("p3", "p1")], [("p9",)])
    later = await recommend(
        by_photo(language_code=language, page_size=2, page_token=answer.next_page_token),
        shop.deps,
    )
    assert later.results[0].answered.reasons[0].text == text


async def test_without_the_title_the_reason_is_as_the_ranker_words_it():
    shop = shop_with_photo()
    shop.ranker.reasons_given = (reason(VIEWED.code, VIEWED.text, "gone"),)
    answer = await recommend(by_photo(), shop.deps)
    assert answer.results[0].answered.reasons[0].text == "Similar to something"
    assert answer.degradations == ()


async def test_what_the_gateway_says_itself_is_said_in_the_readers_language():
    shop = shop_with_photo()
    shop.ranker.fails["rank"] = PeerUnavailable(Peer.RANKER)
    answer = await recommend(by_photo(language_code="zh"), shop.deps)
    assert answer.results[0].answered.reasons[0].text == "与您提供的图片相似"


async def test_an_answer_and_its_record_carry_what_the_scene_is_meant_to_increase():
    shop = shop_with_photo()
    shop.scene(lambda scene: replace(scene, objective="purchases"))

    answer = await recommend(by_photo(), shop.deps)

    assert answer.versions.objective == "purchases"
    ((_, record),) = shop.ranker.records.items()
    assert record.versions.objective == "purchases"
