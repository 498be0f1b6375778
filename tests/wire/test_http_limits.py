"""Slow, broken and greedy clients of the HTTP server: bytes on raw connections."""

import asyncio
import contextlib
import socket
import time
from typing import Any

import pytest
from google.protobuf.message import DecodeError

from gateway.http.calls import MALFORMED
from gateway.http.contract import public_methods
from gateway.http.exchange import JSON
from tests.waiting import until
from tests.wire.http_face import Face, face, problem, serving_http

__all__ = ["face"]  # fixtures
V1 = "/v1/catalogs/default"
HEAD = b"POST /v1/catalogs/default:search HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
GET = b"GET /v1/catalogs/default/products/p1 HTTP/1.1\r\nhost: x\r\n"


async def test_fifty_megabytes_are_refused_by_their_head(face: Face) -> None:
    began = time.monotonic()
    answer = await face.raw(HEAD + b"content-length: 50000000\r\nexpect: 100-continue\r\n\r\n")
    assert b"HTTP/1.1 413" in answer
    assert b"100 Continue" not in answer
    assert b"REQUEST_TOO_LARGE" in answer
    assert b"connection: close" in answer  # as the client waits for 100 Continue
    assert time.monotonic() - began < 30


async def test_fifty_megabytes_without_a_length_are_not_held(face: Face) -> None:
    chunk = b"%x\r\n" % 2**20 + b" " * 2**20 + b"\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", face.port)
    writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        for _ in range(50):
            writer.write(chunk)
            await writer.drain()
    answer = await reader.read(2**12)
    writer.close()
    assert b"HTTP/1.1 413" in answer
    assert (await face.call("GET", f"{V1}/products/p1")).status_code == 200


async def test_a_photo_that_is_too_large_for_its_call_is_refused(face: Face) -> None:
    response = await face.post(
        f"{V1}:search", bytes(13 * 2**20), headers={"content-type": "image/png"}
    )
    problem(response, 413, "REQUEST_TOO_LARGE")


@pytest.mark.full
async def test_the_rest_of_a_refused_body_has_a_limited_time() -> None:
    async with serving_http({"head_seconds": 0.5}) as face:
        answer = await face.raw(HEAD + b"content-length: 50000000\r\n\r\n{")
        assert b"HTTP/1.1 413" in answer


@pytest.mark.full
async def test_bodies_that_are_held_have_a_limit() -> None:
    """Of three bodies of 3 MiB two fit: half of the bytes are for one caller."""
    size = 3 * 2**20
    async with serving_http({"max_bytes_in_flight": 4 * size, "body_seconds": 5.0}) as face:
        head = HEAD + b"content-length: %d\r\n\r\n" % size
        slow = [asyncio.ensure_future(face.raw(head + b" " * (size - 1))) for _ in range(2)]
        await asyncio.sleep(0.5)
        response = await face.post(f"{V1}:search", b" " * size)
        assert problem(response, 429, "BYTES_EXHAUSTED")["retryAfterSeconds"] == 1
        assert response.headers["retry-after"] == "1"
        answers = await asyncio.gather(*slow)
        assert all(b"REQUEST_LATE" in each for each in answers)


@pytest.mark.full
async def test_bytes_that_have_not_arrived_are_held_by_none() -> None:
    """Heads of large bodies, and of bodies of unknown size, take nothing from others."""
    async with serving_http({"max_bytes_in_flight": 2**22}) as face:
        known = HEAD + b"content-length: 8000000\r\n\r\n{"
        unknown = HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"
        slow = [asyncio.ensure_future(face.raw(each)) for each in [known, unknown] * 3]
        await asyncio.sleep(0.5)
        body = {"signals": [{"text": "x"}], "scene": "x" * 100_000}
        problem(await face.post(f"{V1}:search", body), 400, "REQUEST_INVALID")
        for each in slow:
            each.cancel()


async def test_a_photo_that_is_too_large_is_refused_readably_by_a_client_that_sends_it_whole(
    face: Face,
) -> None:
    """Such as urllib, which says `Connection: close`, and reads once it has sent everything."""
    size = 13 * 2**20

    def send() -> bytes:
        with socket.create_connection(("127.0.0.1", face.port), 30) as opened:
            head = HEAD.replace(b"application/json", b"image/png") + b"connection: close\r\n"
            opened.sendall(head + b"content-length: %d\r\n\r\n" % size)
            opened.sendall(bytes(size))
            return b"".join(iter(lambda: opened.recv(2**16), b""))

    answer = await asyncio.to_thread(send)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"REQUEST_TOO_LARGE" in answer


async def test_a_head_is_a_get_without_a_body(face: Face) -> None:
    response = await face.call("HEAD", f"{V1}/products/p1")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.full
async def test_a_body_that_never_ends_is_late() -> None:
    async with serving_http({"body_seconds": 0.5}) as face:
        answer = await face.raw(HEAD + b'content-length: 100\r\n\r\n{"signals"')
        assert b"HTTP/1.1 408" in answer
        assert b"REQUEST_LATE" in answer


async def test_a_head_that_never_ends_is_cut_off() -> None:
    async with serving_http({"head_seconds": 0.5}) as face:
        assert await face.raw(b"GET /live HT") == b""
        assert await face.raw(b"") == b""


async def test_a_head_is_not_held_without_an_end(face: Face) -> None:
    for bomb in (
        GET + b"a: " + b"x" * 200_000,
        GET + b"a: b\r\n" * 50_000,
        b"GET /" + b"x" * 200_000,
        GET + b"a: " + b"x" * 40_000 + b"\r\n\r\n",
        GET + b"a: b\r\n" * 500 + b"\r\n",
    ):
        answer = await face.raw(bomb)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431"), answer[:100]


