"""A gRPC service without a proto: takes and gives bytes, and fails on request."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import grpc

from servicekit import deadlines
from servicekit.admission.access import FOR, PEER, Caller, PeerUnknown
from servicekit.errors import FieldViolation, InvalidArgument
from servicekit.rpc.server import Binding

NAME = "test.Echo"
PERSONAL = "customer 4711 lives at 12 Rue Cachée"


@dataclass(frozen=True)
class OneKey:
    """Admits calls with a key to every method, under the name of the original caller."""

    key: str

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:
        if metadata.get("authorization") != f"Bearer {self.key}":
            raise PeerUnknown
        return replace(PEER, name=unquote(metadata[FOR])) if FOR in metadata else PEER


class Echo:
    """Echo servicer; `b"bad"`, `b"boom"`, `b"stray"`, `b"wait"` and others misbehave."""

    def __init__(self, peek: Callable[[], Awaitable[bytes]] | None = None) -> None:
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cancelled = asyncio.Event()
        self._peek = peek

    async def _answer(self, request: bytes) -> bytes:
        match request:
            case b"bad":
                raise InvalidArgument(
                    "the colour is unknown",
                    reason="COLOUR_UNKNOWN",
                    violations=[FieldViolation("item.colour", "must be red or white")],
                )
            case b"boom":
                raise ValueError(PERSONAL)
            case b"stray":
                lost = asyncio.ensure_future(asyncio.sleep(60))
                lost.cancel()
                await lost
            case b"todo":
                raise NotImplementedError(PERSONAL)
            case b"time":
                return repr(deadlines.remaining()).encode()
            case b"peek" if self._peek:
                return await self._peek()
            case b"wait":
                self.started.set()
                try:
                    await self.go_on.wait()
                except asyncio.CancelledError:
                    self.cancelled.set()
                    raise
        return request

    async def unary(self, request: bytes, context: Any) -> bytes:
        if request == b"abort":
            await context.abort(grpc.StatusCode.DATA_LOSS, "by hand")
        return await self._answer(request)

    async def unary_stream(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        yield await self._answer(request)

    async def writer(self, request: bytes, context: Any) -> None:
        """Stream by a coroutine that writes, the other form of streaming."""
        await context.write(b"first")
        await context.write(await self._answer(request))

    async def stream_unary(self, requests: AsyncIterator[bytes], _context: Any) -> bytes:
        return b",".join([await self._answer(request) async for request in requests])

    async def stream_stream(
        self, requests: AsyncIterator[bytes], _context: Any
    ) -> AsyncIterator[bytes]:
        async for request in requests:
            yield await self._answer(request)


def binding(servicer: Echo) -> Binding:
    """Return the binding of `servicer` as the service `test.Echo`."""
    return Binding(_add, servicer, NAME)


def acting(servicer: Echo, service: str, *methods: str) -> Binding:
    """Return the binding of `servicer` in place of a proto's service, with these unary methods."""

    def add(_servicer: Echo, server: grpc.aio.Server) -> None:
        handler = grpc.unary_unary_rpc_method_handler(servicer.unary, _read)
        handlers = dict.fromkeys(methods, handler)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))

    return Binding(add, servicer, service)


def _read(data: bytes) -> bytes:
    if data == b"garbled":
        raise ValueError(PERSONAL)
    return data


def _add(servicer: Echo, server: grpc.aio.Server) -> None:
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(servicer.unary, _read),
        "UnaryStream": grpc.unary_stream_rpc_method_handler(servicer.unary_stream, _read),
        "Writer": grpc.unary_stream_rpc_method_handler(servicer.writer, _read),
        "StreamUnary": grpc.stream_unary_rpc_method_handler(servicer.stream_unary, _read),
        "StreamStream": grpc.stream_stream_rpc_method_handler(servicer.stream_stream, _read),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))
