"""Calls of the gateway over gRPC, as any client makes them: it admits, limits and answers them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import grpc

from gateway.http.contract import PublicMethod
from gateway.http.errors import ClientGone, HeaderInvalid
from gateway.http.exchange import HttpRequest
from servicekit.admission.access import AUTHORIZATION, MOST_TOKEN, TokenInvalid
from servicekit.admission.limits import ADMITTED, ARRIVING
from servicekit.errors import Code, ServiceError
from servicekit.rpc.interceptors import REQUEST_ID_KEY
from servicekit.status import from_rpc_error

FORWARDED = ("traceparent", "tracestate")
"""Headers that become metadata, beside `authorization` and the request id. No other does: a caller
must not send what services send one another."""
MALFORMED = b"\x00"
"""A request that is no message of any call, sent in place of one that can't be read: the gateway
charges it to its caller as it does one that comes over gRPC."""
STREAMS_EACH = 40
"""Streams on one connection to the gateway, which lets a caller have 50 of them there."""
_ABOUT_THE_CALLER = (Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.RESOURCE_EXHAUSTED)
RETURNED = ("x-sightline-version", "x-sightline-cost-us")
"""Trailers of a call that become headers of its answer."""

_GRPC_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_SECONDS = re.compile(r"[0-9]{1,6}([.][0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class CallContext:
    """Metadata and deadline of a call, from the headers of its request."""

    metadata: tuple[tuple[str, str], ...]
    timeout: float | None
    """Seconds; None: the caller sets no deadline."""

    @classmethod
    def of(cls, request: HttpRequest, longest: float) -> CallContext:
        """Return the context of a request. `longest`: maximum of a deadline, in seconds.

        Raises TokenInvalid, HeaderInvalid.
        """
        metadata = [(REQUEST_ID_KEY, request.request_id), (ARRIVING, "1")]
        token = request.headers.get(AUTHORIZATION)
        if token is not None:
            if len(token) > MOST_TOKEN or not _plain(token):
                raise TokenInvalid
            metadata.append((AUTHORIZATION, token))
        for name in FORWARDED:
            value = request.headers.get(name, "")
            if value and len(value) <= 512 and _plain(value):
                metadata.append((name, value))
        return cls(tuple(metadata), timeout(request.headers, longest))


def timeout(headers: Mapping[str, str], longest: float) -> float | None:
    """Return the caller's deadline in seconds from now: X-Request-Timeout (seconds), grpc-timeout
    or Connect-Timeout-Ms. Raises HeaderInvalid."""
    seconds = None
    if (given := headers.get("x-request-timeout")) is not None:
        if not _SECONDS.fullmatch(given) or float(given) < 0.001:
            raise HeaderInvalid("X-Request-Timeout", "must be seconds from 0.001, such as 2.5")
        seconds = float(given)
    elif (given := headers.get("grpc-timeout")) is not None:
        if not (found := _GRPC_TIMEOUT.fullmatch(given)):
            raise HeaderInvalid("grpc-timeout", "must be a number and a unit, such as 500m")
        seconds = int(found[1]) * _UNITS[found[2]]
    elif (given := headers.get("connect-timeout-ms")) is not None:
        if not given.isdecimal() or len(given) > 10:
            raise HeaderInvalid("Connect-Timeout-Ms", "must be milliseconds")
        seconds = int(given) / 1000
    return None if seconds is None else min(seconds, longest)


def _plain(value: str) -> bool:
    return value.isascii() and value.isprintable()


@dataclass(frozen=True, slots=True)
class Admitted:
    """Admission of a caller, which the gateway announces before it reads the request."""

    caller: str
    """Name of the caller, by which the bytes of its requests are counted."""
    most_bytes: int
    """Maximum bytes of the request."""

    @classmethod
    def of(cls, metadata: Any) -> Admitted | None:
        """Return it from the initial metadata of a call; None: the call has ended already."""
        told = dict(metadata or ()).get(ADMITTED)
        if told is None:
            return None
        most, _, name = str(told).partition(" ")
        return cls(unquote(name), int(most))


Read = Callable[[Admitted], Awaitable[Any]]
"""Reads a request: bytes or a message. Called once its caller is admitted."""


class _Request:
    """The request of one call, which is read once its caller is admitted."""

    def __init__(self, read: Read) -> None:
        self._read, self._ended = read, asyncio.Event()
        self._reading: asyncio.Future[Any] | None = None
        self.call: Any = None
        self.error: BaseException | None = None
        """Why it could not be read."""

    async def messages(self) -> AsyncIterator[Any]:
        """Yield the request; MALFORMED in place of one that can't be read."""
        admitted = Admitted.of(await self.call.initial_metadata())
        if admitted is None:
            await self._ended.wait()
            return
        self._reading = asyncio.ensure_future(self._read(admitted))
        found: Any = MALFORMED
        try:
            found = await asyncio.shield(self._reading)
        except ClientGone as gone:
            self.error = gone
            self.call.cancel()
            await self._ended.wait()
        except Exception as error:
            self.error = error
        yield found

    def error_for(self, answer: ServiceError) -> BaseException:
        """Return the error for the caller: why its request could not be read, unless the answer is
        about the caller."""
        if self.error is None or answer.code in _ABOUT_THE_CALLER:
            return answer
        return self.error

    async def end(self) -> None:
        """Stop to read."""
        self._ended.set()
        if self._reading is not None:
            self._reading.cancel()
            with suppress(Exception, asyncio.CancelledError):
                await self._reading


