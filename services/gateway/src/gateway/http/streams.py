"""Streams of answers as Server-Sent Events (html.spec.whatwg.org/#server-sent-events).

Each answer is an event with a number as its id. `Last-Event-ID` continues the numbers: streams
begin with the current state, so nothing is missed. An event `error` holds a problem; an event `end`
says that the stream is complete, and that a client should not open it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import orjson

from gateway.http.exchange import HttpRequest, Send, start
from gateway.http.problems import problem
from servicekit.errors import ServiceError

EVENTS = "text/event-stream"
QUIET_SECONDS = 15.0
"""Seconds without an event after which a comment is sent, so that proxies keep the connection."""


async def send_events(
    send: Send,
    request: HttpRequest,
    answers: AsyncIterator[Any],
    write: Callable[[Any], bytes],
    request_id: str,
) -> None:
    """Send a stream until it ends. Errors before the first answer are raised; later ones are
    events."""
    number = _last(request)
    async with aclosing(_with_pauses(answers)) as events:  # type: ignore[type-var]
        first = await anext(events, None)
        headers = {"content-type": EVENTS, "cache-control": "no-store", "x-request-id": request_id}
        await send(start(200, headers | {"x-accel-buffering": "no"}))
        try:
            while first is not None:
                number += first is not _PAUSE
                await _send(send, b": \n\n" if first is _PAUSE else _event(number, write(first)))
                first = await anext(events, None)
        except ServiceError as error:
            data = orjson.dumps(problem(error, request_id))
            await _send(send, b"event: error\ndata: " + data + b"\n\n")
        else:
            await _send(send, b"event: end\ndata: {}\n\n")
    await send({"type": "http.response.body", "body": b""})


_PAUSE: Any = object()


async def _with_pauses(answers: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yield the answers, and _PAUSE after each QUIET_SECONDS without one."""
    following: asyncio.Task[Any] | None = None
    began = False
    try:
        while True:
            following = following or asyncio.ensure_future(_next(answers))
            done, _ = await asyncio.wait({following}, timeout=QUIET_SECONDS if began else None)
            if not done:
                yield _PAUSE
                continue
            answer, following, began = following.result(), None, True
            if answer is None:
                return
            yield answer
    finally:
        if following is not None:
            following.cancel()


async def _next(answers: AsyncIterator[Any]) -> Any:
    return await anext(answers, None)


def _last(request: HttpRequest) -> int:
    given = request.headers.get("last-event-id", "")
    return int(given) if given.isdecimal() and len(given) < 10 else 0


def _event(number: int, data: bytes) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (number, data)


async def _send(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})
