"""Unary calls that run in the task that awaits them.

grpc.aio runs each in a task of its own, keeps it in a set, copies its metadata twice and asks for
plugins of observability: with those, a call takes a hundred Python and C calls more. Only this
module knows what is private in grpc.aio (grpcio 1.85.1): `test_unary_calls` compares both.
"""

import asyncio
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

import grpc

_CODES: Mapping[int, grpc.StatusCode] = {each.value[0]: each for each in grpc.StatusCode}


def unary(method: Any) -> Callable[..., "UnaryCall"]:
    """Return a method that makes the calls of `method`, a unary one of a grpc.aio channel."""
    begin, name = method._channel.call, method._method
    write, read = method._request_serializer or bytes, method._response_deserializer or bytes

    def call(
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] = (),
        wait_for_ready: bool | None = None,
    ) -> UnaryCall:
        deadline = None if timeout is None else time.time() + timeout
        begun = begin(name, deadline, None, wait_for_ready, 0)
        return UnaryCall(begun, write(request), tuple(metadata), read)

    return call


class UnaryCall:
    """A call to a peer, which is sent once it is awaited."""

    __slots__ = ("_begun", "_metadata", "_read", "_request")

    def __init__(
        self, begun: Any, request: bytes, metadata: tuple[Any, ...], read: Callable[[bytes], Any]
    ) -> None:
        self._begun, self._request, self._metadata, self._read = begun, request, metadata, read

    def __await__(self) -> Generator[Any, None, Any]:
        return self._answer().__await__()

    async def _answer(self) -> Any:
        """Return the answer. Raises AioRpcError."""
        begun = self._begun
        try:
            data = await begun.unary_unary(self._request, self._metadata, None)
        except asyncio.CancelledError:
            self.cancel()
            raise
        if begun.is_ok():
            return self._read(data)
        if begun.is_locally_cancelled():
            raise asyncio.CancelledError
        status = await begun.status()
        raise grpc.aio.AioRpcError(
            _CODES[status.code()],
            grpc.aio.Metadata(*await begun.initial_metadata()),
            grpc.aio.Metadata(*(status.trailing_metadata() or ())),
            status.details(),
            status.debug_error_string(),
        )

    def cancel(self) -> None:
        """End the call, unless it has ended."""
        if not self._begun.done():
            self._begun.cancel("the caller cancelled the call")

    async def code(self) -> grpc.StatusCode:
        """Return the code once the call has ended."""
        return _CODES[(await self._begun.status()).code()]

    async def trailing_metadata(self) -> Mapping[str, str | bytes]:
        """Return the trailers once the call has ended."""
        return dict((await self._begun.status()).trailing_metadata() or ())
