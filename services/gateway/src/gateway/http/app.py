"""The ASGI application: addresses of /v1 in JSON, calls of Connect, health and the description."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from google.protobuf.message import Message
from prometheus_client import Histogram

from gateway.http import conditions, connect, photos, problems, streams
from gateway.http.calls import CallContext, GatewayCalls, until_gone
from gateway.http.contract import PublicMethod
from gateway.http.errors import ClientGone, MediaTypeUnsupported
from gateway.http.exchange import JSON, HttpAnswer, HttpRequest, Receive, Send
from gateway.http.mapping import decode, encode
from gateway.http.mapping.queries import fill_from_path, fill_from_query
from gateway.http.routes import Route, Router
from servicekit.deadlines import in_thread
from servicekit.errors import Internal, ServiceError
from servicekit.memory_budget import ByteBudget
from servicekit.requests import RequestInvalid
from servicekit.telemetry import get_logger
from sightline.common.v1.job_pb2 import Job
from sightline.common.v1.product_pb2 import ProductImage

SECONDS = Histogram(
    "sightline_http_seconds",
    "Time from a request's headers to the end of its answer over HTTP, by call and status.",
    ("method", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
SMALL = 2**16
"""Maximum bytes of a body that is read before its call begins."""
BIG = 2**18
"""Minimum bytes of a body that a thread turns into a message, so that others are not delayed."""
EXPANSION = 2
"""Bytes of JSON for a byte of a message: base64 takes 4/3, and names of fields the rest."""
OTHER = "other"
"""Label of requests of no call."""

Page = Callable[[HttpRequest], Awaitable[HttpAnswer]]

_UNFINISHED = frozenset((Job.STATE_PENDING, Job.STATE_RUNNING))


class HttpApp:
    """Answers requests by calls of the gateway."""

    def __init__(
        self,
        gateway: GatewayCalls,
        methods: Sequence[PublicMethod],
        pages: Mapping[str, Page],
        *,
        body_seconds: float,
        longest_seconds: float,
        most_bytes: int,
    ) -> None:
        """`pages`: makers of other answers, by path. `body_seconds`:
        maximum for a body to arrive. `longest_seconds`: maximum of a caller's deadline, and of
        `Prefer: wait`. `most_bytes`: of large bodies that are held at once, half of them for one
        address."""
        self._gateway, self._router, self._pages = gateway, Router(methods), pages
        self._by_path = {method.path: method for method in methods}
        self._watch = next(method for method in methods if method.name.endswith("/WatchJob"))
        self._body_seconds, self._longest = body_seconds, longest_seconds
        self._bytes = ByteBudget(most_bytes)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request; see asgi.readthedocs.io."""
        began = time.perf_counter()
        request = HttpRequest.of(scope, receive, self._body_seconds)
        status = Observed(send)
        try:
            await self._answer(request, status)
        except ClientGone:
            status.status = 499
        finally:
            seconds = time.perf_counter() - began
            SECONDS.labels(status.method, str(status.status)).observe(seconds)

    async def _answer(self, request: HttpRequest, send: Observed) -> None:
        method = self._by_path.get(request.path)
        answer: HttpAnswer | None
        try:
            if method is not None:
                send.method = method.name
                answer = await self._connect(method, request)
            elif page := self._pages.get(request.path):
                answer = await page(request)
            else:
                answer = await self._call(request, send)
        except ServiceError as error:
            answer = _failure(error, request, is_connect=method is not None)
        except Exception as error:
            if send.status:  # the answer has begun: only the end of the connection says more
                raise
            get_logger().error("request failed", method=send.method, exc_info=error)
            answer = _failure(_internal(request), request, is_connect=method is not None)
        if answer is not None:
            await answer.send(send, request)

    async def _connect(self, method: PublicMethod, request: HttpRequest) -> HttpAnswer:
        kind = connect.check(method, request)
        context = CallContext.of(request, self._longest)
        raw = kind == connect.PROTO
        most = method.most_bytes * (1 if raw else EXPANSION)
        if request.verb == "GET":

            async def asked() -> Any:
                return connect.read(method, kind, connect.message_of_query(request))

            sent = await self._read(method, asked, context)
            answer, headers = await self._unary(method, sent, context, request, raw=raw)
            return connect.write(kind, answer, headers)

        async def arriving() -> Any:
            data = await request.body(most)
            if len(data) >= BIG and not raw:
                return await in_thread(lambda: connect.read(method, kind, data))
            return connect.read(method, kind, data)

        answer, headers = await self._arriving(method, arriving, context, request, raw=raw)
        return connect.write(kind, answer, headers)

    async def _call(self, request: HttpRequest, send: Observed) -> HttpAnswer | None:
        """Answer a request by its address of /v1; None: the answer is sent already."""
        route, values = self._router.find(request.verb, request.path)
        method = route.method
        send.method = method.name
        context = CallContext.of(request, self._longest)

        async def arriving() -> Message:
            message = method.request()
            await _fill(message, route, request)
            fill_from_path(message, values)
            if "idempotency-key" in request.headers:
                conditions.take_key(message, request.headers)
            if "if-match" in request.headers:
                conditions.require_etag(message, request.headers["if-match"])
            return message

        if method.streams:
            answers = self._gateway.stream(
                method, await self._read(method, arriving, context), context
            )
            write = encode.to_bytes
            work = streams.send_events(send, request, answers, write, request.request_id)
            await until_gone(work, request)
            return None
        answer, headers = await self._arriving(method, arriving, context, request)
        return await self._written(answer, headers, context, request)

    async def _arriving(
        self,
        method: PublicMethod,
        arriving: Any,
        context: CallContext,
        request: HttpRequest,
        *,
        raw: bool = False,
    ) -> tuple[Any, dict[str, str]]:
        """Call with a request that may still arrive: a large one only once its caller is known."""
        size = None if "content-encoding" in request.headers else request.size
        if size is not None and size <= SMALL:
            message = await self._read(method, arriving, context)
            return await self._unary(method, message, context, request, raw=raw)
        most = method.most_bytes * EXPANSION
        held = min(most if size is None else size, most, self._bytes.each)
        async with self._bytes.reserve(request.client, held):
            work = self._gateway.unary_arriving(method, arriving(), context, raw=raw)
            found: tuple[Any, dict[str, str]] = await until_gone(work, request)
            return found

    async def _read(self, method: PublicMethod, arriving: Any, context: CallContext) -> Any:
        """Return a request; one that is none is charged to its caller, as over gRPC."""
        try:
            return await arriving()
        except ServiceError as error:
            raise await self._gateway.charge(method, error, context) from None

    async def _unary(
        self,
        method: PublicMethod,
        message: Any,
        context: CallContext,
        request: HttpRequest,
        *,
        raw: bool,
    ) -> tuple[Any, dict[str, str]]:
        work = self._gateway.unary(method, message, context, raw=raw)
        found: tuple[Any, dict[str, str]] = await until_gone(work, request)
        return found

    async def _written(
        self, answer: Any, headers: dict[str, str], context: CallContext, request: HttpRequest
    ) -> HttpAnswer:
        """Return a message as JSON, or a photo as itself, with what its headers ask for."""
        asked = request.headers
        if "if-match" in asked and (error := conditions.rejected(answer)):
            return _failure(error, request, is_connect=False)
        if isinstance(answer, Job) and (seconds := conditions.wait_seconds(asked, self._longest)):
            answer = await until_gone(self._finished(answer, context, seconds), request)
            headers["preference-applied"] = "wait"
        if isinstance(answer, ProductImage) and _wants_photo(asked.get("accept", "")):
            return HttpAnswer(200, answer.content, answer.media_type, headers)
        if etag := conditions.etag_of(answer):
            headers["etag"] = f'"{etag}"'
            if request.verb == "GET" and conditions.matches(asked.get("if-none-match", ""), etag):
                return HttpAnswer(304, b"", JSON, headers)
        return HttpAnswer(200, encode.to_bytes(answer), JSON, headers)

    async def _finished(self, job: Job, context: CallContext, seconds: float) -> Job:
        """Return a job when it has ended, or as it is after `seconds`."""
        request = self._watch.request(catalog_id=job.catalog_id, job_id=job.job_id)
        try:
            async with asyncio.timeout(seconds):
                if job.state in _UNFINISHED:
                    async for each in self._gateway.stream(self._watch, request, context):
                        job = each
        except TimeoutError:
            pass
        return job


