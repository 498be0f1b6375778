"""Headers of HTTP applied to messages: etags, idempotency keys, and waiting for jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from google.protobuf.message import Message

from gateway.http.errors import HeaderInvalid
from servicekit.errors import ServiceError
from servicekit.rpc.requests import RequestInvalid
from servicekit.status import from_status

ETAG = "etag"
MISMATCH = "ETAG_MISMATCH"
"""Reason of an etag that is not the stored one."""
DEEPEST = 3
_QUOTED = re.compile(r'(?:W/)?"([^"]{1,256})"')
_KEY = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_WAIT = re.compile(r'(?:^|[,;\s])wait="?([0-9]{1,5})"?')


@cache
def _etag_path(descriptor: Any) -> tuple[str, ...]:
    """Return the path of the etag in a request; empty if it has none."""
    return next(_etag_paths(descriptor, ()), ())


def _etag_paths(descriptor: Any, before: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for field in descriptor.fields:
        if field.name == ETAG and not field.is_repeated:
            yield (*before, ETAG)
        elif field.message_type is not None and len(before) < DEEPEST - 1:
            yield from _etag_paths(field.message_type, (*before, field.name))


def has_etag(descriptor: Any) -> bool:
    """Return whether `If-Match` is a header of calls with this request."""
    return bool(_etag_path(descriptor))


def require_etag(message: Message, header: str) -> None:
    """Set the etag that `If-Match` requires of the only item of a request.

    Raises HeaderInvalid if the call has no etag, or the request several items.
    """
    found = _QUOTED.fullmatch(header.strip())
    path: Sequence[str] = _etag_path(message.DESCRIPTOR)
    if found is None or not path:
        raise HeaderInvalid("If-Match", 'must be one "etag", of a call that changes what has one')
    inner: Any = message
    for name in path[:-1]:
        inner = getattr(inner, name)
        if hasattr(inner, "add"):
            if len(inner) != 1:
                raise HeaderInvalid("If-Match", "needs a request for one item")
            inner = inner[0]
    if inner.etag not in ("", found[1]):
        raise RequestInvalid.at(".".join(path), "differs from If-Match: omit one of the two")
    inner.etag = found[1]


def etag_of(message: Any) -> str:
    """Return the etag of an answer, or of its only result; empty if it has none."""
    results: Any = getattr(message, "results", ())
    only = getattr(results[0], ETAG, "") if len(results) == 1 else ""
    return str(getattr(message, ETAG, "") or only)


def rejected(message: Any) -> ServiceError | None:
    """Return the error of the only item of a request, None if it was done."""
    results: Any = getattr(message, "results", ())
    status = getattr(results[0], "status", None) if len(results) == 1 else None
    return from_status(status) if status is not None and status.code else None


def failed_status(error: ServiceError, headers: Mapping[str, str]) -> int | None:
    """Return 412 for the error of a condition that `If-Match` gave; None: the error's own."""
    return 412 if error.reason == MISMATCH and "if-match" in headers else None


def matches(header: str, etag: str) -> bool:
    """Return whether `If-None-Match` names an etag."""
    return bool(etag) and (header.strip() == "*" or etag in _QUOTED.findall(header))


def take_key(message: Any, headers: Mapping[str, str]) -> None:
    """Set `request_id`, by which calls that start jobs are idempotent, from `Idempotency-Key`.

    Raises HeaderInvalid.
    """
    key = headers.get("idempotency-key")
    if key is None:
        return
    key = key.strip().strip('"')
    if not _KEY.fullmatch(key):
        raise HeaderInvalid("Idempotency-Key", "must be 1 to 128 letters, digits and ._:/+=-")
    if not hasattr(message, "request_id"):
        raise HeaderInvalid("Idempotency-Key", "is not a header of this call")
    if message.request_id not in ("", key):
        raise HeaderInvalid("Idempotency-Key", "differs from request_id: omit one of the two")
    message.request_id = key


def wait_seconds(headers: Mapping[str, str], longest: float) -> float:
    """Return the seconds of `Prefer: wait=N`; 0 without it."""
    found = _WAIT.search(headers.get("prefer", "").lower())
    return min(float(found[1]), longest) if found else 0.0
