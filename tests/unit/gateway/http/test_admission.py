"""Bodies of requests are read once their callers are admitted, at every address and of any kind."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.http.contract import public_methods
from gateway.http.exchange import BIG
from servicekit.admission import access
from servicekit.admission.access import Caller, Role, TokenInvalid
from servicekit.admission.limits import MOST_DENIED
from tests.fakes.local_gateway import face

SMALL, LARGE = b'{"pageSize": 1}', b'{"scene": "%s"}' % (b"x" * 2**17)
FORM = b'--b\r\nContent-Disposition: form-data; name="request"\r\n\r\n%s\r\n--b--\r\n'
BODIES = {
    "json": ({"content-type": "application/json"}, bytes),
    "gzip": ({"content-type": "application/json", "content-encoding": "gzip"}, gzip.compress),
    "form": ({"content-type": "multipart/form-data; boundary=b"}, lambda text: FORM % text),
    "photo": ({"content-type": "image/jpeg"}, bytes),
    "binary": ({"content-type": "application/octet-stream"}, bytes),
    "other": ({"content-type": "text/csv"}, bytes),
}
PROTO = {"content-type": "application/proto"}


class Nobody:
    """Admits no caller."""

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:
        raise TokenInvalid


class Reader:
    """Admits a caller that may read, by its token."""

    def admit(self, method: str, metadata: Mapping[str, str], context: Any) -> Caller:
        who = Caller("shop", frozenset({Role.READ}))
        if metadata.get("authorization") != "Bearer good":
            raise TokenInvalid
        access.caller.set(who)
        who.check(access.rule(method).roles)
        return who


class Sent:
    """A request over ASGI, and its answer."""

    def __init__(self, verb: str, path: str, headers: dict[str, str], body: bytes) -> None:
        path, _, query = path.partition("?")
        named = {"host": "localhost", **headers}
        self.scope = {
            "type": "http",
            "method": verb,
            "raw_path": path.encode(),
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
            "client": ("127.0.0.1", 1),
        }
        if body:
            self.scope["headers"].append((b"content-length", b"%d" % len(body)))
        self.body, self.reads, self.answered = body, 0, asyncio.Event()
        self.read_before_the_answer = False
        self.status, self.data = 0, b""

    async def receive(self) -> dict[str, Any]:
        self.read_before_the_answer |= not self.status and bool(self.body)
        if self.reads * 2**14 >= max(len(self.body), 1):
            await self.answered.wait()
            return {"type": "http.disconnect"}
        part = self.body[self.reads * 2**14 :][: 2**14]
        self.reads += 1
        return {
            "type": "http.request",
            "body": part,
            "more_body": self.reads * 2**14 < len(self.body),
        }

    async def send(self, message: Mapping[str, Any]) -> None:
        self.status = message.get("status", self.status)
        self.data += message.get("body", b"")
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.answered.set()

    async def to(self, app: Any) -> Sent:
        """Send it to an application."""
        async with asyncio.timeout(30):
            await app(self.scope, self.receive, self.send)
        return self


def addresses() -> list[tuple[str, str]]:
    """Return method and path of every address with a body."""
    return [
        (pattern.verb, pattern.path.replace("{", "").replace("}", ""))
        for method in public_methods()
        for pattern in method.patterns
        if pattern.has_body
    ]


@pytest.mark.parametrize("kind", BODIES)
async def test_nothing_of_a_body_is_read_before_its_caller_is_admitted(kind: str) -> None:
    app, _ = face(access=Nobody())
    headers, encode = BODIES[kind]
    for verb, path in addresses():
        for text in (SMALL, LARGE):
            sent = await Sent(verb, path, headers, encode(text)).to(app)
            assert sent.status == 401, (verb, path, sent.data)
            assert not sent.read_before_the_answer, (verb, path)


async def test_nothing_of_a_message_of_connect_is_read_before_its_caller_is_admitted() -> None:
    app, _ = face(access=Nobody())
    for method in public_methods():
        if not method.streams:
            for headers, text in ((BODIES["json"][0], LARGE), (PROTO, LARGE), (PROTO, SMALL)):
                sent = await Sent("POST", method.path, headers, text).to(app)
                assert (sent.status, sent.read_before_the_answer) == (401, False), method.path


async def test_the_query_of_an_address_is_parsed_after_admission() -> None:
    app, _ = face(access=Nobody())
    for method in public_methods():
        for pattern in method.patterns:
            if not pattern.has_body:
                path = pattern.path.replace("{", "").replace("}", "") + "?order=--5&x=%ff"
                assert (await Sent(pattern.verb, path, {}, b"").to(app)).status == 401
        if method.reads and not method.streams:
            path = method.path + "?encoding=json&message=%7B%7B"
            assert (await Sent("GET", path, {}, b"").to(app)).status == 401


async def test_an_admitted_caller_is_read_and_answered() -> None:
    seen: list[Any] = []
    app, _ = face(seen)
    headers, _ = BODIES["json"]
    sent = await Sent("POST", "/v1/catalogs/default:recommend", headers, LARGE).to(app)
    assert (sent.status, sent.read_before_the_answer) == (200, True)
    assert len(seen[0].scene) == 2**17


async def test_of_a_caller_without_the_role_as_much_is_read_as_the_audit_needs() -> None:
    app, _ = face(access=Reader())
    headers = BODIES["json"][0] | {"authorization": "Bearer good"}
    path = "/v1/catalogs/default/products:delete"
    large = b'{"productIds": ["%s"]}' % (b"x" * 4 * MOST_DENIED)
    sent = await Sent("POST", path, headers, large).to(app)
    assert sent.status == 403


@pytest.mark.full
async def test_an_error_that_is_no_typed_one_is_charged_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a reader raises by mistake costs its caller as much as what it should have raised."""
    from gateway.http import app as program

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(program, "fill_from_query", broken)
    seen: list[bytes] = []
    app, channel = face(seen)
    told: list[Any] = []
    made = channel.stream_unary

    def spied(method: str, *given: Any, **more: Any) -> Any:
        call = made(method, *given, **more)

        def begin(requests: Any, **options: Any) -> Any:
            async def messages() -> Any:
                async for each in requests:
                    told.append(each)
                    yield each

            return call(messages(), **options)

        return begin

    channel.stream_unary = spied
    sent = await Sent("GET", "/v1/catalogs/default/products?order=1", {}, b"").to(app)
    assert (sent.status, told, seen) == (500, [b"\x00"], [])


async def test_large_bodies_are_parsed_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from gateway.http.mapping import decode

    used: list[bool] = []
    parse = decode.parse

    def noted(data: bytes) -> Any:
        used.append(threading.current_thread() is threading.main_thread())
        return parse(data)

    monkeypatch.setattr(decode, "parse", noted)
    app, _ = face()
    for kind in ("json", "gzip", "form"):
        headers, encode = BODIES[kind]
        for text in (SMALL, b'{"scene": "%s"}' % (b"x" * BIG)):
            await Sent("POST", "/v1/catalogs/default:recommend", headers, encode(text)).to(app)
    assert used == [True, False] * 3