class Observed:
    """The sending side of a request, which knows the status and the call."""

    __slots__ = ("_send", "method", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.method, self.status = OTHER, 0

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        """Send a message of ASGI."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


async def _fill(message: Message, route: Route, request: HttpRequest) -> None:
    """Fill a request from query and body. Raises ServiceError, ClientGone."""
    kind, most = request.media_type, route.method.most_bytes
    if not route.pattern.has_body:
        if request.size != 0:
            raise MediaTypeUnsupported("this address takes no body: send its fields as a query")
        fill_from_query(message, request.query)
    elif kind == photos.MULTIPART:
        _no_query(request)
        await photos.read_form(message, request, most)
    elif kind.startswith(photos.RAW):
        fill_from_query(message, request.query)
        photos.put_raw(message, await request.body(most))
    elif kind in (JSON, ""):
        _no_query(request)
        await _fill_json(message, await request.body(most * EXPANSION))
    else:
        forms = f"{JSON}, {photos.MULTIPART}, or image/* for a call with one photo"
        raise MediaTypeUnsupported(f"Content-Type: this call reads {forms}")


async def _fill_json(message: Message, data: bytes) -> None:
    if len(data) >= BIG:
        await in_thread(lambda: decode.fill(message, data))
    elif data:
        decode.fill(message, data)


def _no_query(request: HttpRequest) -> None:
    if request.query:
        raise RequestInvalid.at("query", "must be empty: fields of this call are in its body")


def _wants_photo(accept: str) -> bool:
    return accept.lstrip().startswith("image/")


def _failure(error: ServiceError, request: HttpRequest, *, is_connect: bool) -> HttpAnswer:
    if is_connect:
        answer = connect.failure(error, request.request_id)
    else:
        status = conditions.failed_status(error, request.headers)
        answer = problems.answer(error, request.request_id, status)
    # A client that waits for 100 Continue need not send its body after this answer.
    answer.closes = "expect" in request.headers and not request.is_read
    return answer


def _internal(request: HttpRequest) -> ServiceError:
    return Internal(
        "internal error; quote the request id when you report it",
        reason="INTERNAL",
        metadata={"request_id": request.request_id},
    )
