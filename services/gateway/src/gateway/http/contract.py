"""The public calls, read from the descriptors: a call in a proto is served without more code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.api import annotations_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from servicekit.admission.limits import ENTRIES, request_bytes
from servicekit.rpc.owned import public_services
from sightline.common.v1 import limits_pb2


@dataclass(frozen=True, slots=True)
class HttpPattern:
    """One binding of a call, from `google.api.http`."""

    verb: str
    """HTTP method, such as POST."""
    path: str
    """Pattern, such as /v1/catalogs/{catalog_id}:search."""
    has_body: bool
    """True if the fields that the path does not name are in the body, else in the query."""


@dataclass(frozen=True, slots=True)
class PublicMethod:
    """A call that callers may make."""

    descriptor: Any
    path: str
    """Path of gRPC and Connect: /package.Service/Method."""
    request: type[Message]
    answer: type[Message]
    streams: bool
    """True if the answer is a stream."""
    reads: bool
    """True if the call has no side effects."""
    most_bytes: int
    """Maximum bytes of an encoded request."""
    most_entries: int
    """Maximum number of entries in all lists of a request."""
    patterns: tuple[HttpPattern, ...]

    @property
    def name(self) -> str:
        """Full name as in metrics: package.Service/Method."""
        return self.path[1:]


def public_methods() -> tuple[PublicMethod, ...]:
    """Return the public calls, in the order of their files, without those that have a stream of
    requests: HTTP has none."""
    return tuple(
        _method(method)
        for service in public_services()
        for method in service.methods
        if not method.client_streaming
    )


def _method(method: Any) -> PublicMethod:
    options = method.GetOptions()
    return PublicMethod(
        method,
        f"/{method.containing_service.full_name}/{method.name}",
        message_factory.GetMessageClass(method.input_type),
        message_factory.GetMessageClass(method.output_type),
        bool(method.server_streaming),
        options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS,
        request_bytes(options.Extensions[limits_pb2.limits]),
        options.Extensions[limits_pb2.limits].entries or ENTRIES,
        tuple(_patterns(options.Extensions[annotations_pb2.http])),
    )


def _patterns(rule: Any) -> Iterator[HttpPattern]:
    for each in (rule, *rule.additional_bindings):
        if verb := each.WhichOneof("pattern"):
            yield HttpPattern(verb.upper(), getattr(each, verb), each.body == "*")
