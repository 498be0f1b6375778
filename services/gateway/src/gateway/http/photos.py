"""Photos as raw bodies and as parts of multipart/form-data, bound to the bytes fields of requests.

A part is named after its field, such as `signals[0].image`, or, where a request has one kind of
photo, `image` for the next one. The part `request` holds the other fields as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.http.errors import MediaTypeUnsupported
from gateway.http.exchange import off_loop
from gateway.http.mapping import decode
from gateway.http.reading import BodyReader
from servicekit.admission.entry_limits import RequestMalformed
from servicekit.rpc.requests import RequestInvalid

MULTIPART = "multipart/form-data"
RAW = ("image/", "application/octet-stream")
"""Beginnings of the types of bodies that are one photo."""
REQUEST = "request"
PHOTO = "image"
"""Name of the fields of photos that a query has."""
OVERHEAD = 2**16
"""Bytes of a form beside its files and its JSON."""
MOST_PARTS = 2_000
"""Maximum number of files of a form: 100 products of 20 photos."""
MOST_BOUNDARY = 70
MOST_HEAD = 2**10
"""Maximum bytes of the headers of a part."""
DEEPEST = 5

_DISPOSITION = re.compile(rb"(?i)\r\ncontent-disposition:([^\r\n]*)")
_OPTION = re.compile(r';\s*([A-Za-z*]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))')
_ESCAPED = re.compile(r"\\(.)")

_STEP = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[([0-9]{1,4})\])?")


@cache
def photo_path(descriptor: Any) -> tuple[str, ...]:
    """Return the path of the only photo field of a request; empty if it has none, or several."""
    found = list(_photo_fields(descriptor, ()))
    return found[0] if len(found) == 1 else ()


def _photo_fields(descriptor: Any, before: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for field in descriptor.fields:
        path = (*before, field.name)
        if field.type == FieldDescriptor.TYPE_BYTES and field.name == PHOTO:
            yield path
        elif field.message_type is not None and len(path) < DEEPEST:
            yield from _photo_fields(field.message_type, path)


async def read_form(message: Message, reader: BodyReader) -> None:
    """Fill a message from a form.

    Raises RequestMalformed, RequestInvalid, and as `BodyReader`.
    """
    kind = reader.request.headers.get("content-type", "")
    data = await reader.body(reader.most + OVERHEAD)
    parts = await off_loop(data, lambda: list(parts_of(kind, data)))
    requests = [content for name, _, content in parts if name == REQUEST]
    if len(requests) > 1:
        raise RequestInvalid.at(REQUEST, "is given twice")
    for text in requests:
        await reader.fill(message, text)
    for name, is_file, content in parts:
        if name != REQUEST:
            if not is_file:
                advice = f"is no file: fields belong into `{REQUEST}`"
                raise RequestInvalid.at(name[: decode.SHOWN], advice)
            put(message, name, content)


def parts_of(kind: str, data: bytes) -> Iterator[tuple[str, bool, bytes]]:
    """Yield name, whether it is a file, and content of each part of a form (RFC 7578).

    `kind`: its Content-Type. Raises RequestMalformed.
    """
    boundary = _options(kind).get("boundary", "").encode("latin-1")
    if not 0 < len(boundary) <= MOST_BOUNDARY:
        raise _malformed("it has no boundary")
    parts = (b"\r\n" + data).split(b"\r\n--" + boundary, MOST_PARTS + 2)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise _malformed(f"it has no end, or more than {MOST_PARTS} parts")
    for part in parts[1:-1]:
        head, end, content = part.lstrip(b" \t").partition(b"\r\n\r\n")
        if not end or not head.startswith(b"\r\n") or len(head) > MOST_HEAD:
            raise _malformed("a part has no head, or a long one")
        found = _DISPOSITION.search(head)
        options = _options(found[1].decode("utf-8", "replace")) if found else {}
        if "name" not in options:
            raise _malformed("a part has no name")
        yield options["name"], "filename" in options, content


def _options(header: str) -> dict[str, str]:
    """Return the parameters of a header such as `form-data; name="image"`."""
    return {
        each[1].lower(): each[3] if each[2] is None else _ESCAPED.sub(r"\1", each[2])
        for each in _OPTION.finditer(header)
    }


def _malformed(text: str) -> RequestMalformed:
    return RequestMalformed(f"the body is not multipart/form-data: {text}")


def put_raw(message: Message, data: bytes) -> None:
    """Set the photo of a request that has one kind of photo. Raises MediaTypeUnsupported."""
    if not photo_path(message.DESCRIPTOR):
        raise MediaTypeUnsupported("this call takes no photo as its body: send JSON, or a form")
    put(message, PHOTO, data)


def put(message: Message, name: str, data: bytes) -> None:
    """Set the bytes field of a path such as `signals[0].image`. Raises RequestInvalid."""
    path = photo_path(message.DESCRIPTOR)
    steps = [(step, -1) for step in path] if name == PHOTO and path else list(_steps(name))
    inner: Any = message
    for step, index in steps[:-1]:
        inner = _enter(inner, step, index, name)
    last = steps[-1][0]
    field = inner.DESCRIPTOR.fields_by_name.get(last)
    if field is None or field.type != FieldDescriptor.TYPE_BYTES or field.is_repeated:
        raise RequestInvalid.at(name[: decode.SHOWN], "is no field for a file")
    oneof = field.containing_oneof
    given = inner.WhichOneof(oneof.name) if oneof is not None else getattr(inner, last)
    if given:
        raise RequestInvalid.at(name[: decode.SHOWN], "is given twice")
    setattr(inner, last, data)


def _steps(name: str) -> Iterator[tuple[str, int]]:
    """Yield the fields of a path, each with its index; -1 without one."""
    for part in name.split(".")[: DEEPEST + 1]:
        found = _STEP.fullmatch(part)
        if found is None:
            raise RequestInvalid.at(name[: decode.SHOWN], "is no path of a field")
        yield found[1], int(found[2] or -1)


def _enter(message: Any, step: str, index: int, name: str) -> Any:
    """Return the message of a field; -1 or the next index adds one to a list."""
    field = message.DESCRIPTOR.fields_by_name.get(step)
    if field is None or field.message_type is None:
        raise RequestInvalid.at(name[: decode.SHOWN], "is no field for a file")
    held = getattr(message, step)
    if not field.is_repeated:
        return held
    if index in (-1, len(held)):
        return held.add()
    if index > len(held):
        raise RequestInvalid.at(name[: decode.SHOWN], "has no entry of this index before it")
    return held[index]
