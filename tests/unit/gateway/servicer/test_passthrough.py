"""Each public call reaches the owner that its proto names, unchanged."""

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from gateway.clients.embedder import EmbedderClient
from gateway.clients.peer_calls import PeerCaller
from gateway.clients.ranker import RankerClient
from gateway.clients.retriever import RetrieverClient
from gateway.model.causes import Peer
from gateway.servicer import admin, catalog, events, write_prices
from gateway.servicer.audit import AuditLog
from gateway.servicer.jobs import JobProxyServicer
from gateway.servicer.list_tokens import GOOD_MICROS
from gateway.servicer.passthrough import Passthrough
from gateway.servicer.recommendation import RecommendationServicer
from gateway.servicer.registry import NAMES
from gateway.state.prices import RequestPrices
from gateway.wiring import public_bindings
from servicekit.admission import access
from servicekit.admission.access import PeerName
from servicekit.catalogs.known import KnownCatalogs
from servicekit.clock import now_micros
from servicekit.errors import NotFound
from servicekit.keys.keyring import open_keys
from servicekit.rpc import owned
from servicekit.rpc.requests import PageTokenInvalid
from sightline.common.v1 import event_pb2
from sightline.common.v1.limits_pb2 import max_items
from sightline.gateway.v1 import catalog_service_pb2
from sightline.ranker.v1 import privacy_service_pb2
from sightline.retriever.v1 import product_service_pb2
from tests.fakes.gateway_peers import Shop
from tests.fakes.toml import parsed

CALLS = [method for peer in Peer for method in owned.methods_of(PeerName(peer))]
UNARY = [
    method
    for method in CALLS
    if not method.server_streaming and method.name != "PublishScene"  # it checks what it publishes
]
"""Calls that a peer answers."""


async def nothing() -> None:
    """Follow no scenes."""


def str_of(part: object) -> str:
    return getattr(part, "name", "")


class FakeCall:
    """A call that is answered with an empty message."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __await__(self) -> Generator[None, None, Any]:
        yield
        return self.answer

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata()


class FakeChannel:
    """Channel that records its calls and answers with `content`, an empty message."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.content = b""

    def unary_unary(self, path: str, **codecs: Any) -> Any:
        def call(request: Any, **deadline: Any) -> FakeCall:
            self.sent.append((path, codecs["request_serializer"](request)))
            return FakeCall((codecs["response_deserializer"] or bytes)(self.content))

        return call

    unary_stream = unary_unary


@pytest.fixture
def channels() -> dict[Peer, FakeChannel]:
    return {peer: FakeChannel() for peer in Peer}


def ways_of(channels: dict[Peer, Any]) -> dict[Peer, tuple[Any, PeerCaller]]:
    return {
        peer: (channel, PeerCaller(peer, reserve=0.0, longest=1.0))
        for peer, channel in channels.items()
    }


def served(channels: dict[Peer, Any]) -> dict[str, Any]:
    """Return the public servicers by service."""
    ways = ways_of(channels)
    catalogs, prices = KnownCatalogs(["default"]), RequestPrices()
    passthrough = Passthrough(catalogs, ways, open_keys)
    servicers = (
        admin.AdminServicer(
            catalogs,
            passthrough,
            scenes=None,  # type: ignore[arg-type]
            follow_scenes=nothing,
            parse=parsed,
            embedder=EmbedderClient(*ways[Peer.EMBEDDER]),
            ranker=RankerClient(*ways[Peer.RANKER]),
            retriever=RetrieverClient(*ways[Peer.RETRIEVER]),
            audit=AuditLog(ways, open_keys),
            status_seconds=1.0,
            service_version="0",
            deps=Shop().deps,
        ),
        catalog.CatalogServicer(
            *(catalogs, *ways[Peer.RETRIEVER], open_keys),
            prices=prices,
            retriever=RetrieverClient(*ways[Peer.RETRIEVER]),
        ),
        events.UserEventServicer(catalogs, passthrough, open_keys),
        JobProxyServicer(catalogs, ways, open_keys),
        RecommendationServicer(Shop().deps),
    )
    bindings = public_bindings(servicers, passthrough, prices)
    return {each.full_name: each.servicer for each in bindings}


def request_of(method: MethodDescriptor, **fields: str) -> Any:
    """Return a request with an entry in each list."""
    request = GetMessageClass(method.input_type)(**fields)
    for item in lists(method):
        entries = getattr(request, item.name)
        entries.add() if item.message_type else entries.append(entry_of(item))
    return request


def entry_of(item: FieldDescriptor) -> Any:
    if item.enum_type:
        return item.enum_type.values[0].number
    return b"p" if item.type == item.TYPE_BYTES else "p"


def lists(method: MethodDescriptor) -> list[FieldDescriptor]:
    return [item for item in method.input_type.fields if item.is_repeated]


def message_of(method: MethodDescriptor, answer: Any) -> Any:
    """Return an answer, which the gateway may forward as bytes, as a message."""
    kind = GetMessageClass(method.output_type)
    return kind.FromString(answer) if isinstance(answer, bytes) else answer


def of_peer(method: MethodDescriptor) -> Peer:
    return Peer(str(access.rule(owned.path_of(method)).owner))


def test_every_public_call_is_answered(channels):
    for full_name, servicer in served(channels).items():
        for method in access.POOL.FindServiceByName(full_name).methods:
            assert owned.defines(servicer, method.name) or method in CALLS