async def test_what_is_not_http_is_a_problem(face: Face) -> None:
    for junk in (
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"HELLO\r\n\r\n",
        GET + b"content-length: -1\r\n\r\n",
        GET + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
    ):
        answer = await face.raw(junk + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 4"), (junk, answer[:200])
        assert answer.count(b"HTTP/1.1 4") == 1


async def test_pipelined_requests_are_answered_in_order(face: Face) -> None:
    last = GET.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
    answer = await face.raw((GET + b"\r\n") * 20 + b"GET /live HTTP/1.1\r\n\r\n" + last + b"\r\n")
    assert answer.count(b"HTTP/1.1 200") == 22
    assert answer.rindex(b"SERVING") < answer.rindex(b"Title p1")


async def test_idle_connections_are_closed_and_bounded() -> None:
    async with serving_http({"max_connections": 20, "head_seconds": 2.0}) as face:
        opened = [await asyncio.open_connection("127.0.0.1", face.port) for _ in range(60)]
        ended = await asyncio.gather(*(ends(reader) for reader, _ in opened))
        assert sum(ended) == 60
        for _, writer in opened:
            writer.close()
        assert (await face.call("GET", "/live")).status_code == 200


async def test_idle_connections_do_not_keep_others_out() -> None:
    async with serving_http({"max_connections": 20, "head_seconds": 60.0}) as face:
        opened = [await asyncio.open_connection("127.0.0.1", face.port) for _ in range(30)]
        for _ in range(25):  # each on a connection of its own, and none is closed for it
            answer = await face.raw(GET + b"connection: close\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200")
        assert await ends(opened[0][0]), "the oldest made room"
        assert not opened[-1][0].at_eof()
        for _, writer in opened:
            writer.close()


async def test_connections_with_requests_are_not_closed_for_others() -> None:
    async with serving_http({"max_connections": 3}) as face:
        script = face.suite.retriever.script
        script.hang.add("BatchGetProducts")
        asked = GET + b"x-request-timeout: 2\r\nconnection: close\r\n\r\n"
        ids = (b"p1", b"p2", b"p3")
        calls = [asyncio.ensure_future(face.raw(asked.replace(b"p1", each))) for each in ids]
        await until(lambda: len(script.seen) == len(ids))
        reader, writer = await asyncio.open_connection("127.0.0.1", face.port)
        assert await ends(reader)
        writer.close()
        assert all(each.startswith(b"HTTP/1.1 504") for each in await asyncio.gather(*calls))


async def ends(reader: asyncio.StreamReader) -> bool:
    """Return whether a connection is closed by the server."""
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 30)
    return True


@pytest.mark.full
async def test_a_reader_that_does_not_read_is_cut_off() -> None:
    async with serving_http({"reader_seconds": 0.5, "head_seconds": 600.0}) as face:
        _, writer = await asyncio.open_connection("127.0.0.1", face.port, limit=2**10)
        page = GET.replace(V1.encode() + b"/products/p1", b"/openapi.json") + b"\r\n"

        async def ask() -> None:
            while True:
                writer.write(page)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask(), 30)
        writer.close()
        assert (await face.call("GET", "/live")).status_code == 200


async def test_requests_in_progress_are_answered_before_a_stop() -> None:
    async with serving_http({"drain_seconds": 20.0}) as face:
        script = face.suite.retriever.script
        script.hang.add("BatchGetProducts")
        call = asyncio.ensure_future(
            face.raw(GET + b"x-request-timeout: 1\r\nconnection: close\r\n\r\n")
        )
        await script.arrived.wait()
    assert b"HTTP/1.1 504" in await call


BROKEN = (
    ("POST", f"{V1}:search", {"content": b"{", "headers": {"content-type": "application/json"}}),
    ("POST", f"{V1}:search", {"json": {"no_such_field": 1}}),
    ("POST", f"{V1}:search", {"content": b"{" * 2**17, "headers": {"content-type": "a/b"}}),
    ("POST", f"{V1}:search", {"content": b"[" * 2**17, "headers": {"content-type": JSON}}),
    ("GET", f"{V1}/products?page_size=x", {}),
    ("POST", "/sightline.gateway.v1.RecommendationService/Search", {"json": {"a": 1}}),
    (
        *("POST", "/sightline.gateway.v1.RecommendationService/Search"),
        {"content": b"\x00", "headers": {"content-type": "application/proto"}},
    ),
)
"""Requests that are no message of their call: small and large, of JSON and of Connect."""


@pytest.mark.parametrize(("verb", "path", "options"), BROKEN)
async def test_a_flood_of_broken_requests_uses_up_the_quota_of_its_caller(
    verb: str, path: str, options: dict[str, Any]
) -> None:
    async with serving_http(quota_calls=0.001, quota_burst_seconds=3600) as face:  # 3.6 calls
        answers = [await face.call(verb, path, **options) for _ in range(5)]
    assert [each.status_code for each in answers[:3]] == [answers[0].status_code] * 3
    assert 400 <= answers[0].status_code < 429
    assert {each.status_code for each in answers[3:]} == {429}
    assert b"QUOTA_EXHAUSTED" in answers[-1].content or b"resource_exhausted" in answers[-1].content


async def test_a_request_is_not_read_while_the_gateway_that_admits_its_caller_is_away() -> None:
    async with serving_http({"gateway_target": "127.0.0.1:1"}) as face:
        response = await face.post(f"{V1}:search", {"no_such_field": 1})
    problem(response, 503, "UNAVAILABLE")


async def test_the_request_that_is_charged_is_no_message_of_any_call() -> None:
    for method in public_methods():
        with pytest.raises(DecodeError):
            method.request.FromString(MALFORMED)
