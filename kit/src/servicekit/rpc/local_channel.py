"""Calls between services in one process: a channel that calls the servicer in the same event loop.

A call passes the same checks as one over the network, because the handlers are those of
`interceptors.ObservedServer`: deadline, caller, catalog, limits, errors, metadata and traces. It
has a task and a context of its own. Messages cross as bytes, so that neither side can change what
the other one keeps; that takes microseconds.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import grpc

from servicekit.config import LOCAL

Metadata = Sequence[tuple[str, str | bytes]]
_SERIALIZERS = ("request_serializer", "response_deserializer")
_OK = grpc.StatusCode.OK
_END = grpc.aio.EOF  # type: ignore[attr-defined]


class LocalServer:
    """The methods of a service that this process serves; see `grpc.aio.Server`."""

    def __init__(self) -> None:
        self._handlers: list[grpc.GenericRpcHandler[Any, Any]] = []
        self._calls: set[asyncio.Task[Any]] = set()
        """The calls in progress."""
        self.ended = False
        """True if its calls are cancelled by the server."""

    def add_generic_rpc_handlers(
        self, handlers: Sequence[grpc.GenericRpcHandler[Any, Any]]
    ) -> None:
        self._handlers += handlers

    def add_registered_method_handlers(self, name: str, handlers: Mapping[str, Any]) -> None:
        """Do nothing: generated code adds the same methods as generic handlers."""

    def handler(self, method: str, metadata: Metadata) -> Any:
        """Return the handler of a method; None if there is no such method."""
        details = _Details(method, metadata)
        found = (each.service(details) for each in self._handlers)  # type: ignore[arg-type]
        return next((one for one in found if one is not None), None)

    def follow(self, call: asyncio.Task[Any]) -> None:
        """Note a call that begins."""
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def end(self) -> None:
        """Cancel the calls in progress, whose callers get UNAVAILABLE, and wait until they have
        ended."""
        self.ended = True
        calls = set(self._calls)
        for call in calls:
            _cancel_soon(call)
        if calls:
            await asyncio.wait(calls)


@dataclass(frozen=True, slots=True)
class _Details:
    """See grpc.HandlerCallDetails."""

    method: str
    invocation_metadata: Metadata


class LocalChannel:
    """A channel to a server of this process; see `grpc.aio.Channel`."""

    def __init__(self, server: Callable[[], LocalServer | None]) -> None:
        """`server` returns the server; None before its start and after its end."""
        self._server = server

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Do nothing: there is no connection."""

    def get_state(self) -> grpc.ChannelConnectivity:
        """Return whether the server serves."""
        served = self._server() is not None
        states = grpc.ChannelConnectivity
        return states.READY if served else states.TRANSIENT_FAILURE

    def unary_unary(self, method: str, *serializers: Any, **options: Any) -> Callable[..., Any]:
        return self._calls(method, _UnaryCall, serializers, options)

    def unary_stream(self, method: str, *serializers: Any, **options: Any) -> Callable[..., Any]:
        return self._calls(method, _StreamCall, serializers, options)

    def stream_unary(self, method: str, *serializers: Any, **options: Any) -> Callable[..., Any]:
        return self._calls(method, _UnaryCall, serializers, options)

    def stream_stream(self, method: str, *serializers: Any, **options: Any) -> Callable[..., Any]:
        return self._calls(method, _StreamCall, serializers, options)

    def _calls(
        self, method: str, kind: type[_Call], given: Sequence[Any], options: Mapping[str, Any]
    ) -> Callable[..., Any]:
        serializers = dict(zip(_SERIALIZERS, given, strict=False)) | {
            name: value for name, value in options.items() if name.endswith("serializer")
        }
        write = serializers.get("request_serializer") or bytes
        read = serializers.get("response_deserializer") or bytes

        def call(
            request: Any,
            *,
            timeout: float | None = None,
            metadata: Metadata | None = None,
            **_: object,
        ) -> _Call:
            context = _Context(_messages(request, write), tuple(metadata or ()), timeout)
            return kind(self._server(), method, context, read)

        return call


async def _messages(request: Any, write: Callable[[Any], bytes]) -> AsyncIterator[bytes]:
    """Yield the bytes of a request, or of each message of a stream."""
    if hasattr(request, "__aiter__"):
        async for each in request:
            yield write(each)
    elif hasattr(request, "SerializeToString") or isinstance(request, bytes):
        yield write(request)
    else:
        for each in request:
            yield write(each)


class _Context:
    """The context of a call, as its handler sees it; see `grpc.aio.ServicerContext`."""

    def __init__(
        self, requests: AsyncIterator[bytes], metadata: Metadata, timeout: float | None
    ) -> None:
        self._requests, self._metadata = requests, metadata
        self._end = None if timeout is None else time.monotonic() + timeout
        self._code: grpc.StatusCode | None = None
        self._details = ""
        self.trailing: Metadata = ()
        self.initial: asyncio.Future[Metadata] = asyncio.get_running_loop().create_future()
        self.answers: asyncio.Queue[bytes] = asyncio.Queue(1)
        """Answers of a stream that were not read yet."""
        self.serialize: Callable[[Any], bytes] = bytes
        """Makes bytes of an answer of a stream."""
        self._callbacks: list[Callable[[Any], None]] = []

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    def time_remaining(self) -> float | None:
        return None if self._end is None else max(self._end - time.monotonic(), 0.0)

    def peer(self) -> str:
        return LOCAL

    def auth_context(self) -> Mapping[str, Any]:
        return {}

    async def read(self) -> Any:
        return await anext(self._requests, _END)

    async def write(self, message: Any) -> None:
        await self.answers.put(self.serialize(message))

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        self.initial.set_result(tuple(metadata))

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        self.trailing = tuple(metadata)

    def trailing_metadata(self) -> Metadata:
        return self.trailing

    def set_code(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode | None:
        return self._code

    def set_details(self, details: str) -> None:
        self._details = details

    def details(self) -> str:
        return self._details

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()
    ) -> None:
        self._code, self._details = code, details
        if trailing_metadata:
            self.trailing = tuple(trailing_metadata)
        raise grpc.aio.AbortError

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)

    def done(self) -> None:
        """Tell those who wait for the end of the call."""
        self._requests = _messages((), bytes)  # an error that is held holds the call
        if not self.initial.done():
            self.initial.set_result(())
        for callback in self._callbacks:
            callback(self)


