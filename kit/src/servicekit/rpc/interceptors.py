"""What happens around every call: request id, deadline, trace, metrics, logs and typed errors."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from importlib.metadata import version
from typing import Any

import grpc
from prometheus_client import Histogram

from servicekit import deadlines, telemetry, tracing
from servicekit.admission import access, costs, shoppers
from servicekit.admission.access import AccessPolicy, about
from servicekit.admission.entry_limits import RequestMalformed
from servicekit.admission.limits import CallAdmission, CallLimits, RequestTooLarge, descriptor
from servicekit.audit.entries import Audit
from servicekit.config import ServerSettings
from servicekit.errors import (
    Code,
    Internal,
    InvalidArgument,
    PermissionDenied,
    Refusal,
    ServiceError,
    Unauthenticated,
    Unimplemented,
)
from servicekit.status import DETAILS_KEY, to_status

REQUEST_ID_KEY = "x-request-id"
VERSION_KEY = "x-sightline-version"
_SHOWN = (VERSION_KEY, version("sightline-kit"))
"""Trailer with the version of this process; all packages of a release share it."""

_OTHERS = ("source_catalog_id", "target_catalog_id")
"""Fields with another catalog than the request's own, which the caller must be permitted to use."""
_QUIET = ("grpc.health.v1.Health/", "grpc.reflection.")
"""Calls of probes, which need no token and are logged at debug only."""
_POLLS = frozenset({"sightline.common.v1.CatalogListService/ReadCatalogList"})
"""Calls that services repeat every few seconds: at debug only while they succeed."""
_OUR_FAULT = frozenset({Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS})
_log = telemetry.get_logger()


