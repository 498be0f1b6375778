"""Pages of an answer over real gRPC, and the record that they are read from."""

import time

import pytest
from prometheus_client import REGISTRY

from servicekit.errors import Code, Internal, Unavailable
from sightline.common.v1 import answer_pb2, event_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.retriever.v1 import vector_service_pb2
from tests.fakes.gateway_script import PRODUCTS
from tests.fakes.gateway_wire import running
from tests.waiting import until
from tests.wire.gateway_calls import ANN, PHOTO, causes, ids, photo, refused, suite

__all__ = ["suite"]  # fixtures


async def test_pages_come_from_the_kept_record(suite):
    one = await suite.recommendation.Recommend(photo(page_size=3, shopper=ANN))
    await until(lambda: suite.answers.kept)
    (record,) = suite.answers.kept.values()
    assert len(record.columns.product_ids) == 5
    assert record.shopper == ANN
    assert len(record.request_digest) == 32
    made = record.answer_time.seconds
    await until(lambda: time.time() >= made + 1)  # tokens hold seconds
    two = await suite.recommendation.Recommend(
        photo(page_size=3, shopper=ANN, page_token=one.next_page_token)
    )

    assert len({*ids(one), *ids(two)}) == 5
    assert [item.rank for item in two.results] == [4, 5]
    assert two.results[0].parts
    assert two.results[0].reasons
    assert two.results[0].branches
    assert two.attribution_token == one.attribution_token
    assert not two.next_page_token
    assert len(suite.ranker.script.requests("Rank")) == 1
    (asked,) = suite.ranker.script.requests("GetAnswer")
    assert (asked.offset, asked.limit, asked.as_columns) == (3, 16, True)
    assert [item.reasons[0].text for item in two.results] == ["alike, as asked"] * 2
    (worded,) = suite.ranker.script.requests("GiveReasons")
    assert list(worded.candidates.product_ids) == ids(two)
    assert {part.name: list(part.values) for part in worded.parts} == {
        part: [{p.name: p.value for p in item.parts}[part] for item in two.results]
        for part in ("visual", "taste")
    }
    assert "RecordAnswers" not in [item.method for item in suite.ranker.script.seen]


async def test_pages_of_an_order_that_the_ranker_did_not_make_come_from_its_record(suite):
    suite.ranker.script.errors["Rank"] = Internal("a bug", reason="INTERNAL")
    suite.retriever.script.collapsed = {"p3": ["p4"]}
    one = await suite.recommendation.Recommend(photo(page_size=1))
    await until(lambda: suite.answers.kept)
    (record,) = suite.answers.kept.values()
    two = await suite.recommendation.Recommend(photo(page_size=2, page_token=one.next_page_token))

    assert (ids(one), ids(two)) == (["p3"], ["p1", "p2"])
    assert list(one.results[0].collapsed_product_ids) == ["p4"]
    assert list(record.columns.collapsed_product_ids) == ["p4"]
    for item in (*one.results, *two.results):
        assert [part.name for part in item.parts] == ["fusion"]
        assert item.parts[0].value == item.raw_score > 0
        assert item.reasons[0].text == "Looks like what you showed us"
        assert item.matched_image_id == f"image-{item.product.product_id}"
    assert [item.score_rank for item in two.results] == [2, 4]
    assert not suite.ranker.script.requests("GiveReasons")
    assert not two.next_page_token


async def test_an_answers_draft_and_near_duplicates_go_to_the_ranker(suite):
    suite.retriever.script.parents = {"p2": "p5"}
    suite.retriever.script.collapsed = {"p3": ["p4", "gone"]}
    answer = await suite.recommendation.Recommend(
        pb.RecommendRequest(signals=[pb.QuerySignal(product_id="p5")], shopper=ANN, page_size=1)
    )

    (asked,) = suite.ranker.script.requests("Rank")
    held = list(asked.candidates.product_ids)
    assert asked.collapse
    assert (asked.top_k, asked.reason_top_k) == (12, 1)
    assert list(asked.query_products.product_ids) == ["p5"]
    assert [held[place] for place in asked.same_pictures] == ["p3", "p4"]
    assert dict(zip(held, asked.candidates.parent_ids, strict=True))["p2"] == "p5"
    draft = asked.record
    named = [
        [name for bit, name in enumerate(draft.branch_names) if bits >> bit & 1]
        for bits in draft.branches
    ]
    assert dict(zip(held, named, strict=True))["p1"] == ["visual", "collaborative"]
    assert dict(zip(held, draft.matched_image_ids, strict=True))["p1"] == "image-p1"
    assert draft.versions.plan.endswith("→ rank")
    assert draft.answer_time_micros == asked.time_micros
    assert asked.history_token == "h1"
    assert list(answer.results[0].collapsed_product_ids) == ["p4"]
    assert answer.versions.plan == f"{draft.versions.plan} → 2 collapsed"


async def test_the_page_and_the_titles_in_its_reasons_are_one_read(suite):
    suite.ranker.servicer("RankingService").reason = answer_pb2.Reason(
        code="SIMILAR_TO_VIEWED",
        text="Similar to something",
        parameters=[answer_pb2.ReasonParameter(name="product_id", value="p5")],
    )
    answer = await suite.recommendation.Recommend(photo(page_size=2))

    texts = {item.reasons[0].text for item in answer.results}
    assert texts == {"Because you looked at Title p5"}
    (read,) = suite.retriever.script.requests("BatchGetProducts")
    assert (list(read.product_ids), list(read.title_product_ids)) == (["p3", "p1"], ["p5"])
    await until(lambda: suite.answers.kept)
    later = photo(page_size=2, page_token=answer.next_page_token)
    second = await suite.recommendation.Recommend(later)
    assert {item.reasons[0].text for item in second.results} == texts


