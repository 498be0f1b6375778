"""The OpenAPI 3.1 description of the HTTP face, from the tables that it answers by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from gateway.http import comments, conditions, examples, failures, fixes, photos, problems
from gateway.http.contract import HttpPattern, PublicMethod
from gateway.http.examples import Examples
from gateway.http.exchange import JSON, PROBLEM
from gateway.http.mapping import kinds
from gateway.http.schemas import Schema, Schemas
from gateway.http.streams import EVENTS
from servicekit.admission.access import rule
from servicekit.errors import NotFound

JOB = "sightline.common.v1.Job"
PHOTOS_MIB = 1
"""Methods with larger requests take photos."""

ORDER = ("RecommendationService", "CatalogService", "UserEventService", "DetectionService")
"""Services that shops call, in the order of the description; all others follow."""
LONGEST = 100
"""Characters of a summary."""
_END = re.compile(r"[.:;](?: |$)")

HEADERS: Mapping[str, Schema] = {
    "X-Request-Id": {
        "description": "Id of the request in logs: 1 to 128 letters, digits and ._:/+=-. Any other"
        " is replaced by a new one.",
        "schema": {"type": "string"},
    },
    "X-Request-Timeout": {
        "description": "Seconds until the call ends with DEADLINE_EXCEEDED.",
        "schema": {"type": "number", "minimum": 0.001, "maximum": 999_999},
    },
    "Idempotency-Key": {
        "description": "Sets request_id: calls that start a job return the same job for a key.",
        "schema": {"type": "string", "maxLength": 128},
    },
    "If-Match": {
        "description": "Etag that the only item of the request must have; 412 if it has another.",
        "schema": {"type": "string", "examples": ['"2f1c"']},
    },
    "If-None-Match": {
        "description": "Etag that the caller has: the answer is 304 if it is current.",
        "schema": {"type": "string", "examples": ['"2f1c"']},
    },
    "Prefer": {
        "description": "`wait=N`: answer when the job has ended, or after N seconds.",
        "schema": {"type": "string", "examples": ["wait=30"]},
    },
    "Last-Event-ID": {
        "description": "Number of the last event that the caller has.",
        "schema": {"type": "string"},
    },
}
"""Headers of requests."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Texts and examples of the calls, from pages and protos."""

    comments: Mapping[str, str]
    """By full name of what they describe."""
    codes: Mapping[str, Sequence[str]]
    """The gRPC codes of each reason of an error."""
    requests: Mapping[str, Any]
    """Requests in JSON that the pages show, by full name of their call."""


def sources() -> Sources:
    """Return those of this package."""
    return Sources(comments.comments(), fixes.codes(), examples.shown())


