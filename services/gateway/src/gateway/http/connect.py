"""The Connect protocol (connectrpc.com/docs/protocol), for the clients of browsers: unary calls in
JSON and in protobuf, and calls without side effects by GET."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from google.rpc import status_pb2

from gateway.http.contract import PublicMethod
from gateway.http.errors import (
    HeaderInvalid,
    HostForbidden,
    MediaTypeUnsupported,
    MethodNotAllowed,
)
from gateway.http.exchange import JSON, HttpAnswer, HttpRequest
from gateway.http.mapping import encode
from gateway.http.problems import STATUS, headers_of
from gateway.http.reading import BodyReader
from servicekit.errors import Code, ServiceError
from servicekit.rpc.requests import RequestInvalid
from servicekit.status import to_status

PROTO = "application/proto"
MOST = 20
"""Maximum number of parameters of a GET."""
VERSION = "connect-protocol-version"
ENCODINGS = {"json": JSON, "proto": PROTO}
CODES: Mapping[Code, str] = {code: code.lower() for code in Code} | {Code.CANCELLED: "canceled"}


def check(method: PublicMethod, request: HttpRequest) -> str:
    """Return the type of a request's messages, JSON or PROTO.

    Raises MethodNotAllowed, MediaTypeUnsupported, HeaderInvalid.
    """
    if request.verb == "GET" and method.reads and not method.streams:
        return _encoding(_query(request))
    if request.verb != "POST":
        raise MethodNotAllowed({"POST", "GET"} if method.reads else {"POST"})
    if request.headers.get(VERSION, "1") != "1":
        raise HeaderInvalid("Connect-Protocol-Version", "must be 1")
    if request.media_type not in (JSON, PROTO):
        raise MediaTypeUnsupported(f"Content-Type: this call reads {JSON} and {PROTO}")
    if method.streams:
        raise MediaTypeUnsupported("this call is a stream: use its address of /v1, or gRPC")
    return request.media_type


def _encoding(query: Mapping[str, str]) -> str:
    if query.get("connect", "v1") != "v1":
        raise RequestInvalid.at("connect", "must be v1")
    if query.get("compression", "identity") not in ("", "identity"):
        raise MediaTypeUnsupported("compression: messages in addresses are not decompressed")
    if query.get("encoding") not in ENCODINGS:
        raise MediaTypeUnsupported("encoding: must be json or proto")
    return ENCODINGS[query["encoding"]]


def _query(request: HttpRequest) -> Mapping[str, str]:
    """Return the parameters of a GET, decoded as Latin-1, so that bytes stay what they are.

    Raises RequestInvalid.
    """
    try:
        pairs = parse_qsl(
            request.query, keep_blank_values=True, encoding="latin-1", max_num_fields=MOST
        )
    except ValueError:
        raise RequestInvalid.at("query", f"has more than {MOST} parameters") from None
    return dict(pairs)


def message_of_query(request: HttpRequest) -> bytes:
    """Return the message in the address of a GET. Raises RequestInvalid."""
    query = _query(request)
    text = query.get("message", "")
    if query.get("base64") != "1":
        return text.encode("latin-1")
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Base64Error, ValueError):
        raise RequestInvalid.at("message", "is not valid base64") from None


async def read(method: PublicMethod, kind: str, reader: BodyReader) -> Any:
    """Return what is sent to the gateway: bytes of a protobuf message, unread, or a message."""
    if reader.request.verb == "GET":
        data = message_of_query(reader.request)
    else:
        data = await reader.body(reader.most if kind == PROTO else reader.most_json)
    if kind == PROTO:
        return data
    message = method.request()
    await reader.fill(message, data or b"{}")
    return message


def write(kind: str, answer: Any, headers: dict[str, str]) -> HttpAnswer:
    """Return the answer of a call, in the type of its request."""
    body = answer if kind == PROTO else encode.to_bytes(answer)
    return HttpAnswer(200, body, kind, headers)


def failure(error: ServiceError, request_id: str) -> HttpAnswer:
    """Return the answer that reports an error, with the details of a gRPC status."""
    members = {
        "code": CODES[error.code],
        "message": error.message,
        "details": list(_details(to_status(error))),
    }
    status = STATUS[error.code]
    if isinstance(error, MethodNotAllowed):
        status = 405
    if isinstance(error, MediaTypeUnsupported):
        status = 415
    if isinstance(error, HostForbidden):
        status = 421
    headers = headers_of(error) | {"x-request-id": request_id}
    return HttpAnswer(status, orjson.dumps(members), JSON, headers)


def _details(status: status_pb2.Status) -> Iterator[dict[str, Any]]:
    for detail in status.details:
        value = b64encode(detail.value).decode().rstrip("=")
        found = encode.writer(detail.DESCRIPTOR)(detail)
        yield {
            "type": detail.type_url.rpartition("/")[2],
            "value": value,
            "debug": {name: each for name, each in found.items() if name != "@type"},
        }
