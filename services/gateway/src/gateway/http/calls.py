"""Calls of the gateway over gRPC, as any client makes them: it admits, limits and answers them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc

from gateway.http.contract import PublicMethod
from gateway.http.errors import ClientGone, HeaderInvalid
from gateway.http.exchange import HttpRequest
from servicekit.access import AUTHORIZATION, MOST_TOKEN, TokenInvalid
from servicekit.errors import Code, ServiceError
from servicekit.interceptors import REQUEST_ID_KEY
from servicekit.status import from_rpc_error

FORWARDED = ("traceparent", "tracestate")
"""Headers that become metadata, beside `authorization` and the request id. No other does: a caller
must not send what services send one another."""
MALFORMED = b"\x00"
"""A request that is no message of any call. The gateway charges it to its caller as it does one
that comes over gRPC."""
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
        metadata = [(REQUEST_ID_KEY, request.request_id)]
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


class GatewayCalls:
    """Calls on one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._made: dict[tuple[str, str, bool], Any] = {}

    async def unary(
        self, method: PublicMethod, request: Any, context: CallContext, *, raw: bool = False
    ) -> tuple[Any, dict[str, str]]:
        """Return the answer of a call, and headers from its trailers.

        `raw`: request and answer are bytes. Raises ServiceError.
        """
        call = self._stub("unary_unary", method, raw)(
            request, metadata=context.metadata, timeout=context.timeout
        )
        return await self._ended(call)

    async def charge(
        self, method: PublicMethod, error: ServiceError, context: CallContext
    ) -> ServiceError:
        """Charge a request that is no message of its call to its caller. Return the error for the
        caller: `error`, or that the caller is rejected, or its quota used up."""
        try:
            await self.unary(method, MALFORMED, context, raw=True)
        except ServiceError as found:
            return found if found.code in _ABOUT_THE_CALLER else error
        return error

    async def unary_arriving(
        self,
        method: PublicMethod,
        arriving: Awaitable[Any],
        context: CallContext,
        *,
        raw: bool = False,
    ) -> tuple[Any, dict[str, str]]:
        """Return the same of a call whose request still arrives: the gateway authenticates the
        caller meanwhile, and a rejected caller is answered before its body is read."""
        body, ended = asyncio.ensure_future(arriving), asyncio.Event()

        async def requests() -> AsyncIterator[Any]:
            with suppress(Exception, asyncio.CancelledError):
                try:
                    found = await asyncio.shield(body)
                except ServiceError:
                    found = MALFORMED
                yield found
                return
            call.cancel()  # its client left: nothing is to be done
            await ended.wait()

        call = self._stub("stream_unary", method, raw)(
            requests(), metadata=context.metadata, timeout=context.timeout
        )
        try:
            return await self._ended(call)
        except ServiceError as answer:
            found = body.exception() if body.done() and not body.cancelled() else None
            if isinstance(found, ServiceError) and answer.code not in _ABOUT_THE_CALLER:
                raise found from None
            raise
        except asyncio.CancelledError:
            if body.done() and not body.cancelled() and (error := body.exception()):
                raise error from None
            raise
        finally:
            ended.set()
            body.cancel()
            with suppress(Exception, asyncio.CancelledError):
                await body

    async def _ended(self, call: Any) -> tuple[Any, dict[str, str]]:
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return answer, _returned(await call.trailing_metadata())

    async def stream(
        self, method: PublicMethod, request: Any, context: CallContext, *, raw: bool = False
    ) -> AsyncIterator[Any]:
        """Yield the answers of a call. Raises ServiceError."""
        call = self._stub("unary_stream", method, raw)(
            request, metadata=context.metadata, timeout=context.timeout
        )
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        finally:
            call.cancel()

    def _stub(self, kind: str, method: PublicMethod, raw: bool) -> Any:
        key = kind, method.path, raw
        if key not in self._made:
            self._made[key] = getattr(self._channel, kind)(
                method.path,
                request_serializer=None if raw else _serialized,
                response_deserializer=None if raw else method.answer.FromString,
            )
        return self._made[key]


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
