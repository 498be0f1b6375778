"""What happens around every call: request id, deadline, trace, metrics, logs and typed errors."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from opentelemetry import context as otel_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from servicekit import deadlines, telemetry
from servicekit.errors import Code, Internal, InvalidArgument, ServiceError, Unimplemented
from servicekit.status import DETAILS_KEY, to_status

REQUEST_ID_KEY = "x-request-id"

_PROPAGATOR = TraceContextTextMapPropagator()
_QUIET = ("/grpc.health.v1.Health/", "/grpc.reflection.")
"""Calls that are logged at debug only: probes make them all the time."""
_OUR_FAULT = frozenset({Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS})


class RequestMalformed(InvalidArgument):
    """The bytes of a request are not a message of its type."""

    def __init__(self) -> None:
        super().__init__(
            "the request is not a message of this call's type: generate the client from the protos",
            reason="REQUEST_MALFORMED",
        )


class ServerInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """The one interceptor of a server, for unary and streaming calls.

    Reads `x-request-id`, `traceparent` and the deadline into the context of the call, and sends
    `x-request-id` back in the trailers. A ServiceError becomes its status with details. Any other
    exception becomes INTERNAL without a word of its text. Counts and logs the call.
    """

    def __init__(self, service: str) -> None:
        self._service = service

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """The handler of the call with ours around it; None stays None (no such method)."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        if handler.request_streaming and handler.response_streaming:
            name, make = "stream_stream", grpc.stream_stream_rpc_method_handler
        elif handler.response_streaming:
            name, make = "unary_stream", grpc.unary_stream_rpc_method_handler
        elif handler.request_streaming:
            name, make = "stream_unary", grpc.stream_unary_rpc_method_handler
        else:
            name, make = "unary_unary", grpc.unary_unary_rpc_method_handler
        inner = getattr(handler, name)
        wrap = self._wrap_stream if inspect.isasyncgenfunction(inner) else self._wrap_call
        return make(
            wrap(method, inner),
            _tolerant(handler.request_deserializer),
            handler.response_serializer,
        )

    def _wrap_call(
        self, method: str, inner: Callable[[Any, Any], Awaitable[Any]]
    ) -> Callable[[Any, Any], Awaitable[Any]]:
        async def call(request: Any, context: Any) -> Any:
            observed = _Observed(self._service, method, context)
            try:
                answer = await inner(_well_formed(request), context)
            except BaseException as error:
                await observed.fail(error)
                raise
            observed.end(_own_code(context))
            return answer

        return call

    def _wrap_stream(
        self, method: str, inner: Callable[[Any, Any], AsyncIterator[Any]]
    ) -> Callable[[Any, Any], AsyncIterator[Any]]:
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            observed = _Observed(self._service, method, context)
            try:
                async for answer in inner(_well_formed(request), context):
                    yield answer
            except BaseException as error:
                await observed.fail(error)
                raise
            observed.end(_own_code(context))

        return call


_MALFORMED = object()
"""Stands for a request that can't be read."""


