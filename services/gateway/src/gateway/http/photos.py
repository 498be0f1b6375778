"""Photos as raw bodies and as parts of multipart/form-data, bound to the bytes fields of requests.

A part is named after its field, such as `signals[0].image`, or, where a request has one kind of
photo, `image` for the next one. The part `request` holds the other fields as JSON.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from gateway.http.errors import MediaTypeUnsupported
from gateway.http.exchange import HttpRequest
from gateway.http.mapping import decode, kinds
from servicekit.entry_limits import RequestMalformed
from servicekit.requests import RequestInvalid

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
DEEPEST = 5

_STEP = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[([0-9]{1,4})\])?")


class _InMemory(MultiPartParser):
    """Keeps photos in memory: nothing of a query's photo is written to a disk."""

    spool_max_size = 2**31 - 1


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
        elif field.message_type is not None and len(path) < DEEPEST and not kinds.is_map(field):
            yield from _photo_fields(field.message_type, path)


async def read_form(message: Message, request: HttpRequest, most: int) -> None:
    """Fill a message from a form. Raises RequestMalformed, RequestInvalid, and as `chunks`."""
    parser = _InMemory(
        Headers(request.headers),
        _stream(request.chunks(most + OVERHEAD)),
        max_files=MOST_PARTS,
        max_fields=2,
        max_part_size=most,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        text = getattr(error, "message", "") or "it has no boundary"
        raise RequestMalformed(f"the body is not multipart/form-data: {text}") from None
    try:
        parts = form.multi_items()
        bodies = [part for name, part in parts if name == REQUEST]
        if len(bodies) > 1:
            raise RequestInvalid.at(REQUEST, "is given twice")
        for body in bodies:
            text = await body.read() if isinstance(body, UploadFile) else body.encode()
            decode.fill(message, text)
        for name, part in parts:
            if name != REQUEST:
                put(message, name, await _file(name, part))
    finally:
        await form.close()


async def _stream(chunks: AsyncIterator[bytes]) -> Any:
    async for chunk in chunks:
        yield chunk


async def _file(name: str, part: UploadFile | str) -> bytes:
    if isinstance(part, str):
        raise RequestInvalid.at(name[: decode.SHOWN], f"is no file: fields belong into `{REQUEST}`")
    return await part.read()


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
    if field is None or field.message_type is None or kinds.is_map(field):
        raise RequestInvalid.at(name[: decode.SHOWN], "is no field for a file")
    held = getattr(message, step)
    if not field.is_repeated:
        return held
    if index in (-1, len(held)):
        return held.add()
    if index > len(held):
        raise RequestInvalid.at(name[: decode.SHOWN], "has no entry of this index before it")
    return held[index]
