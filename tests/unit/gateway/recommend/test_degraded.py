"""Answers when a peer fails or is late, and their degradations."""

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import NothingAvailable, PeerUnavailable
from gateway.model.match import MatchOutcome
from gateway.model.query import RequestQuery
from gateway.recommend.recommend import recommend
from servicekit.errors import FailedPrecondition, Internal, InvalidArgument, Unavailable
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.ranking import NominationBasis
from tests import virtual_time
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import ANN, by_photo, degraded, ids, words


async def test_without_the_ranker_the_order_is_that_of_similarity_exactly():
    shop = shop_with_photo()
    shop.retriever.nearest[b"photo"] = {"p4": 0.5, "p2": 0.7, "p1": 0.7, "p3": 0.9}
    shop.ranker.fails["rank"] = PeerUnavailable(Peer.RANKER)

    answer = await recommend(by_photo(), shop.deps)

    assert ids(answer) == ["p3", "p1", "p2", "p4"]
    for result in answer.results:
        assert result.answered.parts == (("fusion", result.answered.raw_score),)
        assert result.answered.reasons[0].code == "LOOKS_LIKE_QUERY"
    assert degraded(answer) == [
        ("rank", DegradationCause.RANKER_UNAVAILABLE),
        ("record", DegradationCause.ANSWER_RECORD_DROPPED),
    ]
    assert answer.degradations[0].substitute == "the order of fused similarity"


async def test_without_the_ranker_no_later_page_is_promised_and_no_record_kept():
    shop = shop_with_photo()
    shop.ranker.fails["rank"] = PeerUnavailable(Peer.RANKER)

    answer = await recommend(by_photo(page_size=1), shop.deps)

    assert ids(answer) == ["p3"]
    assert answer.next_page_token == ""
    assert shop.ranker.records == {}


async def test_without_the_ranker_a_shoppers_hides_are_flagged_as_unknown():
    shop = shop_with_photo()
    shop.ranker.fails = {name: PeerUnavailable(Peer.RANKER) for name in ("rank", "generate")}

    answer = await recommend(by_photo(shopper=ANN), shop.deps)

    assert degraded(answer) == [
        ("collaborative", DegradationCause.RANKER_UNAVAILABLE),
        ("rank", DegradationCause.PROFILE_UNAVAILABLE),
        ("rank", DegradationCause.RANKER_UNAVAILABLE),
        ("record", DegradationCause.ANSWER_RECORD_DROPPED),
    ]
    assert ids(answer) == ["p3", "p1", "p4", "p2"]
    assert shop.ranker.asked == ["generate"], "what is gone is not asked to rank"


async def test_a_ranker_that_failed_to_generate_may_still_rank():
    shop = shop_with_photo()
    shop.ranker.fails["generate"] = Internal("a bug", reason="INTERNAL")

    answer = await recommend(by_photo(shopper=ANN), shop.deps)

    assert degraded(answer) == [("collaborative", DegradationCause.RANKER_UNAVAILABLE)]
    assert len(shop.ranker.records) == 1
    assert answer.results[0].answered.parts[0][0] == "visual"


async def test_without_the_embedder_popular_products_stand_in():
    shop = shop_with_photo()
    shop.embedder.fails = PeerUnavailable(Peer.EMBEDDER)
    shop.ranker.generated[""] = (NominationBasis.POPULARITY, ("p5", "p6", "gone"))

    answer = await recommend(by_photo(page_size=2), shop.deps)

    assert ids(answer) == ["p5", "p6"]
    assert answer.degradations == (
        Degradation(
            stage="visual",
            cause=DegradationCause.EMBEDDER_UNAVAILABLE,
            substitute="popular products that pass the filter",
        ),
    )
    assert answer.results[0].answered.branches == ("popular",)
    assert not answer.no_good_match
    assert answer.match is not None
    assert answer.match.outcome == MatchOutcome.INCOMPLETE


async def test_without_the_embedder_a_known_shoppers_taste_stands_in():
    shop = shop_with_photo()
    shop.embedder.fails = PeerUnavailable(Peer.EMBEDDER)
    shop.ranker.generated["ann"] = (NominationBasis.LONG_TERM, ("p5", "p6"))

    answer = await recommend(by_photo(shopper=ANN), shop.deps)

    assert ids(answer) == ["p5", "p6"]
    assert answer.degradations[0].substitute == "products that fit the shopper"
    assert shop.ranker.calls[-1][1].weights == {"taste": 1.0, "popularity": 1.0}