class ObservedServer:
    """A server that wraps the handlers, unary and streaming, that are added to it.

    Reads `x-request-id`, `traceparent` and the deadline into the context of the call, and sends
    `x-request-id` back in the trailers, and, to admitted callers, its version. A ServiceError
    becomes its status with details. Any other exception becomes INTERNAL without its text. Counts
    and logs the call.

    An interceptor of grpc.aio would do the same, but it looks up the handler anew for each call,
    which takes a tenth of an empty call's time (grpcio 1.85.1, 2026-11).
    """

    def __init__(
        self,
        server: grpc.aio.Server,
        service: str,
        admitting: AccessPolicy = access.OPEN,
        audit: Audit | None = None,
        limits: CallLimits | None = None,
    ) -> None:
        """Pass it to generated `add_…Servicer_to_server` functions in place of `server`."""
        self._server = server
        self._service = service
        self._limits = limits or CallLimits(service, ServerSettings())
        self._access = admitting
        self._audit = audit
        self._handlers = _Handlers(self._wrapped)

    def add_generic_rpc_handlers(
        self, handlers: Sequence[grpc.GenericRpcHandler[Any, Any]]
    ) -> None:
        if not self._handlers.inner:
            self._server.add_generic_rpc_handlers((self._handlers,))
        self._handlers.inner += handlers

    def add_registered_method_handlers(self, name: str, handlers: Mapping[str, Any]) -> None:
        """Do nothing: generated code adds the same methods as generic handlers.

        For each registered method grpc.aio has a task that waits for its next call, and each call
        wakes all of them: with 23 methods a tenth of an empty call's time (grpcio 1.85.1, 2026-11).
        """

    def _wrapped(self, name: str, handler: Any) -> Any:
        audit = self._audit if access.rule(name).audited else None
        return _wrapped(_Method(self._service, name, self._access, audit), self._limits, handler)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    def __init__(self, wrapped: Callable[[str, Any], Any]) -> None:
        self.inner: list[grpc.GenericRpcHandler[Any, Any]] = []
        self._wrapped = wrapped
        self._known: dict[str, Any] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the wrapped handler of a method, made once; None if there is no such method."""
        method = handler_call_details.method
        found = self._known.get(method)
        if found is None:
            each = (inner.service(handler_call_details) for inner in self.inner)
            handler = next((one for one in each if one is not None), None)
            if handler is None:
                return None
            found = self._known[method] = self._wrapped(method.lstrip("/"), handler)
        return found


def _wrapped(method: _Method, limits: CallLimits, handler: Any) -> Any:
    """Wrap a handler.

    Of any kind, the wrapper reads requests itself: gRPC would otherwise read and parse them before
    admission.
    """
    ways = (handler.request_streaming, handler.response_streaming)
    inner = getattr(handler, "_".join("stream" if streams else "unary" for streams in ways))
    entrance = CallAdmission(limits, method.name, handler, _reader(method.name, limits, handler))
    if not handler.response_streaming:
        if handler.request_streaming:
            inner = _serialized(inner, handler.response_serializer)
        return grpc.stream_unary_rpc_method_handler(_Asynchronous(_wrap(method, entrance, inner)))
    if inspect.isasyncgenfunction(inner):
        inner = _written(inner)
    wrapped = _wrap(method, entrance, inner)
    return grpc.stream_stream_rpc_method_handler(wrapped, None, handler.response_serializer)


class _Asynchronous(partial[Any]):
    """A handler that grpc.aio takes for an asynchronous one at its first question, which it asks
    twice a call: whether it is awaitable. Those after it take 13 calls each (grpcio 1.85.1)."""

    def __await__(self) -> Generator[Any, None, None]:
        raise NotImplementedError


def _wrap(
    method: _Method, entrance: CallAdmission, inner: Callable[[Any, Any], Awaitable[Any]]
) -> Callable[[Any, Any], Awaitable[Any]]:
    async def call(_: Any, context: Any) -> Any:
        observed = _Observed(method, context)

        def work(request: Any) -> Awaitable[Any]:
            observed.began = True
            return inner(request, context)

        try:
            observed.admit()
            work_within = entrance.carry(work, context, observed.metadata)
            answer = await costs.Measured(work_within, observed.cost)
        except BaseException as error:
            if isinstance(error, Refusal) and isinstance(error, ServiceError):
                entrance.count(error)
            ended = error if observed.began else await _rejected(error, method, entrance, context)
            try:
                await entrance.delay(ended)
            except asyncio.CancelledError as gone:
                ended = gone
            try:
                await observed.note(ended)
                await observed.fail(ended)
                raise ended
            finally:
                del ended  # its traceback has this frame: what the call held would stay
        if method.audit is not None:
            await observed.note()
        observed.end(_own_code(context))
        return answer

    return call


async def _rejected(
    error: BaseException, method: _Method, entrance: CallAdmission, context: Any
) -> BaseException:
    """Count a call that was not admitted. Return the error for its caller.

    The audit log needs the catalog of a call without permission: it is read, if it was not yet.
    """
    if isinstance(error, Unauthenticated):
        entrance.count(error)
    if isinstance(error, InvalidArgument | RequestTooLarge):
        return entrance.charge_unread(error)
    if not isinstance(error, PermissionDenied):
        return error
    if method.audit is not None and not about.get():
        try:
            await entrance.read_denied(context)
        except asyncio.CancelledError as gone:
            return gone
    return entrance.charge(error, about.get())


def _serialized(
    inner: Callable[[Any, Any], Awaitable[Any]], serialize: Callable[[Any], bytes] | None
) -> Callable[[Any, Any], Awaitable[bytes]]:
    """Make a handler return bytes, which are counted until the caller has read them."""

    async def answer(request: Any, context: Any) -> bytes:
        found = await inner(request, context)
        return serialize(found) if serialize else bytes(found)

    return answer


def _written(
    inner: Callable[[Any, Any], AsyncGenerator[Any, None]],
) -> Callable[[Any, Any], Awaitable[None]]:
    """Turn a generator of answers into a writer: a stream's maximum duration also applies to slow
    readers."""

    async def write(request: Any, context: Any) -> None:
        async with aclosing(inner(request, context)) as answers:
            async for answer in answers:
                await context.write(answer)

    return write


def _reader(name: str, limits: CallLimits, handler: Any) -> Callable[[bytes], Any]:
    """Return a parser of a method's requests.

    It raises RequestMalformed, CatalogForbidden when a catalog that the request names is not
    the caller's, and ShopperForbidden when it names a shopper that the caller may not.
    """
    deserialize, no_alias = handler.request_deserializer, access.rule(name).no_alias
    found = descriptor(name)
    others = [each for each in _OTHERS if found and each in found.input_type.fields_by_name]

    def read(data: bytes) -> Any:
        try:
            request = deserialize(data) if deserialize else data
        except Exception as error:  # DecodeError, but also UnicodeDecodeError and RecursionError
            raise RequestMalformed from error
        catalog, who = limits.resolve(request, no_alias=no_alias), access.caller.get()
        for field in others:
            if not who.may_use(getattr(request, field) or catalog):
                raise access.CatalogForbidden
        if who.shopper is not None:
            shoppers.check(request, who.shopper)
        return request

    return read


class _Method:
    """State shared by all calls of one method."""

    __slots__ = (
        *("_seconds", "access", "audit", "line", "logs_success", "name", "quiet"),
        *("service", "shows_version"),
    )

    def __init__(
        self, service: str, name: str, admitting: AccessPolicy, audit: Audit | None
    ) -> None:
        self.service, self.name, self.audit = service, name, audit
        self.quiet = name.startswith(_QUIET)
        self.logs_success = not self.quiet and name not in _POLLS
        # Health checks are not authenticated, and return nothing else.
        self.access = access.OPEN if self.quiet else admitting
        self.shows_version = self.access is admitting
        self.line = telemetry.CallLine(service, name, Code.OK)
        self._seconds: Histogram | None = None

    def seconds(self, code: Code) -> Histogram:
        """Return the histogram of calls that ended with `code`."""
        if code is not Code.OK:
            return telemetry.RPC_SECONDS.labels(self.service, self.name, str(code))
        if self._seconds is None:  # methods that were never called are not exported
            self._seconds = telemetry.RPC_SECONDS.labels(self.service, self.name, str(code))
        return self._seconds


class _Observed:
    """One call from its arrival to its end. Runs in the call's own task, and so in its context."""

    __slots__ = (
        *("_admitted", "_call", "_context", "_method", "_start"),
        *("began", "cost", "metadata"),
    )

    def __init__(self, method: _Method, context: Any) -> None:
        self._method, self._context = method, context
        self._start = time.perf_counter()
        self.metadata: dict[str, str] = dict(context.invocation_metadata() or ())
        self._admitted = False
        self.began = False
        """True if the handler was called."""
        self.cost = costs.Cost()
        costs.current.set(self.cost)
        self._call: tracing.CallSpan | None = None
        telemetry.service_name.set(method.service)
        deadlines.start(context.time_remaining())
        tracing.arrived(self.metadata)

    def admit(self) -> None:
        """Set the caller and the request id (the caller's own if valid).

        Raises Unauthenticated, PermissionDenied.
        """
        admit = self._method.access.admit
        given = None  # logs quote nothing that an unauthenticated caller sent
        try:
            access.caller.set(admit(self._method.name, self.metadata, self._context))
            given, self._admitted = self.metadata.get(REQUEST_ID_KEY), self._method.shows_version
            if tracing.is_recording and not self._method.quiet:
                self._call = tracing.served(self._method.name)
        finally:
            telemetry.request_id.set(telemetry.accept_request_id(given))
            if self._method.quiet:  # a handler of gRPC's own may abort
                self._context.set_trailing_metadata(self._trailer())

    async def note(self, error: BaseException | None = None) -> None:
        """Write the call to the audit log if its method is audited, unless a limit rejected it."""
        if self._method.audit is None or (not self.began and isinstance(error, Refusal)):
            return
        name = self._method.name
        changed = self.began and access.rule(name).changes
        await self._method.audit.note(name, about.get(), error, changed=changed)

    def end(self, code: Code, error: BaseException | None = None) -> None:
        """Count and log the call."""
        seconds = time.perf_counter() - self._start
        self._context.set_trailing_metadata(self._trailer())  # the message may hold a request id
        exemplar = tracing.exemplar() if tracing.is_recording else None
        self._method.seconds(code).observe(seconds, exemplar)
        ms = round(seconds * 1000, 2)
        if code is Code.OK and self._method.logs_success:
            self._method.line.log(ms)
        else:
            self._log(code, ms, error)
        if self._call is not None:
            reason = error.reason if isinstance(error, ServiceError) else ""
            failed = code in tracing.SERVER_FAULTS
            self._call.answered(*_numbered(code), failed=failed, reason=reason)
            self._call.end()

    def _log(self, code: Code, ms: float, error: BaseException | None) -> None:
        write = _log.info
        if code in _OUR_FAULT:
            write = _log.error
        elif self._method.quiet or code is Code.OK:  # a success that is not worth a line
            write = _log.debug
        fields: dict[str, Any] = {}
        if isinstance(error, ServiceError):
            fields["reason"] = error.reason
        if code in _OUR_FAULT and error is not None:
            fields["exc_info"] = error
        write("call", method=self._method.name, code=code, ms=ms, **fields)

    async def fail(self, error: BaseException) -> None:
        """Send the status of `error` to the caller; return when the error has to propagate
        unchanged."""
        if isinstance(error, grpc.aio.AbortError):
            _let_go(error)
            self.end(_own_code(self._context))
            return
        if isinstance(error, asyncio.CancelledError) and _is_ours(asyncio.current_task()):
            _let_go(error)
            left = deadlines.remaining()
            late = left is not None and left < 0.05  # callers cancel slightly before their deadline
            self.end(Code.DEADLINE_EXCEEDED if late else Code.CANCELLED)
            return
        if not isinstance(error, Exception | asyncio.CancelledError):
            return
        reported = _reported(error)
        self.end(reported.code, error)
        _let_go(error)
        status = to_status(reported)
        try:
            await self._context.abort(
                getattr(grpc.StatusCode, reported.code),
                status.message,
                (*self._trailer(), (DETAILS_KEY, status.SerializeToString())),
            )
        except grpc.aio.InternalError:
            # The call ended meanwhile, by its deadline or its caller. grpc.aio logs any other
            # exception with a traceback.
            raise asyncio.CancelledError from None

    def _trailer(self) -> tuple[tuple[str, str], ...]:
        """Return the trailers of every answer: the request id and, for admitted callers, this
        version and what the call cost so far."""
        named = (REQUEST_ID_KEY, telemetry.request_id.get())
        if not self._admitted:
            return (named,)
        return (named, _SHOWN, (costs.COST_KEY, f"{self.cost.seconds * 1e6:.0f}"))


