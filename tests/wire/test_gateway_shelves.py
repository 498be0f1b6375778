"""Values and shelves over real gRPC: contents, tokens, errors of a shelf, and hostile requests."""

import asyncio
import time

import pytest

from servicekit.errors import Unavailable
from servicekit.status import from_status
from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.waiting import until
from tests.wire.gateway_calls import ANN, PHOTO, UNKNOWN_FIELD, ids, photo, refused, suite

__all__ = ["suite"]  # fixtures

SIGNALS = [pb.QuerySignal(image=PHOTO)]
NEAREST = pb.Shelf(shelf_id="near", search=pb.SearchRequest(signals=SIGNALS, page_size=2))
RANKED = pb.Shelf(shelf_id="ranked", recommend=pb.RecommendRequest(signals=SIGNALS, page_size=2))


def shelves(*given, **fields) -> pb.RecommendShelvesRequest:
    return pb.RecommendShelvesRequest(shelves=given, **fields)


async def test_shelves_share_a_shopper_and_no_product(suite):
    request = shelves(NEAREST, RANKED, shopper=ANN, request_id="req-1")
    answer = await suite.recommendation.RecommendShelves(request)
    near, ranked = answer.shelves
    assert [near.shelf_id, ranked.shelf_id] == ["near", "ranked"]
    assert (ids(near.search), ids(ranked.recommend)) == (["p3", "p1"], ["p4", "p2"])
    assert answer.request_id == ranked.recommend.request_id == "req-1"
    assert answer.request_cost_ms > 0
    assert ranked.attribution_token == ranked.recommend.attribution_token != ""
    (asked,) = suite.ranker.script.requests("Rank")
    assert asked.shopper == ANN
    await until(lambda: len(suite.answers.kept) == 2)


async def test_each_token_joins_events_to_its_shelf(suite):
    answer = await suite.recommendation.RecommendShelves(shelves(NEAREST, RANKED, shopper=ANN))
    near, ranked = answer.shelves
    await until(lambda: len(suite.answers.kept) == 2)
    orders = [list(record.columns.product_ids) for record in suite.answers.kept.values()]
    assert sorted(orders) == [["p3", "p1"], ["p4", "p2", "p5"]]
    assert near.attribution_token != ranked.attribution_token


async def test_an_error_is_that_of_its_shelf_with_reason_and_field(suite):
    request = pb.RecommendRequest(signals=SIGNALS, filter=UNKNOWN_FIELD)
    broken = pb.Shelf(shelf_id="broken", recommend=request)
    shared = pb.Shelf(shelf_id="shared", list=pb.ListRequest(catalog_id="other"))
    answer = await suite.recommendation.RecommendShelves(shelves(broken, shared, RANKED))
    first, second = [from_status(each.error) for each in answer.shelves[:2]]
    assert first.reason == "FILTER_INVALID"
    assert [each.field for each in second.violations] == ["catalog_id"]
    assert ids(answer.shelves[2].recommend) == ["p3", "p1"]


async def test_without_any_shelf_the_call_fails_as_the_first(suite):
    for name in ("Search", "BatchGetProducts", "ListProducts"):
        suite.retriever.script.errors[name] = Unavailable("down", reason="MILVUS_UNAVAILABLE")
    error = await refused(suite.recommendation.RecommendShelves(shelves(NEAREST)))
    assert error.reason == "NOTHING_AVAILABLE"
    assert error.retry_after is not None