async def test_without_the_index_the_record_still_answers():
    shop = shop_with_photo()
    shop.retriever.fails["search"] = Unavailable("no engine", reason="INDEX_UNAVAILABLE")

    answer = await recommend(by_photo(), shop.deps)

    assert degraded(answer) == [("visual", DegradationCause.INDEX_UNAVAILABLE)]
    assert answer.degradations[0].substitute == "the newest products that pass the filter"
    assert ids(answer) == shop.retriever.record
    assert answer.freshness is None


async def test_without_the_retriever_nothing_is_made_up():
    shop = shop_with_photo()
    shop.retriever.fails = {
        name: PeerUnavailable(Peer.RETRIEVER) for name in ("search", "columns", "newest")
    }
    shop.ranker.generated[""] = (NominationBasis.POPULARITY, ("p5",))

    with pytest.raises(NothingAvailable) as caught:
        await recommend(by_photo(), shop.deps)

    assert caught.value.retry_after is not None
    assert caught.value.metadata == {"causes": "RETRIEVER_UNAVAILABLE"}


async def test_without_the_record_at_the_end_nothing_is_made_up():
    shop = shop_with_photo()
    shop.retriever.fails["products"] = PeerUnavailable(Peer.RETRIEVER)

    with pytest.raises(NothingAvailable):
        await recommend(by_photo(), shop.deps)


def test_a_hanging_embedder_costs_its_budget_and_no_more():
    shop = shop_with_photo()
    shop.seconds = 4.0
    shop.embedder.hang = True

    answer, seconds = virtual_time.run(recommend(by_photo(), shop.deps))

    assert degraded(answer) == [("visual", DegradationCause.STAGE_DEADLINE)]
    assert ids(answer) == shop.retriever.record
    assert seconds < 3.6


def test_a_hanging_search_is_cancelled_at_its_budget():
    shop = shop_with_photo()
    shop.seconds = 2.0
    shop.retriever.hang = {"search"}

    answer, _ = virtual_time.run(recommend(by_photo(), shop.deps))

    assert shop.retriever.cancelled == ["search"]
    assert degraded(answer) == [("visual", DegradationCause.STAGE_DEADLINE)]


def test_a_hanging_ranker_leaves_the_fused_order_within_the_deadline():
    shop = shop_with_photo()
    shop.seconds = 2.0
    shop.ranker.hang = {"rank"}

    answer, seconds = virtual_time.run(recommend(by_photo(), shop.deps))

    assert seconds < 2.0
    assert degraded(answer) == [("rank", DegradationCause.STAGE_DEADLINE)]
    assert ids(answer) == ["p3", "p1", "p4", "p2"]


async def test_a_text_is_left_out_and_flagged_while_there_is_no_text_space():
    shop = Shop()
    shop.embedder.items[b"a red wine"] = FailedPrecondition("no", reason="SPACE_UNAVAILABLE")

    answer = await recommend(RequestQuery(signals=(words(),)), shop.deps)

    assert degraded(answer) == [("text", DegradationCause.SPACE_UNAVAILABLE)]
    assert ids(answer) == shop.retriever.record
    assert answer.results[0].answered.branches == ("new",)
    assert answer.results[0].answered.reasons[-1].code == "NEW"


async def test_a_dropped_record_is_flagged_and_promises_no_page():
    shop = shop_with_photo()
    shop.ranker.full = True

    answer = await recommend(by_photo(page_size=1), shop.deps)

    assert degraded(answer) == [("record", DegradationCause.ANSWER_RECORD_DROPPED)]
    assert answer.next_page_token == ""


async def test_a_mistake_of_our_own_is_not_taken_for_a_failure():
    shop = shop_with_photo()
    shop.ranker.fails["rank"] = ValueError("a bug")  # type: ignore[assignment]

    with pytest.raises(ValueError, match="a bug"):
        await recommend(by_photo(), shop.deps)


async def test_what_the_ranker_refuses_is_our_own_mistake_and_never_the_callers():
    shop = shop_with_photo()
    shop.ranker.fails["rank"] = InvalidArgument("fused: has 3", reason="REQUEST_INVALID")

    answer = await recommend(by_photo(), shop.deps)

    assert degraded(answer) == [("rank", DegradationCause.RANKER_UNAVAILABLE)]
    assert ids(answer) == ["p3", "p1", "p4", "p2"]


async def test_a_retriever_that_is_gone_is_not_asked_for_what_stands_in():
    shop = shop_with_photo()
    shop.retriever.fails["search"] = PeerUnavailable(Peer.RETRIEVER)

    with pytest.raises(NothingAvailable):
        await recommend(by_photo(), shop.deps)
    assert [name for name, _ in shop.retriever.calls] == ["search"]
    assert shop.ranker.asked == []