@pytest.mark.parametrize("method", UNARY, ids=str_of)
async def test_a_call_goes_to_its_owner_as_it_came(method, channels):
    servicer = served(channels)[method.containing_service.full_name]
    request = request_of(method, request_id="once")

    answer = await getattr(servicer, method.name)(request, None)

    assert message_of(method, answer) == GetMessageClass(method.output_type)()
    if method.name not in NAMES:
        request.catalog_id = "default"
    path, content = channels[of_peer(method)].sent[-1]
    assert (path, content) == (f"/{owned.path_of(method)}", request.SerializeToString())


@pytest.mark.parametrize("method", [each for each in UNARY if each.name not in NAMES], ids=str_of)
async def test_a_call_for_another_catalog_goes_nowhere(method, channels):
    servicer = served(channels)[method.containing_service.full_name]
    with pytest.raises(NotFound) as caught:
        await getattr(servicer, method.name)(request_of(method, catalog_id="x"), None)

    assert caught.value.reason == "CATALOG_NOT_FOUND"
    assert not any(channel.sent for channel in channels.values())


@pytest.mark.parametrize("service", owned.public_services(), ids=str_of)
def test_each_list_of_a_public_request_says_how_long_it_may_be(service):
    bare = [
        f"{method.name}.{item.name}"
        for method in service.methods
        for item in lists(method)
        if not item.GetOptions().Extensions[max_items]
    ]
    assert not bare


LISTS = [each for each in UNARY if "next_page_token" in each.output_type.fields_by_name]


async def test_an_erasure_leaves_nothing_of_the_shopper_in_this_gateway(channels):
    servicer = served(channels)[admin.SERVICE.full_name]
    servicer._history_reads.note("shop", "default", "u1")
    request = privacy_service_pb2.EraseUserRequest(shopper=event_pb2.Shopper(user_id="u1"))
    await servicer.EraseUser(request, None)
    ((path, _),) = channels[Peer.RANKER].sent
    assert path.endswith("AdminService/EraseUser")
    assert len(servicer._history_reads._seen) == 0


@pytest.mark.parametrize("servicer", ["without", "with"])
def test_a_call_whose_price_is_not_computed_is_refused_at_the_start(channels, servicer):
    passthrough = Passthrough(KnownCatalogs(["default"]), ways_of(channels), open_keys)
    prices = RequestPrices()
    around = write_prices.around(prices)
    public = access.POOL.FindServiceByName("sightline.gateway.v1.CatalogService")

    class Own:
        ListProducts = ListMisfits = GetProduct = GetImage = nothing

    if servicer == "without":
        around = {name: each for name, each in around.items() if name != "UpdateOffers"}
    else:
        around = {**around, "ListRejectedRows": around["UpdateOffers"]}
    with pytest.raises(TypeError, match="differ in a price"):
        passthrough.serve(public, Own(), prices, around)


def test_a_call_of_the_gateway_that_no_servicer_has_is_refused_at_the_start(channels):
    passthrough = Passthrough(KnownCatalogs(["default"]), ways_of(channels), open_keys)
    public = access.POOL.FindServiceByName("sightline.gateway.v1.RecommendationService")
    with pytest.raises(TypeError, match="no servicer of the gateway has it, and no peer owns it"):
        passthrough.serve(public, SimpleNamespace(), RequestPrices())


@pytest.mark.parametrize("method", LISTS, ids=str_of)
async def test_a_lists_token_is_signed_for_its_call_and_catalog(method, channels):
    servicer = served(channels)[method.containing_service.full_name]
    channels[of_peer(method)].content = GetMessageClass(method.output_type)(
        next_page_token="theirs"
    ).SerializeToString()
    call = getattr(servicer, method.name)

    first = await call(request_of(method), None)
    assert "theirs" not in first.next_page_token
    await call(request_of(method, page_token=first.next_page_token), None)
    sent = GetMessageClass(method.input_type).FromString(channels[of_peer(method)].sent[-1][1])
    assert sent.page_token == "theirs"

    end = now_micros() + GOOD_MICROS
    others = [open_keys().seal(("list", method.name, "other"), b"theirs", end), "theirs"]
    others.append(open_keys().seal(("list", "ListOthers", "default"), b"theirs", end))
    others.append(open_keys().seal(("list", method.name, "default"), b"theirs", now_micros()))
    for token in others:
        with pytest.raises(PageTokenInvalid):
            await call(request_of(method, page_token=token), None)
    assert len(channels[of_peer(method)].sent) == 2


def test_the_orders_of_a_list_have_the_same_numbers():
    ours = catalog_service_pb2.ListProductsRequest.Order.items()
    assert ours == product_service_pb2.ListProductsRequest.Order.items()


@pytest.mark.parametrize("name", ["GetProduct", "WatchAlerts"])
def test_roles_of_fields_that_nothing_would_check_are_refused_at_the_start(
    channels: dict[Peer, Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kept = access.field_roles

    def field_roles(message: Any) -> Any:
        return {"x": {access.Role.READ}} if message.name == f"{name}Request" else kept(message)

    monkeypatch.setattr(access, "field_roles", field_roles)
    with pytest.raises(TypeError, match=rf"{name}: nothing checks"):
        served(channels)
