"""Answers of the gateway when a peer is down, wrong or hanging, over real gRPC."""

import asyncio

import pytest

from servicekit.errors import Code, Internal, Unavailable
from sightline.common.v1 import answer_pb2, filter_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.waiting import SECONDS, with_time_left
from tests.wire.gateway_calls import ANN, BY_SIMILARITY, causes, ids, photo, refused, suite

__all__ = ["suite"]  # fixtures


async def test_ranker_lost_the_order_is_that_of_similarity(suite):
    await suite.recommendation.Recommend(photo())
    await suite.ranker.down()
    answer = await suite.recommendation.Recommend(photo(page_size=2, shopper=ANN))

    assert ids(answer) == BY_SIMILARITY[:2]
    assert causes(answer) == [
        ("collaborative", "RANKER_UNAVAILABLE"),
        ("rank", "PROFILE_UNAVAILABLE"),
        ("rank", "RANKER_UNAVAILABLE"),
        ("record", "ANSWER_RECORD_DROPPED"),
    ]
    for item in answer.results:
        assert [part.name for part in item.parts] == ["fusion"]
        assert item.parts[0].value == item.raw_score
        assert item.reasons[0].code == "LOOKS_LIKE_QUERY"
    assert not answer.next_page_token


async def test_ranker_back_the_answer_is_whole_again(suite):
    await suite.ranker.down()
    assert causes(await suite.recommendation.Recommend(photo()))
    await suite.ranker.up()

    async with asyncio.timeout(SECONDS):
        while causes(await suite.recommendation.Recommend(photo())):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_embedder_lost_popular_products_stand_in(suite):
    await suite.embedder.down()
    own = filter_pb2.Filter(comparison=filter_pb2.Comparison(field="brand"))
    answer = await suite.recommendation.Recommend(photo(filter=own, page_size=2))

    assert ids(answer) == ["p4", "p2"]
    assert causes(answer) == [("visual", "EMBEDDER_UNAVAILABLE")]
    assert "popular" in answer.degradations[0].substitute
    assert [list(item.branches) for item in answer.results] == [["popular"]] * 2
    for looked_up in suite.retriever.script.requests("BatchGetProducts"):
        assert looked_up.filter.all.filters[0] == own
    assert not suite.retriever.script.requests("Search")


async def test_popular_products_that_do_not_fill_the_page_are_followed_by_the_newest(suite):
    answer = await suite.recommendation.Recommend(pb.RecommendRequest(page_size=100))

    assert ids(answer) == ["p4", "p2", "p1", "p3", "p5"]
    assert [item.branches[0] for item in answer.results] == ["popular"] * 2 + ["new"] * 3
    assert answer.versions.plan == "popular: top 1000 → new: top 502 → rank"
    assert not answer.degradations


async def test_embedder_and_ranker_lost_the_newest_products_stand_in(suite):
    await suite.embedder.down()
    await suite.ranker.down()
    answer = await suite.recommendation.Recommend(photo())

    assert ids(answer) == ["p1", "p2", "p3", "p4", "p5"]
    assert list(answer.results[0].branches) == ["new"]
    assert answer.results[0].reasons[0].code == "NEW"


async def test_short_pages_of_the_newest_products_are_read_on(suite):
    await suite.embedder.down()
    await suite.ranker.down()
    suite.retriever.script.scans = 2
    answer = await suite.recommendation.Recommend(photo())

    assert ids(answer) == ["p1", "p2", "p3", "p4", "p5"]
    asked = [item.page_token for item in suite.retriever.script.requests("ListProducts")]
    assert asked == ["", "2", "4"]


async def test_a_list_of_the_newest_products_without_end_is_not_read_for_ever(suite):
    suite.products.clear()
    suite.products.extend(f"q{place}" for place in range(100))
    suite.retriever.script.scans = 1
    answer = await suite.recommendation.Recommend(pb.RecommendRequest())

    assert 0 < len(suite.retriever.script.requests("ListProducts")) < 10
    assert answer.results


async def test_index_lost_generated_candidates_are_looked_up_in_the_record(suite):
    suite.retriever.script.errors["Search"] = Unavailable("engine", reason="INDEX_UNAVAILABLE")
    answer = await suite.recommendation.Recommend(photo(shopper=ANN))

    assert sorted(ids(answer)) == ["p1", "p5"]
    assert causes(answer) == [("visual", "INDEX_UNAVAILABLE")]
    assert not answer.HasField("freshness")


async def test_what_stands_in_for_the_index_is_reported_and_is_no_other_loss(suite):
    stands_in = answer_pb2.Degradation(
        stage="index",
        cause=answer_pb2.Degradation.CAUSE_INDEX_UNAVAILABLE,
        substitute="exact comparison with 7 vectors of the record",
    )
    suite.retriever.script.degradations.append(stands_in)
    answer = await suite.recommendation.Recommend(photo())
    found = await suite.recommendation.Search(pb.SearchRequest(signals=photo().signals))

    assert ids(answer) == BY_SIMILARITY
    assert list(answer.degradations) == list(found.degradations) == [stands_in]


async def test_a_peers_mistake_is_a_loss_and_not_the_callers(suite):
    suite.ranker.script.errors["Rank"] = Internal("a bug", reason="INTERNAL")
    answer = await suite.recommendation.Recommend(photo())

    assert ids(answer) == BY_SIMILARITY
    assert ("rank", "RANKER_UNAVAILABLE") in causes(answer)


@pytest.mark.parametrize("everything", [False, True])
async def test_with_nothing_left_the_caller_learns_when_to_try_again(suite, everything):
    await suite.retriever.down()
    if everything:
        await suite.embedder.down()
        await suite.ranker.down()
    error = await refused(suite.recommendation.Recommend(photo(shopper=ANN)))

    assert (error.code, error.reason) == (Code.UNAVAILABLE, "NOTHING_AVAILABLE")
    assert error.retry_after is not None


async def test_a_filter_that_nothing_passes_is_an_empty_answer_without_loss(suite):
    suite.products.clear()
    answer = await suite.recommendation.Recommend(photo())

    assert ids(answer) == []
    assert not answer.degradations


async def test_a_hanging_embedder_is_given_up_within_the_deadline_and_flagged(suite):
    suite.embedder.script.hang = {"BatchEmbed"}
    lost = [("visual", "STAGE_DEADLINE")]
    answer = await with_time_left(
        lambda seconds: suite.recommendation.Recommend(photo(), timeout=seconds),
        lambda answer: causes(answer) == lost,
    )

    assert causes(answer) == lost
    assert ids(answer)[:2] == ["p4", "p2"]
    await asyncio.wait_for(suite.embedder.script.cancelled.wait(), SECONDS)


async def test_a_hanging_ranker_is_given_up_within_the_deadline_and_flagged(suite):
    suite.ranker.script.hang = {"Rank"}
    answer = await with_time_left(
        lambda seconds: suite.recommendation.Recommend(photo(), timeout=seconds),
        lambda answer: ids(answer) == BY_SIMILARITY,
    )

    assert causes(answer)[0] == ("rank", "STAGE_DEADLINE")
    assert ids(answer) == BY_SIMILARITY
