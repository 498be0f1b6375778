"""Queries and paths to messages (google/api/http.proto): dotted names of fields, and texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.http.mapping import kinds
from gateway.http.mapping.decode import SHOWN, Wrong, filler, reader, text_flag, unknown
from servicekit.rpc.requests import RequestInvalid

MOST = 1_000
"""Maximum number of parameters of a query."""
_NUMBER = re.compile(r"-?[0-9]{1,20}")
_BODY = "can't be in a query: use a call with a body"


def fill_from_query(message: Message, query: str) -> None:
    """Fill a message from the query of an address. Raises RequestInvalid."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MOST)
    except UnicodeDecodeError:
        raise RequestInvalid.at("query", "is not UTF-8") from None
    except ValueError:
        raise RequestInvalid.at("query", f"has more than {MOST} parameters") from None
    given: set[str] = set()
    for name, text in pairs:
        field, path = _set(message, name, text)
        if path in given and not field.is_repeated:
            raise RequestInvalid.at(path, "is given twice")
        given.add(path)


def fill_from_path(message: Message, values: Mapping[str, str]) -> None:
    """Set the fields that the address names.

    Raises RequestInvalid if the body or the query says something else.
    """
    for path, text in values.items():
        *outer, last = path.split(".")
        inner: Any = message
        for name in outer:
            inner = getattr(inner, name)
        if getattr(inner, last) not in ("", text):
            raise RequestInvalid.at(path, "differs from the one in the address: omit it")
        setattr(inner, last, text)


def _set(message: Message, name: str, text: str) -> tuple[Any, str]:
    """Set one field. Return its descriptor, and its path in the proto."""
    path: list[str] = []
    inner: Any = message
    *outer, last = name.split(".")
    try:
        for part in outer:
            inner = _inner(inner, _field(inner.DESCRIPTOR, part, path))
        field = _field(inner.DESCRIPTOR, last, path)
        _put(inner, field, text)
    except Wrong as wrong:
        raise RequestInvalid.at(".".join(path), wrong.description) from None
    return field, ".".join(path)


def _inner(message: Any, field: Any) -> Any:
    if field.message_type is None or field.is_repeated:
        raise Wrong(_BODY)
    return getattr(message, field.name)


def _field(descriptor: Any, name: str, path: list[str]) -> Any:
    for field in descriptor.fields:
        if name in (field.name, field.json_name):
            path.append(field.name)
            return field
    path.append(name[:SHOWN])
    raise unknown(name, descriptor)


def _put(message: Any, field: Any, text: str) -> None:
    if field.message_type is not None:
        if field.is_repeated or field.message_type.full_name not in kinds.TEXTS:
            raise Wrong(_BODY)
        filler(field.message_type)(getattr(message, field.name), text)
        return
    value = _value(field, text)
    if field.is_repeated:
        getattr(message, field.name).append(value)
        return
    oneof = field.containing_oneof
    if oneof is not None and message.WhichOneof(oneof.name) not in (None, field.name):
        raise Wrong("excludes another parameter")
    setattr(message, field.name, value)


def _value(field: Any, text: str) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return text_flag(text)
    if field.enum_type is not None and _NUMBER.fullmatch(text):
        return reader(field)(int(text))
    return reader(field)(text)