def _tolerant(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """`deserialize`, but what it can't read passes: grpc would answer UNKNOWN, and unlogged."""
    if deserialize is None:
        return None

    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except Exception:  # DecodeError, but also UnicodeDecodeError and RecursionError
            return _MALFORMED

    return read


def _well_formed(request: Any) -> Any:
    """The request, or the stream of them; raises RequestMalformed at what could not be read."""
    if request is _MALFORMED:
        raise RequestMalformed
    return _each_well_formed(request) if hasattr(request, "__aiter__") else request


async def _each_well_formed(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _well_formed(request)


class _Observed:
    """One call from its arrival to its end. Runs in the call's own task, and so in its context."""

    def __init__(self, service: str, method: str, context: Any) -> None:
        self._service, self._method, self._context = service, method, context
        self._start = time.perf_counter()
        carrier = {
            key: value
            for key, value in context.invocation_metadata() or ()
            if isinstance(value, str)
        }
        telemetry.request_id.set(telemetry.accept_request_id(carrier.get(REQUEST_ID_KEY)))
        telemetry.service_name.set(service)
        deadlines.start(context.time_remaining())
        otel_context.attach(_PROPAGATOR.extract(carrier))
        context.set_trailing_metadata(_trailer())

    def end(self, code: Code, error: BaseException | None = None) -> None:
        """Count and log the call."""
        seconds = time.perf_counter() - self._start
        # Anew: the message itself may have brought an id.
        self._context.set_trailing_metadata(_trailer())
        method = self._method.lstrip("/")
        telemetry.RPC_SECONDS.labels(self._service, method, str(code)).observe(seconds)
        log = telemetry.get_logger()
        write = log.info
        if code in _OUR_FAULT:
            write = log.error
        elif self._method.startswith(_QUIET):
            write = log.debug
        fields: dict[str, Any] = {"method": method, "code": str(code)}
        fields["ms"] = round(seconds * 1000, 2)
        if isinstance(error, ServiceError):
            fields["reason"] = error.reason
        if code in _OUR_FAULT and error is not None:
            fields["exc_info"] = error
        write("call", **fields)

    async def fail(self, error: BaseException) -> None:
        """Tell the caller what `error` means; returns when it has to pass as it is."""
        if isinstance(error, grpc.aio.AbortError):
            self.end(_own_code(self._context))
            return
        if isinstance(error, asyncio.CancelledError) and _is_ours(asyncio.current_task()):
            left = deadlines.remaining()
            late = left is not None and left < 0.05  # the caller cancels a little early
            self.end(Code.DEADLINE_EXCEEDED if late else Code.CANCELLED)
            return
        if not isinstance(error, Exception | asyncio.CancelledError):
            return
        told = _told(error)
        self.end(told.code, error)
        status = to_status(told)
        await self._context.abort(
            getattr(grpc.StatusCode, told.code),
            status.message,
            (*_trailer(), (DETAILS_KEY, status.SerializeToString())),
        )


def _trailer() -> tuple[tuple[str, str]]:
    """What goes back with every answer: the id under which logs speak of the call."""
    return ((REQUEST_ID_KEY, telemetry.request_id.get()),)


def _told(error: BaseException) -> ServiceError:
    """What the caller is told of `error`."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, NotImplementedError):
        return Unimplemented("this server has no such call", reason="UNIMPLEMENTED")
    return Internal(
        "internal error; quote the request id when you report it",
        reason="INTERNAL",
        metadata={"request_id": telemetry.request_id.get()},
    )


def _is_ours(task: asyncio.Task[Any] | None) -> bool:
    """Whether the call itself was cancelled, and not only something that it waited for.

    grpc.aio leaves the caller waiting when a CancelledError of another origin leaves a handler.
    """
    return task is None or task.cancelling() > 0


def _own_code(context: Any) -> Code:
    """The code that a handler set or aborted with; OK when it set none."""
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return Code(code.name)
    for candidate in grpc.StatusCode:
        if candidate.value[0] == code:
            return Code(candidate.name)
    return Code.OK


def outgoing_metadata() -> dict[str, str]:
    """Request id and trace context of the current call, for a peer."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    if current := telemetry.request_id.get():
        carrier[REQUEST_ID_KEY] = current
    return carrier


def _with_context(details: Any) -> Any:
    added = outgoing_metadata()
    if not added:
        return details
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    for key, value in added.items():
        if key not in metadata:
            metadata.add(key, value)
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )


# grpc.aio files an interceptor under the first kind that it is an instance of: four classes.


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(_with_context(details), request)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]
    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(_with_context(details), request)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):  # type: ignore[type-arg]
    async def intercept_stream_unary(self, continuation: Any, details: Any, requests: Any) -> Any:
        return await continuation(_with_context(details), requests)


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):  # type: ignore[type-arg]
    async def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return await continuation(_with_context(details), requests)


def client_interceptors() -> list[Any]:
    """Interceptors that pass request id and trace context of the current call on to a peer."""
    return [_UnaryUnary(), _UnaryStream(), _StreamUnary(), _StreamStream()]
