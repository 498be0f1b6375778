"""A gateway over real gRPC before scripted peers, and calls that many of its tests make."""

from collections.abc import AsyncIterator

import grpc
import pytest

from servicekit.errors import ServiceError
from servicekit.status import from_rpc_error
from sightline.common.v1 import answer_pb2, event_pb2, filter_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.fakes.gateway_wire import Suite, running

PHOTO = b"\xff\xd8 a secret photo \xff\xd9"
ANN = event_pb2.Shopper(user_id="ann-the-customer")
BY_SIMILARITY = ["p3", "p1", "p4", "p2"]
UNKNOWN_FIELD = filter_pb2.Filter(comparison=filter_pb2.Comparison(field="colour"))


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with running() as found:
        yield found


def photo(**fields) -> pb.RecommendRequest:
    return pb.RecommendRequest(signals=[pb.QuerySignal(image=PHOTO)], **fields)


def ids(answer) -> list[str]:
    return [item.product.product_id for item in answer.results]


def causes(answer) -> list[tuple[str, str]]:
    names = answer_pb2.Degradation.Cause
    return [(i.stage, names.Name(i.cause).removeprefix("CAUSE_")) for i in answer.degradations]


async def refused(call) -> ServiceError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)
