"""A gateway in this process that has every public call, and answers each with an empty message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from gateway.http import serving
from gateway.http.calls import GatewayCalls
from gateway.http.contract import PublicMethod, public_methods
from gateway.http.settings import HttpSettings
from servicekit.admission.access import OPEN, AccessPolicy
from servicekit.admission.limits import CallLimits
from servicekit.config import ServerSettings
from servicekit.rpc.interceptors import ObservedServer
from servicekit.rpc.local_channel import LocalChannel, LocalServer


class _Every(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    def __init__(self, seen: list[Any]) -> None:
        self._methods = {each.path: each for each in public_methods()}
        self._seen = seen

    def service(self, details: Any) -> Any:
        method = self._methods.get(details.method)
        return None if method is None else self._handler(method)

    def _handler(self, method: PublicMethod) -> Any:
        async def answer(request: Any, _: Any) -> Any:
            self._seen.append(request)
            return method.answer()

        async def stream(request: Any, _: Any) -> AsyncIterator[Any]:
            self._seen.append(request)
            yield method.answer()

        coders = (method.request.FromString, method.answer.SerializeToString)
        if method.streams:
            return grpc.unary_stream_rpc_method_handler(stream, *coders)
        return grpc.unary_unary_rpc_method_handler(answer, *coders)


def face(
    seen: list[Any] | None = None, access: AccessPolicy = OPEN, **settings: Any
) -> tuple[Any, LocalChannel]:
    """Return the HTTP face of such a gateway, and the channel to it. `seen`: takes the requests
    that its calls got."""
    server = LocalServer()
    limits = CallLimits("gateway", ServerSettings())
    observed = ObservedServer(server, "gateway", access, limits=limits)  # type: ignore[arg-type]
    observed.add_generic_rpc_handlers([_Every([] if seen is None else seen)])
    channel: Any = LocalChannel(lambda: server)
    return serving.app(HttpSettings(**settings), GatewayCalls(channel, lambda: channel)), channel
