"""The statuses and reasons of the errors of each call, for the description."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.http import conditions
from gateway.http.contract import HttpPattern, PublicMethod
from gateway.http.problems import EXACT, STATUS
from servicekit.admission.access import rule
from servicekit.errors import Code

STATUSES: Final = (400, 401, 403, 404, 408, 409, 412, 413, 415, 429, 503, 504)
"""Statuses that the description names; others are defects."""
ALWAYS: Final = (
    *("REQUEST_INVALID", "HEADER_INVALID", "TOKEN_MISSING", "TOKEN_INVALID", "ROLE_MISSING"),
    *("QUOTA_EXHAUSTED", "SERVICE_OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED"),
)
"""Reasons of errors of every call."""
OF_BODIES: Final = (
    *("REQUEST_MALFORMED", "REQUEST_LATE", "REQUEST_TOO_LARGE"),
    *("MEDIA_TYPE_UNSUPPORTED", "BYTES_EXHAUSTED"),
)
OF_STREAMS: Final = ("STREAMS_EXHAUSTED",)
OF_ADMINS: Final = ("ADMIN_PORT_ONLY",)
OF_PHOTOS: Final = (
    *("IMAGE_UNDECODABLE", "IMAGE_TOO_LARGE", "IMAGES_TOO_LARGE"),
    *("URI_FORBIDDEN", "URI_UNREADABLE"),
)
OF_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "catalog_id": ("CATALOG_NOT_FOUND", "CATALOG_DELETED", "CATALOG_FORBIDDEN"),
    "page_token": ("PAGE_TOKEN_INVALID",),
    "filter": ("FILTER_INVALID",),
    "image": OF_PHOTOS,
    "signals": OF_PHOTOS,
    "scene": ("SCENE_NOT_FOUND",),
    "min_index_token": ("INDEX_TOKEN_INVALID",),
    "shopper": ("SHOPPER_FORBIDDEN",),
    "etag": (conditions.MISMATCH,),
}
"""Reasons by the name of a field of the request, or of a message in it."""
_NAME = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")


def reasons(
    method: PublicMethod,
    pattern: HttpPattern,
    comments: Mapping[str, str],
    codes: Mapping[str, Sequence[str]],
) -> dict[int, list[str]]:
    """Return the reasons of each status, in the order of statuses. `codes`: of each reason."""
    found: dict[int, set[str]] = {}
    for reason in {*_reasons(method, pattern, comments)} & codes.keys():
        for code in codes[reason]:
            status = EXACT.get(reason, STATUS[Code(code)])
            found.setdefault(status, set()).add(reason)
    if not method.reads and conditions.has_etag(method.descriptor.input_type):
        found[412] = {conditions.MISMATCH}
    return {status: sorted(found[status]) for status in STATUSES if status in found}


def _reasons(
    method: PublicMethod, pattern: HttpPattern, comments: Mapping[str, str]
) -> Iterator[str]:
    yield from ALWAYS
    yield from OF_BODIES if pattern.has_body else ()
    yield from OF_STREAMS if method.streams else ()
    yield from OF_ADMINS if rule(method.name).admin else ()
    package = method.descriptor.input_type.file.package
    said = set(_of_method(method, package, comments))
    yield from said
    yield f"{package.split('.')[1].upper()}_UNAVAILABLE"
    for field in _fields(method.descriptor.input_type):
        yield from _NAME.findall(comments.get(field.full_name, ""))
        # A catalog that is created need not be there.
        if not (field.name == "catalog_id" and "CATALOG_EXISTS" in said):
            yield from OF_FIELDS.get(field.name, ())


def _of_method(method: PublicMethod, package: str, comments: Mapping[str, str]) -> Iterator[str]:
    """Yield the reasons that a call's comment names, or that of the call it is passed on to."""
    name = method.descriptor.name
    for described, text in comments.items():
        if described == method.descriptor.full_name or (
            described.startswith(f"{package}.") and described.endswith(f"Service.{name}")
        ):
            yield from _NAME.findall(text)


def _fields(descriptor: Any) -> Iterator[Any]:
    """Yield the fields of a request, and those of its messages that are no lists."""
    for field in descriptor.fields:
        yield field
        if field.message_type is not None and not field.is_repeated:
            yield from field.message_type.fields
