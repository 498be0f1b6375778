"""Each public call reaches the peer that the table names, unchanged."""

from collections.abc import Generator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass

from gateway.clients.embedder import EmbedderClient
from gateway.clients.peer_calls import PeerCaller
from gateway.clients.ranker import RankerClient
from gateway.clients.retriever import RetrieverClient
from gateway.model.causes import Peer
from gateway.servicer import admin, catalog, events, inspection, watches, webhooks
from gateway.servicer.audit import AuditLog
from gateway.servicer.list_tokens import GOOD_MICROS
from gateway.servicer.passthrough import ROUTES, Passthrough, PublicRoute
from gateway.servicer.registry import NAMES
from gateway.state.prices import RequestPrices
from servicekit.catalogs.known import KnownCatalogs
from servicekit.clock import now_micros
from servicekit.errors import NotFound
from servicekit.keys.keyring import open_keys
from servicekit.rpc.requests import PageTokenInvalid
from sightline.common.v1 import event_pb2
from sightline.common.v1.limits_pb2 import max_items
from sightline.gateway.v1 import catalog_service_pb2
from sightline.ranker.v1 import privacy_service_pb2
from sightline.retriever.v1 import product_service_pb2
from tests.fakes.gateway_peers import Shop
from tests.fakes.toml import parsed

SERVICES = {
    service.full_name: service
    for service in (
        admin.SERVICE,
        catalog.SERVICE,
        events.SERVICE,
        inspection.SERVICE,
        watches.SERVICE,
        webhooks.SERVICE,
    )
}
HERE = {
    "sightline.gateway.v1.AdminService": {
        "GetStatus",
        "EraseUser",
        "ListModels",
        "ListTopSearches",
        "DropAuditEntries",
        "ListAuditEntries",
        "ReadAuditChain",
        "RetireSpace",
        "ListScenes",
        "GetScene",
        "CheckScene",
        "DiffScene",
        "GetExperimentReport",
    },
    "sightline.gateway.v1.CatalogService": {
        "GetProduct",
        "ListProducts",
        "ListMisfits",
        "GetImage",
    },
    "sightline.gateway.v1.UserEventService": {"WriteEvents", "CreateVisitor", "MergeShopper"},
    "sightline.gateway.v1.InspectionService": set(),
    "sightline.gateway.v1.WatchService": {"WatchAlerts"},
    "sightline.gateway.v1.WebhookService": set(),
}
"""Calls with code of their own."""
ROUTED = [
    (SERVICES[service].methods_by_name[name], route)
    for service, routes in ROUTES.items()
    for name, route in routes.items()
]


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
            return FakeCall(codecs["response_deserializer"](self.content))

        return call

    unary_stream = unary_unary


@pytest.fixture
def channels() -> dict[Peer, FakeChannel]:
    return {peer: FakeChannel() for peer in Peer}


def served(channels: dict[Peer, Any]) -> dict[str, Any]:
    """Return the public servicers by service."""
    ways = {
        peer: (channel, PeerCaller(peer, reserve=0.0, longest=1.0))
        for peer, channel in channels.items()
    }
    catalogs = KnownCatalogs(["default"])
    passthrough = Passthrough(catalogs, ways, open_keys)
    return {
        admin.SERVICE.full_name: admin.AdminServicer(
            catalogs,
            passthrough,
            scenes=None,  # type: ignore[arg-type]
            parse=parsed,
            embedder=EmbedderClient(*ways[Peer.EMBEDDER]),
            ranker=RankerClient(*ways[Peer.RANKER]),
            retriever=RetrieverClient(*ways[Peer.RETRIEVER]),
            audit=AuditLog(ways, open_keys),
            status_seconds=1.0,
            service_version="0",
            deps=Shop().deps,
        ),
        catalog.SERVICE.full_name: catalog.CatalogServicer(
            *(catalogs, passthrough, *ways[Peer.RETRIEVER], open_keys),
            prices=RequestPrices(),
            retriever=RetrieverClient(*ways[Peer.RETRIEVER]),
        ),
        events.SERVICE.full_name: events.UserEventServicer(catalogs, passthrough, open_keys),
        inspection.SERVICE.full_name: inspection.InspectionServicer(
            catalogs, passthrough, RequestPrices()
        ),
        watches.SERVICE.full_name: watches.WatchProxyServicer(
            catalogs, passthrough, *ways[Peer.RETRIEVER], prices=RequestPrices()
        ),
        webhooks.SERVICE.full_name: webhooks.WebhookServicer(passthrough),
    }


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


def peers_method(route: PublicRoute) -> MethodDescriptor:
    service, _, name = route.path.partition("/")
    return Default().FindServiceByName(service).methods_by_name[name]


