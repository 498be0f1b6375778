"""Stubs of the services behind the gateway, with the public calls that they answer."""

from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from servicekit.admission.access import PeerName
from servicekit.rpc import owned


class _Calls:
    """Public calls alone."""

    def __init__(self, channel: grpc.aio.Channel | grpc.Channel) -> None:
        pass


def peer_stub(peer: str, channel: grpc.aio.Channel | grpc.Channel, kind: type[Any] = _Calls) -> Any:
    """Return a stub of this kind that also makes the public calls that a peer answers."""
    made = kind(channel)
    for method in owned.methods_of(PeerName(peer)):
        make = channel.unary_stream if method.server_streaming else channel.unary_unary
        call = make(
            f"/{owned.path_of(method)}",
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        setattr(made, method.name, call)
    return made
