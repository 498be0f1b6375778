"""The caller's own wines, in the order for a shopper, recorded and computed again."""

import asyncio

import grpc

from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline_client import SightlineClient

SHOPPER = "1209683"


async def _replayed(
    client: SightlineClient, request: pb.ReplayRecommendationRequest
) -> pb.ReplayRecommendationResponse | None:
    try:
        return await client.calls.recommendation.ReplayRecommendation(request)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return None


async def test_a_list_is_ranked_for_a_shopper_page_by_page_and_replays(
    client: SightlineClient,
) -> None:
    known = sorted([item.product_id async for item in client.list_products()])[:60]
    candidates = {"no-such-wine": 1.0, **{item: float(at) for at, item in enumerate(known)}}
    pages = [
        page
        async for page in client.recommend_pages(candidates=candidates, user=SHOPPER, page_size=15)
    ]
    shown = [item.product.product_id for page in pages for item in page.results]
    beside = [
        each for page in pages for item in page.results for each in item.collapsed_product_ids
    ]
    assert len(shown) == len({*shown}) > 30
    assert {*shown, *beside} <= {*known}
    assert pages[0].missing_product_ids == ("no-such-wine",)
    assert not pages[0].degradations
    parts = [{part.name for part in item.parts} for item in pages[0].results]
    assert all("given" in names for names in parts)
    assert any(names - {"given"} for names in parts)
    request = pb.ReplayRecommendationRequest(attribution_token=pages[0].attribution_token)
    for _ in range(100):
        if (replayed := await _replayed(client, request)) is not None:
            break
        await asyncio.sleep(0.2)  # the record is written after the answer
    assert replayed is not None
    assert replayed.equal, replayed.differences


async def test_without_a_shopper_the_answer_has_the_candidates_alone(
    client: SightlineClient,
) -> None:
    known = sorted([item.product_id async for item in client.list_products()])[:10]
    answer = await client.recommend(candidates=known, not_personal=True, page_size=10)
    assert {item.product.product_id for item in answer.results} <= {*known}
