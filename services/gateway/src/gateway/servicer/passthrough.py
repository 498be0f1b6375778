"""Calls that are passed on as they came: a peer's calls under the public contract.

The public messages are the peer's own or, field by field, the same on the wire (a test compares
them), so nothing is translated: what a peer answers goes to the caller.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from gateway.clients.calls import Caller
from gateway.servicer.requests import Context, admit

Call = Callable[[Any], Awaitable[Any]]


class Passthrough:
    """The way to one peer."""

    def __init__(self, catalogs: Sequence[str], channel: grpc.aio.Channel, caller: Caller) -> None:
        self._catalogs = catalogs
        self._channel = channel
        self._caller = caller

    def call(self, public: ServiceDescriptor, name: str, path: str) -> Call:
        """A peer's call, "package.Service/Method", by the messages of the public one of that name.

        It refuses requests for no catalog of ours; raises ServiceError.
        """
        method = public.methods_by_name[name]
        peers = self._channel.unary_unary(
            f"/{path}",
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )

        async def call(request: Any) -> Any:
            request.catalog_id = admit(request, self._catalogs)
            return await self._caller.call(peers, request)

        return call

    def add(self, servicer: object, public: ServiceDescriptor, service: str, *names: str) -> None:
        """Give a servicer methods that pass on to those of the same name of a peer's service."""
        for name in names:
            call = self.call(public, name, f"{service}/{name}")

            async def method(request: Any, _: Context, call: Call = call) -> Any:
                return await call(request)

            setattr(servicer, name, method)
