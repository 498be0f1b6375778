"""Answer records of the ranker, over real gRPC, on each engine."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from servicekit.jobs.queue import now_micros
from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import answer_service_pb2, ranking_service_pb2
from tests.fakes.answered import of_products
from tests.wire.ranker_suite import ANN, PRODUCTS, Suite, event, refusal, suite

__all__ = ["suite"]  # fixtures


async def test_an_answer_is_kept_without_its_shopper_and_its_first_content_stays(
    suite: Suite,
) -> None:
    record = answer_service_pb2.AnswerRecord(answer_id="a-1", shopper=ANN, seed=7, scene="home")
    product_ = record.products.add(product_id="r0", raw_score=1.5, propensity=1, score_rank=1)
    product_.parts.add(name="visual", value=1.5)
    request = answer_service_pb2.RecordAnswersRequest(answers=[record])
    request.answers[0].columns.CopyFrom(of_products(record.products))
    error = await refusal(suite.answers.RecordAnswers(request))
    assert error.violations[0].field == "answers[0].products"
    request.answers[0].ClearField("products")
    assert (await suite.answers.RecordAnswers(request)).written_count == 1
    request.answers[0].seed = 8
    assert (await suite.answers.RecordAnswers(request)).written_count == 0
    get = answer_service_pb2.GetAnswerRequest(answer_id="a-1")
    record.ClearField("shopper")
    record.total_count = 1
    assert await suite.answers.GetAnswer(get) == record


async def test_what_was_ranked_is_kept_and_read_by_pages_before_and_after_it_is_stored(
    suite: Suite,
) -> None:
    draft = ranking_service_pb2.AnswerDraft(answer_id="r-1", arms=["a"], branch_names=["visual"])
    draft.branches.extend([1] * len(PRODUCTS))
    branch = ranking_service_pb2.BranchSignal(
        branch="visual", similarities=[1 - n / 20 for n in range(12)]
    )
    page = await suite.rank(
        branches=[branch], record=draft, shopper=ANN, top_k=3, reason_top_k=0, collapse=True,
        same_pictures=[0, 1],
    )  # fmt: skip
    assert (page.recorded, page.total_count, page.collapsed_count) == (True, 11, 1)
    assert [list(one.product_ids) for one in page.collapsed] == [["r1"], [], []]
    get = answer_service_pb2.GetAnswerRequest(answer_id="r-1", offset=3, limit=4, as_columns=True)
    queued = await suite.answers.GetAnswer(get)
    assert list(queued.columns.product_ids) == ["r4", "r5", "w0", "w1"]
    assert (queued.total_count, list(queued.arms), queued.products) == (11, ["a"], [])
    await suite.stored()
    assert await suite.answers.GetAnswer(get) == queued
    first = answer_service_pb2.GetAnswerRequest(answer_id="r-1", limit=2)
    rows = (await suite.answers.GetAnswer(first)).products
    assert [one.product_id for one in rows] == list(page.product_ids)[:2]
    assert [one.raw_score for one in rows] == list(page.raw_scores)[:2]
    assert (list(rows[0].collapsed_product_ids), list(rows[0].branches)) == (["r1"], ["visual"])
    beyond = answer_service_pb2.GetAnswerRequest(answer_id="r-1", offset=11)
    assert not (await suite.answers.GetAnswer(beyond)).products
    get.limit = 2001
    assert (await refusal(suite.answers.GetAnswer(get))).reason == "REQUEST_INVALID"


async def test_a_page_names_what_was_hidden_and_seen_since(suite: Suite) -> None:
    draft = ranking_service_pb2.AnswerDraft(answer_id="h-1")
    ranked = await suite.rank(record=draft, shopper=ANN, drop_seen=True)
    first, second, third = ranked.product_ids[:3]
    await suite.append(
        event(first, "HIDE", event_id="h-1"),
        event(second, "PURCHASE", event_id="h-2"),
        event(third, "HIDE", event_id="h-3", shopper=event_pb2.Shopper(user_id="h-other")),
    )

    async def left_out(**fields: Any) -> list[str]:
        get = answer_service_pb2.GetAnswerRequest(answer_id="h-1", as_columns=True, **fields)
        got = await suite.answers.GetAnswer(get)
        assert got.columns.product_ids == ranked.product_ids[fields.get("offset", 0) :]
        return list(got.left_out_product_ids)

    assert await left_out(shopper=ANN) == [first]
    assert await left_out(shopper=ANN, drop_seen=True) == [first, second]
    assert await left_out(shopper=ANN, drop_seen=True, offset=1) == [second]
    assert await left_out(drop_seen=True) == []


async def test_columns_are_kept_as_products_are_and_refused_when_they_do_not_fit(
    suite: Suite,
) -> None:
    columns = answer_service_pb2.AnsweredColumns(product_ids=["a", "b"], raw_scores=bytes(16))
    record = answer_service_pb2.AnswerRecord(answer_id="c-1", columns=columns)
    request = answer_service_pb2.RecordAnswersRequest(answers=[record])
    assert (await suite.answers.RecordAnswers(request)).written_count == 1
    got = await suite.answers.GetAnswer(answer_service_pb2.GetAnswerRequest(answer_id="c-1"))
    assert [(one.product_id, one.score_rank) for one in got.products] == [("a", 1), ("b", 2)]
    request.answers[0].columns.raw_scores = bytes(8)
    error = await refusal(suite.answers.RecordAnswers(request))
    assert error.violations[0].field == "answers[0].columns.raw_scores"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"record": {"answer_id": "a b"}}, "record.answer_id"),
        ({"record": {"answer_id": "a", "request_digest": b"x"}}, "record.request_digest"),
        ({"record": {"answer_id": "a", "arms": [""]}}, "record.arms"),
        ({"record": {"answer_id": "a", "branches": [1]}}, "record.branches"),
        ({"record": {"answer_id": "a", "matched_image_ids": ["i"]}}, "record.matched_image_ids"),
        ({"record": {"answer_id": "a", "expire_time_micros": -1}}, "record.expire_time_micros"),
        ({"collapse": True, "same_pictures": [1]}, "same_pictures"),
        ({"collapse": True, "same_pictures": [1, 12]}, "same_pictures"),
        (
            {"collapse": True, "query_products": {"product_ids": ["a"], "parent_ids": ["b", "c"]}},
            "query_products.parent_ids",
        ),
    ],
)
async def test_a_bad_draft_or_likeness_is_refused_by_its_field(
    suite: Suite, fields: dict[str, object], field: str
) -> None:
    assert (await refusal(suite.rank(**fields))).violations[0].field == field


async def test_an_answer_that_has_expired_or_was_never_there_is_missing(suite: Suite) -> None:
    record = answer_service_pb2.AnswerRecord(answer_id="a", expire_time=Timestamp(seconds=1))
    await suite.answers.RecordAnswers(answer_service_pb2.RecordAnswersRequest(answers=[record]))
    for answer_id, catalog in (("a", ""), ("never", ""), ("a", "other")):
        get = answer_service_pb2.GetAnswerRequest(answer_id=answer_id, catalog_id=catalog)
        assert (await refusal(suite.answers.GetAnswer(get))).reason == "ANSWER_RECORD_MISSING"


@pytest.mark.parametrize("answer_id", ["", "a b", "x" * 65, "'; DROP TABLE answers; --"])
async def test_an_odd_answer_id_is_refused(suite: Suite, answer_id: str) -> None:
    record = answer_service_pb2.AnswerRecord(answer_id=answer_id)
    request = answer_service_pb2.RecordAnswersRequest(answers=[record])
    assert (await refusal(suite.answers.RecordAnswers(request))).reason == "REQUEST_INVALID"


async def test_controls_are_counted_with_the_answers_they_acted_in(suite: Suite) -> None:
    controls = ranking_service_pb2.Controls(page_size=2)
    controls.controls.add(name="home/hero", candidates=[11, 5], place=2)
    controls.controls.add(name="home/far", candidates=[4], place=9)
    controls.controls.add(name="home/own", candidates=[7], boost=10)
    drafts = [
        ranking_service_pb2.AnswerDraft(answer_id=name, answer_time_micros=now_micros())
        for name in ("c-1", "c-1", "c-2")
    ]
    for draft in drafts:
        answer = await suite.rank(record=draft, controls=controls)
        assert answer.product_ids[:3] == [PRODUCTS[n].product_id for n in (7, 11, 5)]
        assert answer.acted_controls == ["home/hero", "home/own"]
        assert answer.recorded
    await suite.stored()
    get = answer_service_pb2.GetAnswerRequest(answer_id="c-1")
    assert (await suite.answers.GetAnswer(get)).controls == ["home/hero", "home/own"]
    day = now_micros() // 86_400_000_000
    count = answer_service_pb2.CountControlsRequest(
        day=day, names=["home/hero", "home/own", "home/far"]
    )
    found = (await suite.answers.CountControls(count)).counts
    assert {each.name: each.count for each in found} == {"home/hero": 2, "home/own": 2}
    count.day -= 1
    assert not (await suite.answers.CountControls(count)).counts
    controls.controls.add(name="home/hero", bury=True)
    refused = await refusal(suite.rank(controls=controls))
    assert refused.violations[0].field == "controls.controls"
