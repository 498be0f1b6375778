"""Errors as HTTP answers: RFC 9457 problems with what the status of a gRPC call carries."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway.http import fixes
from gateway.http.errors import MethodNotAllowed
from gateway.http.exchange import PROBLEM, HttpAnswer
from servicekit.errors import Code, ServiceError
from servicekit.status import DOMAIN

STATUS: Final[Mapping[Code, int]] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.UNAUTHENTICATED: 401,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
}
"""HTTP status of each code, as google/rpc/code.proto maps them."""

EXACT: Final[Mapping[str, int]] = {
    "HOST_FORBIDDEN": 421,
    "METHOD_NOT_ALLOWED": 405,
    "REQUEST_LATE": 408,
    "REQUEST_TOO_LARGE": 413,
    "MEDIA_TYPE_UNSUPPORTED": 415,
    "PATH_NOT_FOUND": 404,
}
"""HTTP status of reasons for which HTTP has a status of its own."""

TITLES: Final[Mapping[Code, str]] = {
    Code.INVALID_ARGUMENT: "The request is invalid",
    Code.DEADLINE_EXCEEDED: "The deadline passed",
    Code.NOT_FOUND: "Not found",
    Code.ALREADY_EXISTS: "It exists already",
    Code.PERMISSION_DENIED: "The caller may not do this",
    Code.UNAUTHENTICATED: "The caller is not authenticated",
    Code.RESOURCE_EXHAUSTED: "A limit is reached",
    Code.FAILED_PRECONDITION: "The state has to change first",
    Code.ABORTED: "Lost against a concurrent change",
    Code.OUT_OF_RANGE: "The request points past the end",
    Code.UNIMPLEMENTED: "There is no such call",
    Code.UNAVAILABLE: "Try again later",
}

SHOWN: Final = 3
"""Wrong fields that the text of an error names."""


def status_of(error: ServiceError) -> int:
    """Return the HTTP status of an error."""
    return EXACT.get(error.reason, STATUS[error.code])


def problem(error: ServiceError, request_id: str, status: int | None = None) -> dict[str, Any]:
    """Return the members of a problem. `request_id`: empty = the request could not be read."""
    number = status or status_of(error)
    found: dict[str, Any] = {
        "type": fixes.type_of(error.reason),
        "title": TITLES.get(error.code, "The service failed"),
        "status": number,
        "detail": _detail(error),
        "code": str(error.code),
        "reason": error.reason,
        "domain": DOMAIN,
    }
    if request_id:
        found["requestId"] = request_id
    if fix := fixes.fixes().get(error.reason):
        found["fix"] = fix
    if error.metadata:
        found["metadata"] = dict(error.metadata)
    if error.violations:
        found["fieldViolations"] = [
            {"field": fixes.json_path(each.field), "description": each.description}
            for each in error.violations
        ]
    if error.retry_after is not None:
        found["retryAfterSeconds"] = error.retry_after.total_seconds()
    return found


def _detail(error: ServiceError) -> str:
    """Return the message of an error, with the names of wrong fields as in JSON."""
    text = error.message
    for each in error.violations[:SHOWN]:
        text = text.replace(f"{each.field}: ", f"{fixes.json_path(each.field)}: ")
    return text


def answer(error: ServiceError, request_id: str, status: int | None = None) -> HttpAnswer:
    """Return the answer that reports an error."""
    members = problem(error, request_id, status)
    headers = headers_of(error) | {"x-request-id": request_id}
    return HttpAnswer(members["status"], orjson.dumps(members), PROBLEM, headers)


def headers_of(error: ServiceError) -> dict[str, str]:
    """Return the headers that HTTP has for an error."""
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after.total_seconds()))
    if error.code is Code.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = error.allowed
    return headers