def shape(message: Descriptor) -> Any:
    """Return the wire form of a message: its fields, and those of the messages in them."""
    return {item.number: field_shape(item) for item in message.fields}


def field_shape(item: FieldDescriptor) -> Any:
    inner = item.message_type
    if inner is not None:
        inner = inner.full_name if ".common." in inner.full_name else shape(inner)
    values = (
        [(value.name, value.number) for value in item.enum_type.values] if item.enum_type else ()
    )
    oneof = item.containing_oneof.name if item.containing_oneof else ""
    return item.name, item.type, item.is_repeated, inner, values, oneof


def test_every_public_call_is_routed_or_answered_here(channels):
    for full_name, servicer in served(channels).items():
        names = set(SERVICES[full_name].methods_by_name)
        assert names == ROUTES[full_name].keys() | HERE[full_name]
        assert all(callable(getattr(servicer, name)) for name in names)


@pytest.mark.parametrize(("method", "route"), ROUTED, ids=str_of)
def test_a_routed_call_is_the_same_on_the_wire(method, route):
    theirs = peers_method(route)
    assert shape(method.input_type) == shape(theirs.input_type)
    assert shape(method.output_type) == shape(theirs.output_type)


@pytest.mark.parametrize(("method", "route"), ROUTED, ids=str_of)
async def test_a_routed_call_goes_to_its_peer_as_it_came(method, route, channels):
    servicer = served(channels)[method.containing_service.full_name]
    request = request_of(method, request_id="once")

    answer = await getattr(servicer, method.name)(request, None)

    assert answer == GetMessageClass(method.output_type)()
    if method.name not in NAMES:
        request.catalog_id = "default"
    path, content = channels[route.peer].sent[-1]
    assert (path, content) == (f"/{route.path}", request.SerializeToString())


@pytest.mark.parametrize(
    ("method", "route"), [pair for pair in ROUTED if pair[0].name not in NAMES], ids=str_of
)
async def test_a_call_for_another_catalog_goes_nowhere(method, route, channels):
    servicer = served(channels)[method.containing_service.full_name]
    with pytest.raises(NotFound) as caught:
        await getattr(servicer, method.name)(request_of(method, catalog_id="x"), None)

    assert caught.value.reason == "CATALOG_NOT_FOUND"
    assert not any(channel.sent for channel in channels.values())


@pytest.mark.parametrize("service", SERVICES)
def test_each_list_of_a_public_request_says_how_long_it_may_be(service):
    bare = [
        f"{method.name}.{item.name}"
        for method in SERVICES[service].methods
        for item in lists(method)
        if not item.GetOptions().Extensions[max_items]
    ]
    assert not bare


LISTS = [pair for pair in ROUTED if "next_page_token" in pair[0].output_type.fields_by_name]


async def test_an_erasure_leaves_nothing_of_the_shopper_in_this_gateway(channels):
    servicer = served(channels)[admin.SERVICE.full_name]
    servicer._history_reads.note("shop", "default", "u1")
    request = privacy_service_pb2.EraseUserRequest(shopper=event_pb2.Shopper(user_id="u1"))
    await servicer.EraseUser(request, None)
    ((path, _),) = channels[Peer.RANKER].sent
    assert path.endswith("PrivacyService/EraseUser")
    assert len(servicer._history_reads._seen) == 0


@pytest.mark.parametrize(("method", "route"), LISTS, ids=str_of)
async def test_a_lists_token_is_signed_for_its_call_and_catalog(method, route, channels):
    servicer = served(channels)[method.containing_service.full_name]
    channels[route.peer].content = GetMessageClass(method.output_type)(
        next_page_token="theirs"
    ).SerializeToString()
    call = getattr(servicer, method.name)

    first = await call(request_of(method), None)
    assert "theirs" not in first.next_page_token
    await call(request_of(method, page_token=first.next_page_token), None)
    sent = GetMessageClass(method.input_type).FromString(channels[route.peer].sent[-1][1])
    assert sent.page_token == "theirs"

    end = now_micros() + GOOD_MICROS
    others = [open_keys().seal(("list", method.name, "other"), b"theirs", end), "theirs"]
    others.append(open_keys().seal(("list", "ListOthers", "default"), b"theirs", end))
    others.append(open_keys().seal(("list", method.name, "default"), b"theirs", now_micros()))
    for token in others:
        with pytest.raises(PageTokenInvalid):
            await call(request_of(method, page_token=token), None)
    assert len(channels[route.peer].sent) == 2


def test_the_orders_of_a_list_have_the_same_numbers():
    ours = catalog_service_pb2.ListProductsRequest.Order.items()
    assert ours == product_service_pb2.ListProductsRequest.Order.items()
