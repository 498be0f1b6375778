"""Ranking and candidates over real gRPC, on each engine."""

import math

import pytest

from sightline.common.v1 import candidate_pb2, event_pb2
from sightline.ranker.v1 import ranking_service_pb2
from tests.fakes.ranker import columns, product
from tests.wire.ranker_suite import ANN, HOUR, PRODUCTS, Suite, event, refusal, suite

__all__ = ["suite"]  # fixtures


async def test_before_anything_happened_ranking_is_similarity_and_nominates_nothing(
    suite: Suite,
) -> None:
    branch = ranking_service_pb2.BranchSignal(
        branch="visual", similarities=[n / 12 for n in range(12)]
    )
    answer = await suite.rank(branches=[branch])
    assert answer.product_ids[0] == "w5"
    assert answer.model_version == ""
    assert not answer.degradations, "that nothing was learned yet is no loss"
    assert [one.stage for one in answer.stage_timings] == ["history", "score"]
    assert answer.reasons[0].reasons[0].code == "LOOKS_LIKE_QUERY"
    generated = await suite.generate()
    assert list(generated.product_ids) == []
    assert generated.basis == ranking_service_pb2.NominateResponse.BASIS_UNSPECIFIED


async def test_events_make_popularity_in_the_very_next_request(suite: Suite) -> None:
    await suite.append(event("w3", "PURCHASE"), event("r1"))
    answer = await suite.rank(shopper=event_pb2.Shopper(visitor_id="new"))
    assert list(answer.product_ids[:2]) == ["w3", "r1"]
    assert [part.name for part in answer.parts] == ["popularity"]
    generated = await suite.generate()
    assert list(generated.product_ids) == ["w3", "r1"]
    assert generated.basis == ranking_service_pb2.NominateResponse.BASIS_POPULARITY


async def test_a_shoppers_last_products_are_named_from_the_first_event_on(suite: Suite) -> None:
    await suite.append(event("r1", "HIDE", ago=4), event("w3", ago=3), event("r1", ago=2))
    await suite.append(event("r0", "PURCHASE", ago=1))
    found = await suite.generate(
        shopper=ANN, last_products=1, last_product_recommenders=["co_view"]
    )
    assert list(found.last_product_ids) == ["r0"]
    assert [one.recommender for one in found.lists] == ["co_view"]
    whole = await suite.generate(shopper=ANN, last_products=50)
    assert list(whole.last_product_ids) == ["r0", "w3"]
    assert list(whole.last_product_weights) == pytest.approx([0.95, 0.27])
    stranger = event_pb2.Shopper(visitor_id="new")
    assert not (await suite.generate(shopper=stranger, last_products=50)).last_product_ids


async def test_recommenders_of_last_products_are_checked_as_others_are(suite: Suite) -> None:
    for fields, field in (
        ({"last_products": 51}, "last_products"),
        ({"last_product_recommenders": ["nope"]}, "last_product_recommenders[0]"),
        (
            {"recommenders": ["co_view"], "last_product_recommenders": ["co_view"]},
            "last_product_recommenders[0]",
        ),
    ):
        refused = await refusal(suite.generate(shopper=ANN, **fields))
        assert [one.field for one in refused.violations] == [field]


async def test_a_hidden_product_is_gone_for_one_shopper_until_it_is_unhidden(
    suite: Suite,
) -> None:
    await suite.append(event("r0", "HIDE", ago=1))
    hidden = await suite.rank(shopper=ANN)
    assert "r0" not in hidden.product_ids
    assert hidden.hidden_count == 1
    assert len((await suite.rank()).product_ids) == 12
    await suite.append(event("r0", "UNHIDE"))
    assert (await suite.rank(shopper=ANN)).hidden_count == 0


async def test_seen_products_are_dropped_on_request(suite: Suite) -> None:
    await suite.append(event("r0"), event("r1", "PURCHASE"), event("r2", "IMPRESSION"))
    answer = await suite.rank(shopper=ANN, drop_seen=True)
    assert answer.seen_count == 2
    assert {"r0", "r1"}.isdisjoint(answer.product_ids)
    assert "r2" in answer.product_ids


