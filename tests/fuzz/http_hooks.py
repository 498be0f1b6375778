"""Requests and answers that schemathesis must not judge; it loads this module by
SCHEMATHESIS_HOOKS."""

from collections.abc import Iterator, Mapping
from typing import Any

import schemathesis

from gateway.http.openapi import HEADERS
from gateway.http.streams import EVENTS

_KNOWN = {name.lower() for name in (*HEADERS, "Authorization", "Content-Type", "Accept")}


@schemathesis.hook
def filter_headers(_context: Any, headers: Mapping[str, str] | None) -> bool:
    """Return whether all headers are known: HTTP ignores others, and no test expects an error."""
    return headers is None or {name.lower() for name in headers} <= _KNOWN


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Return whether all headers of a request are known, and no member of its body is null.

    `filter_headers` is asked about random requests alone, not about those of the phase `coverage`.
    A member that is null is one that is left out (protobuf's JSON mapping); the description does
    not say so of each.
    """
    return filter_headers(context, case.headers) and not has_null(case.body)


def has_null(body: object) -> bool:
    """Return whether a JSON body has a member that is null, at any depth."""
    if isinstance(body, dict):
        return any(each is None or has_null(each) for each in body.values())
    return isinstance(body, list) and any(map(has_null, body))


@schemathesis.hook
def before_load_schema(_context: Any, raw_schema: dict[str, Any]) -> None:
    """Describe an event in place of a stream: OpenAPI 3.1 has a schema of the whole body, which
    schemathesis applies to each event."""
    for content in _contents(raw_schema):
        if EVENTS in content:
            content[EVENTS]["schema"] = {"type": "object", "required": ["data"]}


def _contents(description: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the bodies of all answers, by media type."""
    for address in description["paths"].values():
        for operation in address.values():
            if isinstance(operation, dict):
                for answer in operation.get("responses", {}).values():
                    yield answer.get("content", {})