async def test_one_deadline_holds_for_all_shelves(suite):
    suite.ranker.script.hang.add("Rank")
    began = time.monotonic()
    many = [pb.Shelf(shelf_id=f"s{n}", recommend=RANKED.recommend) for n in range(4)]
    call = suite.recommendation.RecommendShelves(shelves(*many), timeout=3)
    answer = await asyncio.wait_for(call, 60)
    assert time.monotonic() - began < 60
    assert [ids(each.recommend) for each in answer.shelves] == [["p3", "p1"], ["p4", "p2"], [], []]
    assert answer.shelves[0].recommend.degradations


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (shelves(), "shelves"),
        (shelves(RANKED, RANKED), "shelves[1].shelf_id"),
        (shelves(pb.Shelf(list=pb.ListRequest())), "shelves[0].shelf_id"),
        (shelves(RANKED, language_code="x" * 65), "language_code"),
        (shelves(RANKED, shopper=event_pb2.Shopper(user_id="a\0b")), "shopper.user_id"),
        (
            shelves(*[pb.Shelf(shelf_id=str(n), list=pb.ListRequest()) for n in range(11)]),
            "shelves",
        ),
    ],
)
async def test_what_is_wrong_for_all_shelves_is_refused(suite, request_, field):
    error = await refused(suite.recommendation.RecommendShelves(request_))
    assert error.code == "INVALID_ARGUMENT"
    assert [each.field for each in error.violations] == [field]
    assert suite.retriever.script.seen == []


async def test_photos_of_all_shelves_are_priced_together(suite):
    many = [
        pb.Shelf(shelf_id=f"s{n}", recommend=pb.RecommendRequest(signals=SIGNALS * 2))
        for n in range(4)
    ]
    error = await refused(suite.recommendation.RecommendShelves(shelves(*many)))
    assert error.reason == "REQUEST_TOO_EXPENSIVE"
    assert {each.field for each in error.violations} == {f"shelves[{n}].signals" for n in range(4)}
    assert suite.embedder.script.seen == []


async def test_values_are_ranked_with_filters_products_and_reasons(suite):
    request = pb.RecommendValuesRequest(
        request=photo(request_id="req-2", page_size=3), field="brand", products_per_value=1
    )
    answer = await suite.recommendation.RecommendValues(request)
    assert [each.text for each in answer.values] == ["brand p3", "brand p1", "brand p4"]
    best = answer.values[0]
    assert [item.product.product_id for item in best.products] == ["p3"]
    assert best.products[0].rank == 1
    assert best.filter.comparison.value.text == "brand p3"
    assert best.filter_text == 'brand = "brand p3"'
    assert best.reasons == best.products[0].reasons
    assert (best.rank, best.candidate_count) == (1, 1)
    assert 1 >= best.score > answer.values[1].score > 0
    assert (answer.request_id, answer.more_count) == ("req-2", 1)
    await until(lambda: suite.answers.kept)
    (record,) = suite.answers.kept.values()
    assert list(record.columns.product_ids) == ["p3", "p1", "p4", "p2"]


async def test_all_products_of_a_category_stand_for_it(suite):
    request = pb.RecommendValuesRequest(
        request=photo(), field="category", category_path=["Wine", "Red"], products_per_value=10
    )
    answer = await suite.recommendation.RecommendValues(request)
    (value,) = answer.values
    assert (value.text, value.candidate_count) == ("Wine > Red > Merlot", 4)
    assert [item.rank for item in value.products] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"field": ""}, "field"),
        ({"field": "x" * 100_000}, "field"),
        ({"field": "brand", "category_path": ["a"]}, "category_path"),
        ({"field": "category", "category_path": ["a"] * 9}, "category_path"),
        ({"field": "brand", "products_per_value": 2**31 - 1}, "products_per_value"),
        ({"field": "brand", "request": pb.RecommendRequest(page_size=51)}, "page_size"),
        ({"field": "brand", "request": pb.RecommendRequest(page_token="t")}, "page_token"),
    ],
)
async def test_invalid_requests_for_values_name_the_field(suite, fields, field):
    error = await refused(suite.recommendation.RecommendValues(pb.RecommendValuesRequest(**fields)))
    assert error.code == "INVALID_ARGUMENT"
    assert [each.field for each in error.violations] == [field]
    assert suite.retriever.script.seen == []
