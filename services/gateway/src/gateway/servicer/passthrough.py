"""Calls that are forwarded to their owners, the services that their protos name.

The gateway admits a request, replaces what only it knows (the default catalog, an alias, a signed
page token), and sends it on. Answers are forwarded as bytes unless the gateway reads them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from functools import partial
from types import MappingProxyType
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from gateway.clients.peer_calls import PeerCaller
from gateway.model.causes import Peer
from gateway.model.errors import VisionAbsent
from gateway.model.price import RequestPrice
from gateway.servicer import concealment, declared_prices
from gateway.servicer.list_tokens import ListTokens
from gateway.servicer.requests import admit
from gateway.state.prices import RequestPrices
from servicekit.admission import access
from servicekit.errors import ServiceError
from servicekit.keys.keyring import SigningKeys
from servicekit.rpc import owned
from servicekit.rpc.server import Binding, Context

Call = Callable[[Any], Awaitable[Any]]
Connection = tuple[grpc.aio.Channel, PeerCaller]
Around = Callable[[Call], Call]
"""Wraps a forwarded call, which gets admitted requests."""
OPTIONAL: Mapping[Peer, type[ServiceError]] = MappingProxyType({Peer.VISION: VisionAbsent})
"""Services that an installation may lack, with the error of their calls then."""
NOTHING: Mapping[str, Around] = MappingProxyType({})


def priced(prices: RequestPrices, price_of: Callable[[Any, int], RequestPrice], call: Call) -> Call:
    """Return a call that is charged to its caller. `price_of`: the price of a request on a catalog
    with a number of products."""

    async def charged(request: Any) -> Any:
        price = price_of(request, prices.products(request.catalog_id))
        async with prices.charged(price, request.catalog_id):
            return await call(request)

    return charged


class Passthrough:
    """Calls forwarded to their owners, for the declared catalogs."""

    def __init__(
        self,
        catalogs: Collection[str],
        connections: Mapping[Peer, Connection],
        keys: SigningKeys,
    ) -> None:
        """`keys` sign page tokens."""
        self._catalogs = catalogs
        self._connections = connections
        self._keys = keys

    def serve(
        self,
        public: ServiceDescriptor,
        servicer: Any,
        prices: RequestPrices,
        around: Mapping[str, Around] = NOTHING,
    ) -> Binding:
        """Return the binding of a service: a servicer answers the methods that it has, the owners
        answer all others, at the prices that their protos declare. `around`: what charges another
        forwarded method, by its name."""
        for method in public.methods:
            defined = owned.defines(servicer, method.name)
            if (defined or method.server_streaming) and access.field_roles(method.input_type):
                raise TypeError(f"{method.full_name}: nothing checks the roles of its fields")
            if not defined:
                charging = declared_prices.around(method, prices) or around.get(method.name)
                forwarded = self._method(method, charging)
                if access.rule(owned.path_of(method)).priced != (charging is not None):
                    raise TypeError(f"{method.full_name}: its proto and `around` differ in a price")
                setattr(servicer, method.name, forwarded)
        return Binding.by_name(public, servicer)

    def call(
        self,
        method: MethodDescriptor,
        admitting: Callable[[Any], str] | None = None,
        around: Around | None = None,
        *,
        read: bool = True,
        note: bool = False,
    ) -> Call:
        """Return the forwarded call of a public method, which raises ServiceError.

        `admitting`: returns the catalog of a request; None: it rejects unknown catalogs. `read`:
        whether answers are messages; otherwise they may be bytes. `note`: also store the peer's
        version.
        """
        admitted = admitting or partial(admit, catalogs=self._catalogs)
        lists = "next_page_token" in method.output_type.fields_by_name
        read = read or lists or around is not None or concealment.has_scores(method.output_type)
        if (absent := self._absent(method)) is not None:
            return _refusing(absent, admitted)
        channel, caller = self._connections[_owner(method)]
        passed = channel.unary_unary(*_path(method), **_codecs(method, read=read))
        send: Call = partial(caller.call, passed, note=note)
        send = around(send) if around is not None else send
        tokens = ListTokens(method.name, self._keys)
        restricted = access.field_roles(method.input_type)

        async def call(request: Any) -> Any:
            request.catalog_id = admitted(request)
            for name, roles in restricted.items():
                if request.HasField(name):
                    access.caller.get().check(roles)
            if not lists:
                return await send(request)
            request.page_token = tokens.opened(request)
            answer = await send(request)
            answer.next_page_token = tokens.sealed(request, answer.next_page_token)
            return answer

        return call

    def has(self, peer: Peer) -> bool:
        """Return whether this installation has a service."""
        return peer in self._connections

    def versions(self) -> dict[str, str]:
        """Return the version that each peer last reported with its status; empty if unknown."""
        return {peer.value: caller.version for peer, (_, caller) in self._connections.items()}

    def _absent(self, method: MethodDescriptor) -> ServiceError | None:
        """Return the error of calls whose owner this installation lacks."""
        owner = _owner(method)
        if owner in self._connections or owner not in OPTIONAL:
            return None
        return OPTIONAL[owner]()

    def _method(self, method: MethodDescriptor, around: Around | None) -> Any:
        if method.server_streaming:
            return self._stream(method)
        call = self.call(method, around=around, read=False)

        async def forwarded(request: Any, _: Context) -> Any:
            return await call(request)

        return forwarded

    def _stream(self, method: MethodDescriptor) -> Any:
        if (absent := self._absent(method)) is not None:
            return _refusing_stream(absent, self._catalogs)
        channel, caller = self._connections[_owner(method)]
        passed = channel.unary_stream(*_path(method), **_codecs(method, read=False))

        async def forwarded(request: Any, _: Context) -> AsyncIterator[bytes]:
            request.catalog_id = admit(request, self._catalogs)
            async with aclosing(caller.stream(passed, request)) as answers:
                async for answer in answers:
                    yield answer

        return forwarded


def _refusing(error: ServiceError, admitted: Callable[[Any], str]) -> Call:
    """Return a call that fails, for nothing."""

    async def refused(request: Any) -> Any:
        admitted(request)
        raise error

    return refused


def _refusing_stream(error: ServiceError, catalogs: Collection[str]) -> Any:
    """Return a streaming call that fails."""

    async def refused(request: Any, _: Context) -> AsyncIterator[bytes]:
        admit(request, catalogs)
        raise error
        yield b""

    return refused


def _owner(method: MethodDescriptor) -> Peer:
    """Return the owner of a method. Raises TypeError if it is the gateway, which lacks it."""
    owner = access.rule(owned.path_of(method)).owner
    peers = {peer.value: peer for peer in Peer}
    if owner is None or owner.value not in peers:
        raise TypeError(
            f"{method.full_name}: no servicer of the gateway has it, and no peer owns it"
        )
    return peers[owner.value]


def _path(method: MethodDescriptor) -> tuple[str]:
    return (f"/{owned.path_of(method)}",)


def _codecs(method: MethodDescriptor, *, read: bool) -> dict[str, Any]:
    request, answer = map(GetMessageClass, (method.input_type, method.output_type))
    return {
        "request_serializer": request.SerializeToString,
        "response_deserializer": answer.FromString if read else None,
    }