async def test_a_calibrated_score_says_of_which_event_it_is_the_chance_on_every_page(suite):
    without = await suite.recommendation.Recommend(photo())
    assert not any(item.HasField("score") or item.score_event for item in without.results)

    suite.ranker.servicer("RankingService").calibrated = True
    one = await suite.recommendation.Recommend(photo(page_size=3, shopper=ANN))
    await until(lambda: len(suite.answers.kept) == 2)
    two = await suite.recommendation.Recommend(
        photo(page_size=3, shopper=ANN, page_token=one.next_page_token)
    )
    for item in (*one.results, *two.results):
        assert item.score == pytest.approx(item.raw_score / 2)
        assert item.score_event == event_pb2.EVENT_TYPE_CLICK


async def test_products_that_the_ranker_gave_no_reason_have_our_own(suite):
    suite.ranker.servicer("RankingService").reasoned = 1
    suite.ranker.script.errors["GiveReasons"] = Unavailable("busy", reason="BUSY")
    answer = await suite.recommendation.Recommend(photo())
    assert [reason.text for reason in answer.results[0].reasons] == ["alike"]
    assert [reason.code for reason in answer.results[1].reasons] == ["LOOKS_LIKE_QUERY"]
    assert answer.results[1].reasons[0].text != "alike"
    (asked,) = suite.ranker.script.requests("Rank")
    assert asked.reason_top_k == 20


def counted_as_collapsed() -> float:
    """Return the number of products collapsed in searches so far."""
    name, labels = "sightline_gateway_collapsed_products_total", {"call": "Search"}
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_near_duplicates_collapse_and_are_named_on_every_page(suite):
    suite.retriever.script.collapsed = {"p3": ["p4"]}
    suite.retriever.script.parents = {"p2": "p5"}
    one = await suite.recommendation.Recommend(photo(page_size=2, shopper=ANN))
    await until(lambda: suite.answers.kept)
    two = await suite.recommendation.Recommend(
        photo(page_size=2, shopper=ANN, page_token=one.next_page_token)
    )

    named = {
        item.product.product_id: list(item.collapsed_product_ids)
        for item in (*one.results, *two.results)
    }
    others = [other for collapsed in named.values() for other in collapsed]
    assert sorted([*named, *others]) == PRODUCTS
    assert len(named) == 3
    assert [pair for pair in (("p3", "p4"), ("p2", "p5")) if not {*pair} & {*others}] == []
    (sent,) = suite.retriever.script.requests("Search")
    assert sent.collapse == vector_service_pb2.COLLAPSE_MARK

    before = counted_as_collapsed()
    found = await suite.recommendation.Search(
        pb.SearchRequest(signals=[pb.QuerySignal(image=PHOTO)])
    )
    assert counted_as_collapsed() == before + 1
    assert {i.product.product_id: list(i.collapsed_product_ids) for i in found.results} == {
        "p3": ["p4"],
        "p1": [],
        "p2": [],
    }


async def test_variants_of_the_querys_product_are_left_out(suite):
    suite.retriever.script.parents = {"p3": "p5", "p4": "p5"}
    answer = await suite.recommendation.Recommend(
        pb.RecommendRequest(signals=[pb.QuerySignal(product_id="p3")])
    )

    assert ids(answer) == ["p1", "p2"]


async def test_a_page_token_with_another_request_is_refused(suite):
    one = await suite.recommendation.Recommend(photo(page_size=1))
    error = await refused(
        suite.recommendation.Recommend(photo(page_token=one.next_page_token, shopper=ANN))
    )

    assert error.reason == "PAGE_TOKEN_INVALID"


async def test_a_twisted_page_token_is_refused_as_such(suite):
    one = await suite.recommendation.Recommend(photo(page_size=1))
    made = one.next_page_token
    for token in (made[:-1], made + "A", made.swapcase(), "x" * 1000):
        error = await refused(suite.recommendation.Recommend(photo(page_token=token)))

        assert error.reason == "PAGE_TOKEN_INVALID", token


async def test_a_lost_record_is_said_to_be_missing(suite):
    one = await suite.recommendation.Recommend(photo(page_size=1))
    suite.answers.kept.clear()
    error = await refused(suite.recommendation.Recommend(photo(page_token=one.next_page_token)))

    assert (error.code, error.reason) == (Code.NOT_FOUND, "ANSWER_RECORD_MISSING")


async def test_records_that_wait_are_handed_over_when_the_gateway_stops():
    async with running() as suite:
        suite.ranker.script.errors["Rank"] = Internal("a bug", reason="INTERNAL")
        suite.ranker.script.errors["RecordAnswers"] = Unavailable("busy", reason="BUSY")
        await suite.recommendation.Recommend(photo())
        await until(lambda: suite.ranker.script.requests("RecordAnswers"))
        del suite.ranker.script.errors["RecordAnswers"]
        answers = suite.answers

    assert len(answers.kept) == 1


async def test_a_queue_without_room_promises_no_page():
    degraded = [("rank", "RANKER_UNAVAILABLE"), ("record", "ANSWER_RECORD_DROPPED")]
    async with running(answer_queue_products=0) as suite:
        suite.ranker.script.errors["Rank"] = Internal("a bug", reason="INTERNAL")
        answer = await suite.recommendation.Recommend(photo(page_size=1))
        del suite.ranker.script.errors["Rank"]
        suite.ranker.servicer("RankingService").keeps = False
        ranked = await suite.recommendation.Recommend(photo(page_size=1))

    assert (causes(answer), causes(ranked)) == (degraded, degraded[1:])
    assert not answer.next_page_token
    assert not ranked.next_page_token