def describe(methods: Sequence[PublicMethod], said: Sources, server: str = ".") -> Schema:
    """Return the description of calls. `server`: their address, relative to that of the
    description."""
    methods = sorted(methods, key=_place)
    schemas = Schemas(said.comments, {each for method in methods for each in _in_paths(method)})
    made = Examples(said.comments, schemas, said.requests)
    paths: dict[str, Schema] = {}
    for method in methods:
        for number, pattern in enumerate(method.patterns):
            operation = _operation(method, pattern, number, schemas, made)
            operation["responses"] = _responses(method, pattern, schemas, said)
            paths.setdefault(_plain(pattern.path), {})[pattern.verb.lower()] = operation
    schemas.made["Problem"] = _problem()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sightline",
            "description": "Visual product recommendations. Every call is also a call of gRPC, with"
            " the same names, limits, roles and errors. Each status of an error names the reasons"
            " that the contract has for the call; those of single items of a batch are in an answer"
            " with 200.",
            "version": "v1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "security": [{"token": []}, {}],
        "tags": _tags(methods, schemas),
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.made.items())),
            "parameters": {
                name: {"name": name, "in": "header", **header} for name, header in HEADERS.items()
            },
            "examples": {
                _short(answer): {"value": made.answer(answer)}
                for answer in sorted(
                    {method.descriptor.output_type for method in methods},
                    key=lambda each: each.full_name,
                )
            },
            "responses": {"Problem": _failed()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _place(method: PublicMethod) -> int:
    """Return the place of a call's service; the calls of a service keep their order."""
    name = method.descriptor.containing_service.name
    return ORDER.index(name) if name in ORDER else len(ORDER)


def _summary(text: str) -> str:
    """Return the first sentence of a comment; of a long one, what is before a comma."""
    sentence = _END.split(text, maxsplit=1)[0]
    return sentence if len(sentence) <= LONGEST else sentence[:LONGEST].rpartition(",")[0]


def _tags(methods: Sequence[PublicMethod], schemas: Schemas) -> list[Schema]:
    services = {method.descriptor.containing_service.name: method for method in methods}
    return [
        {"name": name} | schemas.described(method.descriptor.containing_service)
        for name, method in services.items()
    ]


def _operation(
    method: PublicMethod, pattern: HttpPattern, number: int, schemas: Schemas, made: Examples
) -> Schema:
    request = made.request(method)
    service = method.descriptor.containing_service.name
    access, said = rule(method.name), schemas.described(method.descriptor)
    operation: Schema = {
        "operationId": f"{service}_{method.descriptor.name}" + (f"_{number + 1}" if number else ""),
        "tags": [service],
        "summary": _summary(said.get("description", "")),
        **said,
        "x-roles": sorted(access.roles),
        "parameters": [*_fields(method, pattern, schemas, request), *_headers(method, pattern)],
    }
    if access.admin:
        operation["x-admin-port"] = True
    if pattern.has_body:
        # A request without a body is one without fields.
        needed = schemas.needs_fields(method.descriptor.input_type)
        content = _bodies(method, schemas)
        content[JSON]["example"] = _without(request, _names(pattern))
        operation["requestBody"] = {"required": needed, "content": content}
    return operation


def _responses(
    method: PublicMethod, pattern: HttpPattern, schemas: Schemas, said: Sources
) -> Schema:
    """Return the answer, and one response for each status of errors with their reasons."""
    problem = {"$ref": "#/components/responses/Problem"}
    found = failures.reasons(method, pattern, said.comments, said.codes)
    failed = {
        str(status): problem | {"description": ", ".join(f"`{each}`" for each in reasons)}
        for status, reasons in found.items()
    }
    return {"200": _answer(method, schemas), **failed, "default": problem}


def _fields(
    method: PublicMethod, pattern: HttpPattern, schemas: Schemas, request: Mapping[str, Any]
) -> Iterator[Schema]:
    """Yield the fields that path and query hold, with their values in an example."""
    named = _names(pattern)
    for name in named:
        schema = schemas.field(_find(method.descriptor.input_type, name))
        example = {"example": _value_at(request, name)}
        yield {"name": _last(name), "in": "path", "required": True, **_moved(schema), **example}
    if pattern.has_body:
        return
    for field in method.descriptor.input_type.fields:
        kind = field.message_type
        if field.name not in named and (kind is None or kind.full_name in kinds.TEXTS):
            name = field.json_name
            example = {"example": request[name]} if name in request else {}
            yield {"name": name, "in": "query", **_moved(schemas.field(field)), **example}


def _value_at(request: Mapping[str, Any], path: str) -> Any:
    """Return the value of a field that a path names, such as `request.catalog_id`."""
    value: Any = request
    for name in path.split("."):
        value = value[_json_name(name)]
    return value


def _without(request: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """Return a request without the fields that its address holds."""
    found = dict(request)
    for path in paths:
        first, _, rest = path.partition(".")
        name = _json_name(first)
        if rest:
            found[name] = _without(found[name], [rest])
        else:
            del found[name]
    return found


def _json_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _names(pattern: HttpPattern) -> list[str]:
    """Return the names of the fields in a path."""
    return [part.partition("}")[0] for part in pattern.path.split("{")[1:]]


def _plain(path: str) -> str:
    """Return a path with names that generators of clients take: without the messages around."""
    return re.sub(r"{[^}]*[.]", "{", path)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _in_paths(method: PublicMethod) -> Iterator[str]:
    """Yield the full names of the fields in the paths of a call."""
    for pattern in method.patterns:
        for name in _names(pattern):
            yield _find(method.descriptor.input_type, name).full_name


def _find(descriptor: Any, path: str) -> Any:
    *outer, last = path.split(".")
    for name in outer:
        descriptor = descriptor.fields_by_name[name].message_type
    return descriptor.fields_by_name[last]


def _moved(schema: Schema) -> Schema:
    """Return the members of a parameter: its description is not part of its schema."""
    text = schema.pop("description", "")
    return ({"description": text} if text else {}) | {"schema": schema}


def _headers(method: PublicMethod, pattern: HttpPattern) -> Iterator[Schema]:
    names = ["X-Request-Id", "X-Request-Timeout"]
    if not method.reads:
        names.append("Idempotency-Key")
        if conditions.has_etag(method.descriptor.input_type):
            names.append("If-Match")
    elif "etag" in method.descriptor.output_type.fields_by_name and pattern.verb == "GET":
        names.append("If-None-Match")
    if method.streams:
        names.append("Last-Event-ID")
    elif method.descriptor.output_type.full_name == JOB:
        names.append("Prefer")
    for name in names:
        yield {"$ref": f"#/components/parameters/{name}"}


def _bodies(method: PublicMethod, schemas: Schemas) -> Schema:
    request = schemas.ref(method.descriptor.input_type)
    bodies: Schema = {JSON: {"schema": request}}
    if method.most_bytes > PHOTOS_MIB * 2**20 and _takes_files(method.descriptor.input_type):
        bodies[photos.MULTIPART] = {
            "schema": {
                "type": "object",
                "properties": {photos.REQUEST: request},
                "additionalProperties": {"type": "string", "contentMediaType": "image/*"},
                "description": "Each photo is a part named after its field.",
            },
            "encoding": {photos.REQUEST: {"contentType": JSON}},
        }
        if photos.photo_path(method.descriptor.input_type):
            bodies["image/*"] = {"schema": {"type": "string", "contentMediaType": "image/*"}}
    return bodies


def _takes_files(descriptor: Any, depth: int = 0) -> bool:
    return any(
        field.type == FieldDescriptor.TYPE_BYTES
        or (
            field.message_type is not None
            and depth < photos.DEEPEST
            and _takes_files(field.message_type, depth + 1)
        )
        for field in descriptor.fields
    )


def _answer(method: PublicMethod, schemas: Schemas) -> Schema:
    schema = schemas.ref(method.descriptor.output_type)
    example = {"$ref": f"#/components/examples/{_short(method.descriptor.output_type)}"}
    if method.streams:
        text = "Events, each with a message as `data`; then an event `end`, or `error`."
        return {
            "description": text,
            "content": {
                EVENTS: {
                    "schema": {"type": "string"},
                    "x-event-data": schema,
                    "x-event-example": example,
                }
            },
        }
    text = schemas.described(method.descriptor.output_type).get("description", "The answer.")
    return {
        "description": text,
        "content": {JSON: {"schema": schema, "examples": {"one": example}}},
    }


def _short(descriptor: Any) -> str:
    return str(descriptor.full_name).removeprefix("sightline.")


def _failed() -> Schema:
    """Return the response of every error."""
    error = NotFound("this catalog has no such product", reason="PRODUCT_NOT_FOUND")
    return {
        "description": "The call failed; `reason` says why.",
        "content": {
            PROBLEM: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": problems.problem(error, "request-1"),
            }
        },
    }


def _problem() -> Schema:
    violation = {
        "type": "object",
        "properties": {
            "field": {"type": "string", "examples": ["signals[0].weight"]},
            "description": {"type": "string"},
        },
    }
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "An error (RFC 9457) with what the status of a gRPC call carries.",
        "properties": {
            "type": {
                **text,
                "format": "uri-reference",
                "description": "The reason's row of the page /errors of this server.",
                "examples": [fixes.type_of("PRODUCT_NOT_FOUND")],
            },
            "title": text,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {**text, "description": "What is wrong, for a person."},
            "fix": {**text, "description": "What to do about the reason, for a person."},
            "code": {**text, "enum": [*sorted(map(str, problems.TITLES)), "INTERNAL", "UNKNOWN"]},
            "reason": {**text, "description": "Stable, for programs: docs/integrate/errors.md."},
            "domain": text,
            "requestId": text,
            "metadata": {"type": "object", "additionalProperties": text},
            "fieldViolations": {"type": "array", "items": violation},
            "retryAfterSeconds": {"type": "number", "minimum": 0},
        },
        "required": ["type", "title", "status", "detail", "code", "reason", "requestId"],
    }
