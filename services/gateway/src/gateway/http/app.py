"""The ASGI application: addresses of /v1 in JSON, calls of Connect, health and the description."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

from google.protobuf.message import Message
from prometheus_client import Histogram

from gateway.http import conditions, connect, photos, problems, streams
from gateway.http.calls import Admitted, CallContext, GatewayCalls, Read, until_gone
from gateway.http.contract import PublicMethod
from gateway.http.errors import ClientGone, MediaTypeUnsupported
from gateway.http.exchange import JSON, HttpAnswer, HttpRequest, Receive, Send
from gateway.http.hosts import KnownHosts
from gateway.http.mapping import encode
from gateway.http.mapping.queries import fill_from_path, fill_from_query
from gateway.http.reading import BodyReader
from gateway.http.routes import Route, Router
from servicekit import deadlines
from servicekit.admission.memory_budget import ArrivingBytes, ByteBudget
from servicekit.errors import Internal, ServiceError
from servicekit.rpc.requests import RequestInvalid
from servicekit.telemetry import get_logger
from sightline.common.v1.job_pb2 import Job
from sightline.common.v1.product_pb2 import ProductImage

SECONDS = Histogram(
    "sightline_http_seconds",
    "Time from a request's headers to the end of its answer over HTTP, by call and status.",
    ("method", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
OTHER = "other"
"""Label of requests of no call."""

Page = Callable[[HttpRequest], Awaitable[HttpAnswer]]
ReadBody = Callable[[BodyReader], Awaitable[Any]]

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
        hosts: KnownHosts,
    ) -> None:
        """`pages`: makers of other answers, by path. `body_seconds`: maximum for a body to arrive,
        and for what is left of one to be dropped. `longest_seconds`: maximum of a caller's
        deadline, and of `Prefer: wait`. `most_bytes`: of bodies that are held at once, half of
        them for one caller. `hosts`: those that calls, other than of pages, may name."""
        self._gateway, self._router, self._pages = gateway, Router(methods), pages
        self._by_path = {method.path: method for method in methods}
        self._watch = next(method for method in methods if method.name.endswith("/WatchJob"))
        self._body_seconds, self._longest = body_seconds, longest_seconds
        self._bytes, self._hosts = ByteBudget(most_bytes), hosts

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
            if page := self._pages.get(request.path):
                answer = await page(request)
            elif method is not None:
                send.method = method.name
                self._hosts.check(request)
                answer = await self._connect(method, request)
            else:
                self._hosts.check(request)
                answer = await self._call(request, send)
        except ServiceError as error:
            answer = _failure(error, request, is_connect=method is not None)
        except Exception as error:
            if send.status:  # the answer has begun: only the end of the connection says more
                raise
            get_logger().error("request failed", method=send.method, exc_info=error)
            answer = _failure(_internal(request), request, is_connect=method is not None)
        if answer is not None:
            await answer.send(send, request, self._body_seconds)

    async def _connect(self, method: PublicMethod, request: HttpRequest) -> HttpAnswer:
        kind = connect.check(method, request)
        context = CallContext.of(request, self._longest)

        def read(reader: BodyReader) -> Awaitable[Any]:
            return connect.read(method, kind, reader)

        raw = kind == connect.PROTO
        answer, headers = await self._unary(method, read, context, request, raw=raw)
        return connect.write(kind, answer, headers)

    async def _call(self, request: HttpRequest, send: Observed) -> HttpAnswer | None:
        """Answer a request by its address of /v1; None: the answer is sent already."""
        route, values = self._router.find(request.verb, request.path)
        method = route.method
        send.method = method.name
        context = CallContext.of(request, self._longest)

        async def read(reader: BodyReader) -> Message:
            message = method.request()
            await _fill(message, route, reader)
            fill_from_path(message, values)
            if "idempotency-key" in request.headers:
                conditions.take_key(message, request.headers)
            if "if-match" in request.headers:
                conditions.require_etag(message, request.headers["if-match"])
            return message

        if method.streams:
            with self._held() as held:
                deadlines.start(self._longest)
                reading = self._reading(method, read, request, held)
                answers = self._gateway.stream(method, reading, context)
                write = encode.to_bytes
                work = streams.send_events(send, request, answers, write, request.request_id)
                await until_gone(work, request)
            return None
        answer, headers = await self._unary(method, read, context, request)
        return await self._written(answer, headers, context, request)

    async def _unary(
        self,
        method: PublicMethod,
        read: ReadBody,
        context: CallContext,
        request: HttpRequest,
        *,
        raw: bool = False,
    ) -> tuple[Any, dict[str, str]]:
        """Return the answer of a call whose request is read once its caller is admitted."""
        with self._held() as held:
            deadlines.start(context.timeout or self._longest)
            reading = self._reading(method, read, request, held)
            work = self._gateway.unary(method, reading, context, raw=raw)
            found: tuple[Any, dict[str, str]] = await until_gone(work, request)
            return found

    @contextmanager
    def _held(self) -> Iterator[ArrivingBytes]:
        """Return the bytes of a request when the block ends."""
        held = ArrivingBytes(self._bytes)
        try:
            yield held
        finally:
            held.release()

    def _reading(
        self, method: PublicMethod, read: ReadBody, request: HttpRequest, held: ArrivingBytes
    ) -> Read:
        def reading(admitted: Admitted) -> Awaitable[Any]:
            held.caller = admitted.caller
            return read(BodyReader(method, request, held, admitted.most_bytes))

        return reading

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
        """Return a job when it has ended, or as it is after `seconds`, or when it can't be watched
        any longer: it was created, and its caller needs its id."""

        async def asked(_: Admitted) -> Message:
            return self._watch.request(catalog_id=job.catalog_id, job_id=job.job_id)

        try:
            async with asyncio.timeout(seconds):
                if job.state in _UNFINISHED:
                    async for each in self._gateway.stream(self._watch, asked, context):
                        job = each
        except (TimeoutError, ServiceError):
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


async def _fill(message: Message, route: Route, reader: BodyReader) -> None:
    """Fill a request from query and body. Raises ServiceError, ClientGone."""
    request = reader.request
    kind = request.media_type
    if not route.pattern.has_body:
        if request.size != 0:
            raise MediaTypeUnsupported("this address takes no body: send its fields as a query")
        fill_from_query(message, request.query)
    elif kind == photos.MULTIPART:
        _no_query(request)
        await photos.read_form(message, reader)
    elif kind.startswith(photos.RAW):
        fill_from_query(message, request.query)
        photos.put_raw(message, await reader.body(reader.most))
    elif kind == JSON or request.size == 0:
        _no_query(request)
        if data := await reader.body(reader.most_json):
            await reader.fill(message, data)
    else:
        forms = f"{JSON}, {photos.MULTIPART}, or image/* for a call with one photo"
        raise MediaTypeUnsupported(f"Content-Type: this call reads {forms}")


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
