"""Public methods that their owners serve: by both names, to the gateway alone, each declared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
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
from servicekit.rpc import former_names, owned
from servicekit.rpc.channel import connect
from servicekit.rpc.server import Binding, start
from servicekit.status import from_rpc_error
from sightline.common.v1 import access_pb2
from sightline.gateway.v1 import watch_service_pb2
from sightline.retriever.v1 import watch_pb2
from sightline.retriever.v1 import watch_service_pb2 as pb

ROOT = Path(__file__).parents[4]
SERVICE = watch_service_pb2.DESCRIPTOR.services_by_name["WatchService"]
PUBLIC = "/sightline.gateway.v1.WatchService/"
FORMER = "/sightline.retriever.v1.WatchService/"


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


class OlderWatches(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Handlers of a release that knows former names alone."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method
        if not method.startswith(FORMER):
            return None
        servicer, name = Watches(), method.removeprefix(FORMER)
        if name == "GetWatch":
            return grpc.unary_unary_rpc_method_handler(
                servicer.GetWatch, pb.GetWatchRequest.FromString, watch_pb2.Watch.SerializeToString
            )
        return grpc.unary_stream_rpc_method_handler(
            servicer.WatchAlerts,
            pb.WatchAlertsRequest.FromString,
            pb.WatchAlertsResponse.SerializeToString,
        )


@asynccontextmanager
async def running(binding: Binding, peer: PeerName = PeerName.GATEWAY) -> AsyncIterator[Any]:
    """Run a server whose callers are a peer. Yield a channel to it."""
    policy = PeersOnly(lambda _metadata, _context: peer)
    server = await start([binding], ServerSettings(port=0), "retriever", policy)
    channel = connect(f"127.0.0.1:{server.port}")
    yield channel
    await channel.close(None)
    await server.stop()


def get(channel: Any, path: str) -> Callable[..., Any]:
    found: Callable[..., Any] = channel.unary_unary(
        f"{path}GetWatch",
        request_serializer=pb.GetWatchRequest.SerializeToString,
        response_deserializer=watch_pb2.Watch.FromString,
    )
    return found


async def tokens(channel: Any, path: str) -> list[str]:
    stream = channel.unary_stream(
        f"{path}WatchAlerts",
        request_serializer=pb.WatchAlertsRequest.SerializeToString,
        response_deserializer=pb.WatchAlertsResponse.FromString,
    )
    return [each.resume_token async for each in stream(pb.WatchAlertsRequest(), timeout=60)]


def older() -> Binding:
    def add(_: Any, server: Any) -> None:
        server.add_generic_rpc_handlers((OlderWatches(),))

    return Binding(add, None, "sightline.gateway.v1.WatchService")


@pytest.mark.parametrize("path", [PUBLIC, FORMER])
async def test_an_owner_answers_the_gateway_by_both_names(path: str) -> None:
    async with running(Binding.by_name(SERVICE, Watches(), former_names.FORMER)) as channel:
        answer = await get(channel, path)(pb.GetWatchRequest(watch_id="a"), timeout=60)
        assert answer.watch_id == "a"
        assert await tokens(channel, path) == ["t0", "t1"]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get(channel, path)(pb.GetWatchRequest(), timeout=60)
        assert from_rpc_error(caught.value).reason == "WATCH_NOT_FOUND"


@pytest.mark.parametrize("path", [PUBLIC, FORMER])
async def test_an_owner_answers_no_other_peer(path: str) -> None:
    async with running(
        Binding.by_name(SERVICE, Watches(), former_names.FORMER), PeerName.RANKER
    ) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get(channel, path)(pb.GetWatchRequest(watch_id="a"), timeout=60)
        assert from_rpc_error(caught.value).reason == "PEER_FORBIDDEN"


async def test_an_older_owner_is_called_by_the_former_name() -> None:
    async with running(older()) as channel:
        answer = await get(channel, PUBLIC)(pb.GetWatchRequest(watch_id="a"), timeout=60)
        assert answer.watch_id == "a"
        assert await tokens(channel, PUBLIC) == ["t0", "t1"]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get(channel, PUBLIC)(pb.GetWatchRequest(), timeout=60)
        assert from_rpc_error(caught.value).reason == "WATCH_NOT_FOUND"


async def test_a_server_that_is_no_owner_does_not_answer_former_names() -> None:
    async with running(Binding.by_name(SERVICE, Watches())) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get(channel, FORMER)(pb.GetWatchRequest(watch_id="a"), timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_call_that_ran_is_not_made_again_by_its_former_name() -> None:
    made = list[str]()

    async def run(request: pb.GetWatchRequest, context: Any) -> watch_pb2.Watch:
        made.append(request.watch_id)
        raise NotImplementedError

    async def stream(
        request: pb.WatchAlertsRequest, context: Any
    ) -> AsyncIterator[pb.WatchAlertsResponse]:
        made.append("stream")
        yield pb.WatchAlertsResponse(resume_token="t0")
        raise NotImplementedError

    owner = SimpleNamespace(GetWatch=run, WatchAlerts=stream)
    async with running(Binding.by_name(SERVICE, owner, former_names.FORMER)) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await get(channel, PUBLIC)(pb.GetWatchRequest(watch_id="a"), timeout=60)
        with pytest.raises(grpc.aio.AioRpcError):
            await tokens(channel, PUBLIC)
    assert made == ["a", "stream"]


async def test_a_call_that_neither_release_knows_is_unimplemented() -> None:
    nothing = Binding.by_name(SERVICE, SimpleNamespace())
    async with running(nothing) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get(channel, PUBLIC)(pb.GetWatchRequest(watch_id="a"), timeout=60)
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
    names = {method.name for method in owned.methods_of(PeerName.RETRIEVER)} - {"GetWatch"}
    servicers = [
        type("Others", (), dict.fromkeys(names))(),
        *(type("One", (), {"GetWatch": 1})(),) * more,
    ]
    with pytest.raises(TypeError, match=f"GetWatch: {more} servicers of retriever have it"):
        owned.bindings(PeerName.RETRIEVER, servicers)


def test_every_call_of_the_last_release_that_is_gone_has_a_public_name() -> None:
    image = descriptor_pb2.FileDescriptorSet.FromString((ROOT / "protos/image.binpb").read_bytes())
    former = {
        f"{file.package}.{service.name}/{method.name}"
        for file in image.file
        for service in file.service
        for method in service.method
        if file.package.startswith("sightline.")
    }
    assert former >= {*former_names.FORMER.values()}
    files = (ROOT / "protos" / "sightline").glob("*/v1/*_service.proto")
    now = {
        owned.path_of(method)
        for file in files
        for service in _module(file).DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert former - now <= {*former_names.FORMER.values()}
    public = {owned.path_of(each) for peer in PeerName for each in owned.methods_of(peer)}
    assert former_names.FORMER.keys() <= public


def _module(file: Path) -> Any:
    return import_module(f"sightline.{file.parts[-3]}.v1.{file.stem}_pb2")