class GatewayCalls:
    """Calls of one gateway, whose requests are read once it has admitted their callers."""

    def __init__(self, channel: grpc.aio.Channel, more: Callable[[], grpc.aio.Channel]) -> None:
        """`more` returns a further channel, for streams."""
        self.channel, self._streaming = channel, StreamChannels(more)
        self._made: dict[tuple[int, str, str, bool], Any] = {}

    async def close(self) -> None:
        """Close the channels."""
        await self._streaming.close()
        await self.channel.close(None)

    async def unary(
        self, method: PublicMethod, read: Read, context: CallContext, *, raw: bool = False
    ) -> tuple[Any, dict[str, str]]:
        """Return the answer of a call, and headers from its trailers.

        `raw`: request and answer are bytes. Raises ServiceError, ClientGone, and what `read` does.
        """
        request = _Request(read)
        call = request.call = self._stub(self.channel, "stream_unary", method, raw)(
            request.messages(), metadata=context.metadata, timeout=context.timeout
        )
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            raise request.error_for(from_rpc_error(error)) from error
        except asyncio.CancelledError:
            if request.error is not None:
                raise request.error from None
            raise
        finally:
            await request.end()
        return answer, _returned(await call.trailing_metadata())

    async def stream(
        self, method: PublicMethod, read: Read, context: CallContext
    ) -> AsyncIterator[Any]:
        """Yield the answers of a call. Raises as `unary`."""
        request = _Request(read)
        with self._streaming.one() as channel:
            call = request.call = self._stub(channel, "stream_stream", method, raw=False)(
                request.messages(), metadata=context.metadata, timeout=context.timeout
            )
            try:
                async for answer in call:
                    yield answer
            except grpc.aio.AioRpcError as error:
                raise request.error_for(from_rpc_error(error)) from error
            finally:
                call.cancel()
                await request.end()

    def _stub(self, channel: Any, kind: str, method: PublicMethod, raw: bool) -> Any:
        key = id(channel), kind, method.path, raw
        if key not in self._made:
            self._made[key] = getattr(channel, kind)(
                method.path,
                request_serializer=None if raw else _serialized,
                response_deserializer=None if raw else method.answer.FromString,
            )
        return self._made[key]


class StreamChannels:
    """Channels that carry STREAMS_EACH streams each: a connection has a limit, and on the face's
    one all of its callers would share it."""

    def __init__(self, more: Callable[[], grpc.aio.Channel]) -> None:
        self._more = more
        self._open: list[tuple[grpc.aio.Channel, list[None]]] = []

    @contextmanager
    def one(self) -> Iterator[grpc.aio.Channel]:
        """Use a channel for one stream while the block runs. Channels are kept: as many as the
        streams needed at once."""
        found = next((each for each in self._open if len(each[1]) < STREAMS_EACH), None)
        if found is None:
            self._open.append(found := (self._more(), []))
        channel, streams = found
        streams.append(None)
        try:
            yield channel
        finally:
            streams.pop()

    async def close(self) -> None:
        """Close the channels."""
        for channel, _ in self._open:
            await channel.close(None)


def _serialized(request: Any) -> bytes:
    return request if isinstance(request, bytes) else bytes(request.SerializeToString())


def _returned(trailers: Any) -> dict[str, str]:
    found = dict(trailers or ())
    return {
        name: value
        for name in (REQUEST_ID_KEY, *RETURNED)
        if isinstance(value := found.get(name), str)
    }


async def until_gone(work: Awaitable[Any], request: HttpRequest) -> Any:
    """Return the result of `work`; cancel it and raise ClientGone when the client leaves."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.closed())
    gone.add_done_callback(lambda left: None if left.cancelled() else task.cancel())
    try:
        return await task
    except asyncio.CancelledError:
        if gone.done() and not gone.cancelled():
            raise ClientGone from None
        raise
    finally:
        gone.cancel()
        task.cancel()
