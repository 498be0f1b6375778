"""Requests that a gateway keeps to try a changed scene on, and erasures of shoppers."""

import grpc
import pytest

from gateway.state import recent_requests
from sightline.gateway.v1 import admin_service_pb2
from sightline.ranker.v1 import privacy_service_pb2, privacy_service_pb2_grpc
from tests.fakes.gateway_wire import Suite, running
from tests.peer_stubs import peer_stub
from tests.waiting import until
from tests.wire.gateway_calls import ANN, photo


async def kept(suite: Suite) -> int:
    """Return the number of kept requests, which are answered anew."""
    return (await suite.admin.DiffScene(admin_service_pb2.DiffSceneRequest())).anew_count


@pytest.mark.parametrize("asked", ["this", "another"])
async def test_an_erasure_drops_the_requests_that_name_a_shopper(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`asked`: the gateway that is asked to erase."""
    monkeypatch.setattr(recent_requests, "ASK_SECONDS", 0.05 if asked == "another" else 1_000)
    request = privacy_service_pb2.EraseUserRequest(shopper=ANN)
    async with running(whole=True) as suite:
        await suite.recommendation.Recommend(photo(shopper=ANN))
        await suite.recommendation.Recommend(photo())
        assert await kept(suite) == 2
        if asked == "this":
            await suite.admin.EraseUser(request)
            assert await kept(suite) == 1
            return
        async with grpc.aio.insecure_channel(f"127.0.0.1:{suite.ranker.port}") as channel:
            await peer_stub(
                "ranker", channel, privacy_service_pb2_grpc.PrivacyServiceStub
            ).EraseUser(request)

        async def dropped() -> bool:
            return await kept(suite) == 1

        await until(dropped)
