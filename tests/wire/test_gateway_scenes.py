"""Anchors, recommenders and feeds over real gRPC: requests to peers, and rejections."""

import pytest

from sightline.common.v1 import filter_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2 as ranking_pb
from tests.wire.gateway_calls import ANN, ids, refused, suite

__all__ = ["suite"]  # fixtures


def equal(field: str, text: str) -> filter_pb2.Filter:
    return filter_pb2.Filter(
        comparison=filter_pb2.Comparison(
            field=field,
            operator=filter_pb2.Comparison.OPERATOR_EQUAL,
            value=filter_pb2.FilterValue(text=text),
        )
    )


def asked(suite, method):
    """Return the last request to a peer."""
    seen = [*suite.ranker.script.seen, *suite.retriever.script.seen]
    return [item.request for item in seen if item.method == method][-1]


def asked_for_candidates(suite):
    """Return the last request for the ranker's candidates."""
    requests = [item.request for item in suite.ranker.script.seen]
    return [item for item in requests if "recommenders" in item.DESCRIPTOR.fields_by_name][-1]


async def test_anchors_and_recommenders_are_asked_for_and_their_scores_ranked(suite):
    both = filter_pb2.FilterList(
        filters=[equal("brand", "b"), equal("category", "Wine > Red"), equal("category", "Wine")]
    )
    request = pb.RecommendRequest(
        scene="cart",
        anchor_product_ids=["p3", "p2"],
        shopper=ANN,
        filter=filter_pb2.Filter(all=both),
    )
    answer = await suite.recommendation.Recommend(request)

    named = asked_for_candidates(suite)
    assert list(named.anchors.product_ids) == ["p3", "p2"]
    assert list(named.recommenders) == ["co_purchase", "co_view"]
    assert list(named.scope.category_path) == ["Wine", "Red"]
    assert not named.recommenders_only
    assert {"p3", "p2"} <= {*named.exclude_product_ids}
    ranked = asked(suite, "Rank")
    assert list(ranked.anchors.product_ids) == ["p3", "p2"]
    branches = {item.branch: list(item.similarities) for item in ranked.branches}
    assert {*branches} == {"co_purchase", "co_view"}
    scores = dict(zip(ranked.candidates.product_ids, branches["co_view"], strict=True))
    assert {item: score for item, score in scores.items() if score == score} == pytest.approx(
        {"p4": 0.9, "p1": 0.5}
    )
    assert ids(answer)[0] == "p4"
    assert {"co_purchase", "co_view"} <= {*answer.results[0].branches}
    assert not {"p3", "p2"} & {*ids(answer)}


async def test_reasons_of_later_pages_go_by_the_same_anchors(suite):
    request = pb.RecommendRequest(scene="similar", anchor_product_ids=["p2"], page_size=1)
    suite.ranker.servicer("RankingService").reasoned = 0
    await suite.recommendation.Recommend(request)

    assert list(asked(suite, "GiveReasons").anchors.product_ids) == ["p2"]


async def test_a_scenes_own_source_of_anchors_is_asked_for(suite):
    await suite.recommendation.Recommend(pb.RecommendRequest(scene="cart", shopper=ANN))

    assert asked_for_candidates(suite).anchors.source == ranking_pb.Anchors.SOURCE_CART


async def test_other_categories_and_followed_are_conditions_of_the_search(suite):
    look = pb.RecommendRequest(scene="complete-the-look", anchor_product_ids=["p3"])
    await suite.recommendation.Recommend(look)
    conditions = asked(suite, "Search").filter.all.filters
    (beside,) = [item for item in conditions if item.WhichOneof("expression") == "not"]
    membership = getattr(beside, "not").membership
    assert membership.field == "category"
    assert [value.text for value in membership.values] == ["Wine > Red"]

    feed = pb.RecommendRequest(scene="feed", followed=["ann", "bob"])
    await suite.recommendation.Recommend(feed)
    conditions = asked(suite, "ListProducts").filter.all.filters
    (by,) = [item.membership for item in conditions if item.HasField("membership")]
    assert by.field == "attributes.author"
    assert [value.text for value in by.values] == ["ann", "bob"]
    assert asked_for_candidates(suite).recommenders_only
    assert "followed" in {item.branch for item in asked(suite, "Rank").branches}


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"anchor_product_ids": ["p1", "p1"]}, "anchor_product_ids[1]", "REQUEST_INVALID"),
        ({"anchor_product_ids": [f"p{i}" for i in range(200)]}, "anchor_product_ids", ""),
        ({"anchor_product_ids": ["nope", "nor"]}, "anchor_product_ids[0]", "PRODUCT_NOT_FOUND"),
        ({"followed": ["ann"]}, "followed", "REQUEST_INVALID"),
    ],
)
async def test_what_no_request_can_be_about_is_refused(suite, fields, field, reason):
    error = await refused(
        suite.recommendation.Recommend(pb.RecommendRequest(scene="cart", **fields))
    )

    assert error.violations[0].field == field
    assert not reason or error.reason == reason
