"""Public methods that their owners serve: to the gateway alone, each declared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2

from servicekit.admission import access
from servicekit.admission.access import POOL, Caller, PeerName, PeersOnly, Role, RoleMissing
from servicekit.config import ServerSettings
from servicekit.errors import NotFound
from servicekit.rpc import owned
from servicekit.rpc.channel import connect
from servicekit.rpc.server import Binding, start
from servicekit.status import from_rpc_error
from sightline.common.v1 import access_pb2
from sightline.gateway.v1 import watch_service_pb2
from sightline.vision.v1 import watch_pb2
from sightline.vision.v1 import watch_service_pb2 as pb

ROOT = Path(__file__).parents[4]
SERVICE = watch_service_pb2.DESCRIPTOR.services_by_name["WatchService"]
PATH = "/sightline.gateway.v1.WatchService/"


class Watches:
    """Servicer of two methods."""

    async def GetWatch(self, request: pb.GetWatchRequest, context: Any) -> watch_pb2.Watch:
        if not request.watch_id:
            raise NotFound("there is no such watch", reason="WATCH_NOT_FOUND")
        return watch_pb2.Watch(watch_id=request.watch_id)

    async def WatchAlerts(
        self, request: pb.WatchAlertsRequest, context: Any
    ) -> AsyncIterator[pb.WatchAlertsResponse]:
        for token in ("t0", "t1"):
            yield pb.WatchAlertsResponse(resume_token=token)


@asynccontextmanager
async def running(binding: Binding, peer: PeerName = PeerName.GATEWAY) -> AsyncIterator[Any]:
    """Run a server whose callers are a peer. Yield a channel to it."""
    policy = PeersOnly(lambda _metadata, _context: peer)
    server = await start([binding], ServerSettings(port=0), "retriever", policy)
    channel = connect(f"127.0.0.1:{server.port}")
    yield channel
    await channel.close(None)
    await server.stop()


def get(channel: Any) -> Callable[..., Any]:
    found: Callable[..., Any] = channel.unary_unary(
        f"{PATH}GetWatch",
        request_serializer=pb.GetWatchRequest.SerializeToString,
        response_deserializer=watch_pb2.Watch.FromString,
    )
    return found


async def tokens(channel: Any) -> list[str]:
    stream = channel.unary_stream(
        f"{PATH}WatchAlerts",
        request_serializer=pb.WatchAlertsRequest.SerializeToString,
        response_deserializer=pb.WatchAlertsResponse.FromString,
    )
    return [each.resume_token async for each in stream(pb.WatchAlertsRequest(), timeout=60)]


async def test_an_owner_answers_the_gateway() -> None:
    async with running(Binding.by_name(SERVICE, Watches())) as channel:
        answer = await get(channel)(pb.GetWatchRequest(watch_id="a"), timeout=60)
        assert answer.watch_id == "a"
        assert await tokens(channel) == ["t0", "t1"]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get(channel)(pb.GetWatchRequest(), timeout=60)
        assert from_rpc_error(caught.value).reason == "WATCH_NOT_FOUND"


async def test_an_owner_answers_no_other_peer() -> None:
    async with running(Binding.by_name(SERVICE, Watches()), PeerName.RANKER) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get(channel)(pb.GetWatchRequest(watch_id="a"), timeout=60)
        assert from_rpc_error(caught.value).reason == "PEER_FORBIDDEN"


async def test_a_call_that_no_servicer_has_is_unimplemented() -> None:
    nothing = Binding.by_name(SERVICE, SimpleNamespace())
    async with running(nothing) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get(channel)(pb.GetWatchRequest(watch_id="a"), timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_every_public_method_has_an_owner_and_a_role() -> None:
    owned.check_declared()
    methods = [method for peer in PeerName for method in owned.methods_of(peer)]
    assert len(methods) == sum(len(each.methods) for each in owned.public_services()) > 110


@pytest.mark.parametrize("given", [{"roles": [access_pb2.ROLE_READ]}, {"owner": 1}, {}])
def test_a_method_without_owner_or_role_is_refused_at_the_start_and_denied_when_called(
    given: dict[str, Any],
) -> None:
    name = "Undeclared" + "".join(given)
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="sightline.gateway.v1")
    file.message_type.add(name=f"{name}Request")
    kind = f".sightline.gateway.v1.{name}Request"
    method = file.service.add(name=name).method.add(name="Do", input_type=kind, output_type=kind)
    method.options.Extensions[access_pb2.access].MergeFrom(access_pb2.Access(**given))
    POOL.Add(file)
    service = POOL.FindServiceByName(f"sightline.gateway.v1.{name}")

    with pytest.raises(TypeError, match=f"{name}.Do: its option `access` names no owner or role"):
        owned.check_declared([service])
    rule = access.rule(f"sightline.gateway.v1.{name}/Do")
    with pytest.raises(RoleMissing):
        Caller("all", frozenset(Role)).check(rule.roles)


@pytest.mark.parametrize("more", [0, 2])
def test_a_public_method_is_of_exactly_one_servicer(more: int) -> None:
    names = {method.name for method in owned.methods_of(PeerName.VISION)} - {"GetWatch"}
    servicers = [
        type("Others", (), dict.fromkeys(names))(),
        *(type("One", (), {"GetWatch": 1})(),) * more,
    ]
    with pytest.raises(TypeError, match=f"GetWatch: {more} servicers of vision have it"):
        owned.bindings(PeerName.VISION, servicers)