def _let_go(error: BaseException | None) -> None:
    """Drop the frames of an error, which hold the request: gRPC keeps the error in a cycle with the
    call. Without this, 40 rejected requests of 28 MiB held 1.1 GB until a later collection."""
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__context__


def _reported(error: BaseException) -> ServiceError:
    """Return the error that the caller gets for `error`."""
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
    """Return whether the call itself was cancelled, rather than something that it awaited. grpc.aio
    never answers a call whose handler raises a CancelledError of another origin.
    """
    return task is None or task.cancelling() > 0


def _own_code(context: Any) -> Code:
    """Return the code that a handler set or aborted with; OK if none."""
    if not (code := context.code()):
        return Code.OK
    matching = (each for each in grpc.StatusCode if code in (each, each.value[0]))
    return next((Code(each.name) for each in matching), Code.OK)


def outgoing_metadata(*, recorded: bool = False) -> dict[str, str]:
    """Return request id and trace context of the current call, for a peer; with `recorded` the
    trace context of a recorded trace only."""
    carrier = tracing.carried(recorded=recorded)
    if current := telemetry.request_id.get():
        carrier[REQUEST_ID_KEY] = current
    return carrier


def passing_on(
    call: Callable[..., Any], more: Callable[[], dict[str, str]] = dict, method: str = ""
) -> Callable[..., Any]:
    """Wrap a stub's `call`: it propagates request id and trace context, adds metadata `more`, and
    has a span named `method` where the current call is recorded.

    Explicit metadata takes precedence. An interceptor of grpc.aio would do the same in a task of
    its own for each call.
    """
    name = method.lstrip("/")

    def passed(*arguments: Any, metadata: Any = None, **options: Any) -> Any:
        span = tracing.calling(name) if tracing.is_recording else None
        pairs: Any = (outgoing_metadata() | more()).items()
        if metadata:
            given = {key for key, _ in metadata}
            pairs = (*metadata, *(pair for pair in pairs if pair[0] not in given))
        try:
            begun = call(*arguments, metadata=pairs, **options)
        finally:
            if span is not None:
                span.leave()
        if span is not None:
            _FOLLOWED.add(following := asyncio.ensure_future(_follow(begun, span)))
            following.add_done_callback(_FOLLOWED.discard)
        return begun

    return passed


_FOLLOWED: set[asyncio.Task[None]] = set()
_AS_WISHED = (grpc.StatusCode.OK, grpc.StatusCode.CANCELLED)


async def _follow(begun: Any, span: tracing.OpenSpan) -> None:
    """End the span of a call when the call ends."""
    code = await begun.code()
    span.answered(*_numbered(Code(code.name)), failed=code not in _AS_WISHED)
    span.end()


def _numbered(code: Code) -> tuple[str, int]:
    return str(code), getattr(grpc.StatusCode, code).value[0]