class _Call:
    """A call, as its caller sees it; see `grpc.aio.Call`."""

    def __init__(
        self,
        server: LocalServer | None,
        method: str,
        context: _Context,
        read: Callable[[bytes], Any],
    ) -> None:
        self._context, self._read = context, read
        self._expired = False
        work = self._work(server, method)
        # A context of its own: what the handler sets must not reach the caller, nor the reverse.
        self._task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        if server is not None:
            server.follow(self._task)
        self._timer: asyncio.TimerHandle | None = None
        if (left := context.time_remaining()) is not None:
            self._timer = asyncio.get_running_loop().call_later(left, self._expire)
        self._task.add_done_callback(self._ended)

    async def _work(self, server: LocalServer | None, method: str) -> Any:
        """Run the handler. Return its answer, as bytes, or raise AioRpcError."""
        if server is None:
            raise self._error(grpc.StatusCode.UNAVAILABLE, "the service is not running")
        handler = server.handler(method, self._context.invocation_metadata())
        if handler is None:
            raise self._error(grpc.StatusCode.UNIMPLEMENTED, "there is no such method")
        try:
            return await self._handled(handler)
        except grpc.aio.AbortError:
            code = self._context.code() or grpc.StatusCode.UNKNOWN
            raise self._error(code, self._context.details()) from None
        except asyncio.CancelledError:
            if self._expired:
                code = grpc.StatusCode.DEADLINE_EXCEEDED
                raise self._error(code, "Deadline Exceeded") from None
            if server.ended:
                raise self._error(grpc.StatusCode.UNAVAILABLE, "the service ends") from None
            raise
        except Exception:  # as gRPC: its text stays here
            raise self._error(grpc.StatusCode.UNKNOWN, "the handler raised") from None

    async def _handled(self, handler: Any) -> Any:
        raise NotImplementedError

    def _error(self, code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
        metadata = grpc.aio.Metadata(*self._context.trailing)
        return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details, None)

    def _expire(self) -> None:
        self._expired = True
        _cancel_soon(self._task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not task.cancelled():
            task.exception()  # read, so that asyncio does not complain of a call nobody awaited
        self._context.done()

    def cancel(self) -> bool:
        return self._task.cancel()

    def cancelled(self) -> bool:
        return self._task.cancelled()

    def done(self) -> bool:
        return self._task.done()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._task.add_done_callback(lambda _: callback(self))

    def time_remaining(self) -> float | None:
        return self._context.time_remaining()

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """Return what the handler sent before its answer, once it did or has ended."""
        return grpc.aio.Metadata(*await asyncio.shield(self._context.initial))

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        await asyncio.wait({self._task})
        return grpc.aio.Metadata(*self._context.trailing)

    async def code(self) -> grpc.StatusCode:
        await asyncio.wait({self._task})
        if self._task.cancelled():
            return grpc.StatusCode.CANCELLED
        error = self._task.exception()
        if isinstance(error, grpc.aio.AioRpcError):
            return error.code()
        return self._context.code() or _OK

    async def details(self) -> str:
        await asyncio.wait({self._task})
        error = None if self._task.cancelled() else self._task.exception()
        return (error.details() or "") if isinstance(error, grpc.aio.AioRpcError) else ""


def _cancel_soon(call: asyncio.Task[Any]) -> None:
    """Cancel a call after its task's first step, which uvloop runs later than timers: a task that
    is cancelled before it can't say why."""
    asyncio.get_running_loop().call_soon(call.cancel)


class _UnaryCall(_Call):
    """A call with one answer."""

    async def _handled(self, handler: Any) -> Any:
        return self._read(await handler.stream_unary(None, self._context))

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            return (yield from self._task.__await__())
        except asyncio.CancelledError:
            self._task.cancel()  # of a caller that left, or by `cancel`
            raise


class _StreamCall(_Call):
    """A call with a stream of answers."""

    async def _handled(self, handler: Any) -> Any:
        self._context.serialize = handler.response_serializer or bytes
        await handler.stream_stream(None, self._context)

    async def read(self) -> Any:
        """Return the next answer; EOF after the last one. Raise AioRpcError."""
        answers = self._context.answers
        if answers.empty() and not self._task.done():
            waiting = asyncio.ensure_future(answers.get())
            try:
                await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
                if waiting.done():
                    return self._read(waiting.result())
            finally:
                waiting.cancel()
        if not answers.empty():
            return self._read(answers.get_nowait())
        await self._task
        return _END

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (answer := await self.read()) is not _END:
            yield answer
