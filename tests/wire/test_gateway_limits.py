"""Limits on the cost of one caller, over real gRPC before scripted peers."""

import grpc
import pytest

from gateway.clients import embedder
from servicekit.admission.limits import MIB
from sightline.common.v1 import event_pb2, filter_pb2
from sightline.gateway.v1 import catalog_service_pb2, user_event_service_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.fakes.gateway_wire import running
from tests.wire.gateway_calls import PHOTO, photo, refused, suite

__all__ = ["suite"]  # fixtures


def filters(depth: int, each: int) -> filter_pb2.Filter:
    """Return nested lists of filters, `each` to the power of `depth` in all."""
    made = filter_pb2.Filter()
    for _ in range(depth):
        made = filter_pb2.Filter(all=filter_pb2.FilterList(filters=[made] * each))
    return made


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.RecommendRequest(signals=[pb.QuerySignal()] * 2**18), ["signals"]),
        (pb.RecommendRequest(exclude_product_ids=[""] * 2**18), ["exclude_product_ids"]),
        (pb.RecommendRequest(filter=filters(5, 10)), []),
    ],
)
async def test_long_lists_reach_no_peer(suite, request_, field):
    error = await refused(suite.recommendation.Recommend(request_))
    assert (error.reason, [each.field for each in error.violations]) == ("REQUEST_INVALID", field)
    assert not suite.embedder.script.seen
    assert not suite.retriever.script.seen


async def test_what_is_larger_than_its_call_takes_reaches_no_peer(suite):
    large = "x" * MIB
    for call, request in (
        (
            suite.recommendation.Recommend,
            pb.RecommendRequest(signals=[pb.QuerySignal(image=bytes(6 * MIB))] * 2),
        ),
        (suite.catalog.GetProduct, catalog_service_pb2.GetProductRequest(product_id=large)),
        (
            suite.events.WriteEvents,
            user_event_service_pb2.WriteEventsRequest(
                events=[event_pb2.Event(product_id=large)] * 8
            ),
        ),
    ):
        assert (await refused(call(request))).reason == "REQUEST_TOO_LARGE"
    assert not suite.retriever.script.seen


async def test_decoding_that_took_too_long_is_paid_back_before_the_next_photo(monkeypatch):
    monkeypatch.setattr(embedder, "reported_decoding", lambda _: 1.0)
    quota = {"quota_decode_seconds": 0.001, "quota_burst_seconds": 1}
    async with running(**quota) as limited:
        await limited.recommendation.Recommend(photo())
        error = await refused(limited.recommendation.Recommend(photo()))
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED")
        assert error.metadata == {"quota": "decode_seconds"}
        assert error.retry_after is not None
        classified = pb.ClassifyRequest(image=PHOTO)
        assert (await refused(limited.recommendation.Classify(classified))).reason == error.reason
        assert len(limited.embedder.script.requests("BatchEmbed")) == 1
        await limited.recommendation.Recommend(photo(catalog_id="other"))
        await limited.recommendation.Recommend(pb.RecommendRequest())


async def test_writes_have_a_quota_of_their_own():
    async with running(quota_writes=0.001, quota_burst_seconds=1) as limited:
        write = catalog_service_pb2.DeleteProductsRequest(product_ids=["p9"])
        await limited.catalog.DeleteProducts(write)
        assert (await refused(limited.catalog.DeleteProducts(write))).metadata == {
            "quota": "writes"
        }
        read = catalog_service_pb2.GetProductRequest(product_id="p1")
        assert (await limited.catalog.GetProduct(read)).product_id == "p1"


@pytest.mark.parametrize("sent", [b"\x00", bytes(13 * MIB)])
async def test_requests_that_are_no_messages_use_up_their_caller_s_quota(sent):
    async with running(quota_calls=0.001, quota_burst_seconds=3600) as limited:  # 3.6 calls
        async with grpc.aio.insecure_channel(f"127.0.0.1:{limited.port}") as channel:
            call = channel.unary_unary("/sightline.gateway.v1.RecommendationService/Recommend")
            reasons = [(await refused(call(sent))).reason for _ in range(5)]
        assert reasons[0] in {"REQUEST_MALFORMED", "REQUEST_TOO_LARGE"}
        assert reasons == [reasons[0]] * 3 + ["QUOTA_EXHAUSTED"] * 2
        await limited.recommendation.Recommend(pb.RecommendRequest())  # of its own catalog