async def test_the_order_is_moved_as_asked_with_moves_that_add_up_and_propensities(
    suite: Suite,
) -> None:
    now = 1_790_000_000_000_000
    request = ranking_service_pb2.RankRequest(
        candidates=columns(PRODUCTS),
        branches=[
            ranking_service_pb2.BranchSignal(
                branch="visual", similarities=[1 - n / 20 for n in range(12)]
            )
        ],
        weights=[ranking_service_pb2.PartWeight(part="visual", weight=1.0)],
        diversity=ranking_service_pb2.Diversity(
            brand_cap=2, cap_places=4, exploration_places=[3], diversity=0.2
        ),
        time_micros=now,
        seed=3,
        top_k=8,
    )
    request.candidates.create_time_micros.extend([1] * 10 + [now - HOUR * 1_000_000] * 2)

    answer = await suite.ranking.Rank(request)

    assert answer.product_ids[2] in {"w4", "w5"}
    assert list(answer.propensities)[:4] == [1, 1, 0.5, 1]
    brands = [item[0] for item in answer.product_ids[:5] if item not in {"w4", "w5"}]
    assert sorted(brands) == ["r", "r", "w", "w"]
    for place, (score_rank, moves) in enumerate(
        zip(answer.score_ranks, answer.moves, strict=True), start=1
    ):
        assert sum(move.places for move in moves.moves) == score_rank - place
    again = await suite.ranking.Rank(request)
    assert list(again.product_ids) == list(answer.product_ids)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"products": []}, "candidates.product_ids"),
        ({"diversity": ranking_service_pb2.Diversity(window=1)}, "diversity.window"),
        ({"time_micros": -1}, "time_micros"),
        ({"products": [PRODUCTS[0]] * 2}, "candidates.product_ids"),
        ({"products": [product("")]}, "candidates.product_ids[0]"),
        ({"products": [product("a\x00b")]}, "candidates.product_ids[0]"),
        ({"products": [product("a", " > ".join("a" * 9))]}, "candidates.category_paths[0]"),
        ({"products": [product("a", "a" * 1046)]}, "candidates.category_paths[0]"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 10**9}, "top_k"),
        ({"fused": [1.0]}, "fused"),
        ({"fused": [math.nan] * 12}, "fused"),
        ({"weights": {"visual": math.nan}}, "weights[0].weight"),
        ({"weights": {"visual": -1.0}}, "weights[0].weight"),
        ({"weights": {"": 1.0}}, "weights[0].part"),
        ({"shopper": event_pb2.Shopper(user_id="")}, "shopper.user_id"),
        (
            {"branches": [ranking_service_pb2.BranchSignal(branch="v", similarities=[1.0])]},
            "branches[0].similarities",
        ),
        (
            {
                "branches": [
                    ranking_service_pb2.BranchSignal(branch="v", similarities=[math.inf] * 12)
                ]
            },
            "branches[0].similarities",
        ),
        (
            {
                "branches": [
                    ranking_service_pb2.BranchSignal(branch="taste", similarities=[0.0] * 12)
                ]
            },
            "branches[0].branch",
        ),
    ],
)
async def test_a_bad_rank_request_is_refused_by_its_field(
    suite: Suite, fields: dict[str, object], field: str
) -> None:
    error = await refusal(suite.rank(**fields))
    assert error.reason == "REQUEST_INVALID"
    assert error.violations[0].field == field


async def test_a_column_of_another_length_is_refused_by_its_name(suite: Suite) -> None:
    request = ranking_service_pb2.RankRequest(
        candidates=candidate_pb2.CandidateColumns(product_ids=["a", "b"], brands=["x"])
    )
    error = await refusal(suite.ranking.Rank(request))
    assert error.violations[0].field == "candidates.brands"


@pytest.mark.parametrize("top_k", [-1, 1001])
async def test_too_many_candidates_are_refused(suite: Suite, top_k: int) -> None:
    assert (await refusal(suite.generate(top_k=top_k))).reason == "REQUEST_INVALID"
