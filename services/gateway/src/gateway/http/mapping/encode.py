"""Messages to JSON values.

`json_format` looks each field up anew and takes five times as long. Unset fields are omitted, as
json_format and gRPC transcoders omit them, but for the lists of answers. Money has an additional
member, `amount`.
"""

from __future__ import annotations

import math
from binascii import b2a_base64
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np
import orjson
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from gateway.http.mapping import amounts, kinds
from sightline.common.v1.product_pb2 import Product

Write = Callable[[Any], Any]

KEPT = 2_048
"""Maximum number of products whose JSON is kept."""
MOST_KEPT = 4_096
"""Maximum bytes of a product, as a message, whose JSON is kept."""
_SHORT, _NANOS = 10**9, 10**9
"""Seconds of durations that are written here, and nanoseconds of a second."""

_POOL: Any = descriptor_pool.Default()  # type: ignore[no-untyped-call]


def to_bytes(message: Message) -> bytes:
    """Return a message as JSON."""
    return dump(writer(message.DESCRIPTOR)(message))


def dump(value: Any) -> bytes:
    """Return a JSON value of `writer` as bytes."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


@cache
def writer(descriptor: Any) -> Write:
    """Return the function that turns messages of a type into JSON values, made once per type.

    Floats of 32 bits are numpy's, which orjson writes with as few digits as they need.
    """
    name = descriptor.full_name
    if name in _SPECIAL:
        return _SPECIAL[name]
    return _product if name == Product.DESCRIPTOR.full_name else _by_fields(descriptor)


@cache
def _by_fields(descriptor: Any) -> Write:
    rows: dict[Any, tuple[str, Write]] = {}
    lists = dict.fromkeys(kinds.lists(descriptor), ())

    def write(message: Any) -> dict[str, Any]:
        if not rows:  # later, as types may contain themselves
            rows.update({each: (each.json_name, _field(each)) for each in descriptor.fields})
        written: dict[str, Any] = dict(lists)
        for field, value in message.ListFields():
            key, each = rows[field]
            written[key] = each(value)
        return written

    return write


def _product(message: Any) -> orjson.Fragment:
    """Return the JSON of a product. Popular products are in many answers, and most fields of an
    answer are theirs."""
    data = message.SerializeToString()
    return _kept(data) if len(data) <= MOST_KEPT else _text_of(message)


@lru_cache(KEPT)
def _kept(data: bytes) -> orjson.Fragment:
    return _text_of(Product.FromString(data))


def _text_of(message: Any) -> orjson.Fragment:
    return orjson.Fragment(dump(_by_fields(Product.DESCRIPTOR)(message)))


def _field(field: Any) -> Write:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict  # texts by texts: the only map of answers is in google.rpc.ErrorInfo
    each = _single(field)
    if not field.is_repeated:
        return each
    if each is _same:
        return list
    return lambda values: [each(value) for value in values]


def _single(field: Any) -> Write:
    """Return the writer of one value of a field."""
    if field.message_type is not None:
        return writer(field.message_type)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _base64
    return _SCALARS.get(field.cpp_type, _same)


def _enum(descriptor: Any) -> Write:
    names = {value.number: value.name for value in descriptor.values}
    return lambda number: names.get(number, number)


def _same(value: Any) -> Any:
    return value


def _base64(value: bytes) -> str:
    return b2a_base64(value, newline=False).decode("ascii")


def _double(value: float) -> float | str:
    return value if math.isfinite(value) else _word(value)


def _float(value: float) -> Any:
    return np.float32(value) if math.isfinite(value) else _word(value)


def _word(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


_SCALARS: dict[int, Write] = {
    **dict.fromkeys(kinds.LONG, str),
    FieldDescriptor.CPPTYPE_DOUBLE: _double,
    FieldDescriptor.CPPTYPE_FLOAT: _float,
}


def _text(message: Any) -> str:
    return str(message.ToJsonString())


def _duration(message: Any) -> str:
    """Return a duration as `ToJsonString` writes it, in half of the time."""
    seconds, nanos = message.seconds, message.nanos
    if not (0 <= seconds < _SHORT and 0 <= nanos < _NANOS):
        return _text(message)
    if nanos % 1_000_000 == 0:
        return f"{seconds}.{nanos // 1_000_000:03d}s" if nanos else f"{seconds}s"
    return f"{seconds}.{nanos:09d}s" if nanos % 1_000 else f"{seconds}.{nanos // 1_000:06d}s"


def _money(message: Any) -> dict[str, Any]:
    """Return an amount as its fields, and as a decimal text."""
    written: dict[str, Any] = _by_fields(message.DESCRIPTOR)(message)
    if amount := amounts.text(message.units, message.nanos):
        written["amount"] = amount
    return written


def _any(message: Any) -> dict[str, Any]:
    """Return the message inside, or its bytes if its type is unknown here."""
    if not message.type_url:
        return {}
    named = {"@type": message.type_url}
    try:
        descriptor = _POOL.FindMessageTypeByName(message.type_url.rpartition("/")[2])
        inner = kinds.new(descriptor)
        inner.ParseFromString(message.value)
    except (KeyError, DecodeError):
        return {**named, "value": _base64(message.value)}
    value = (_SPECIAL.get(descriptor.full_name) or _by_fields(descriptor))(inner)
    return {**named, "value": value} if descriptor.full_name in kinds.TEXTS else named | value


_SPECIAL: dict[str, Write] = {
    **dict.fromkeys(kinds.TEXTS, _text),
    kinds.DURATION: _duration,
    kinds.MONEY: _money,
    kinds.ANY: _any,
}
