"""Random messages of any type, and a type with each kind of field that protobuf has."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    message_factory,
    timestamp_pb2,
)
from google.protobuf.descriptor import FieldDescriptor as Field
from google.rpc import error_details_pb2

POOL: Any = descriptor_pool.Default()
TEXTS = ("", "a", "Rosé – 0,75 l", 'quote " and \\ and \n', '":":":', "日本語🍷", "\u0000\u001f")
DEEPEST = 4
SCALARS = (
    *("string", "bool", "int32", "int64", "uint32", "uint64", "sint32", "fixed64"),
    *("double", "float", "bytes", "sint64", "fixed32", "sfixed32", "sfixed64"),
)
WELL_KNOWN = {
    "google.protobuf.Timestamp": timestamp_pb2,
    "google.protobuf.Duration": duration_pb2,
    "google.protobuf.FieldMask": field_mask_pb2,
}


def every_kind() -> Any:
    """Return the class of a message with all kinds of fields, made at the first call."""
    try:
        found = POOL.FindMessageTypeByName("test.EveryKind")
    except KeyError:
        POOL.Add(_every_kind())
        found = POOL.FindMessageTypeByName("test.EveryKind")
    return message_factory.GetMessageClass(found)


def _every_kind() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="test/every_kind.proto", package="test", syntax="proto3"
    )
    file.dependency.extend(sorted({m.DESCRIPTOR.name for m in WELL_KNOWN.values()}))
    enum = file.enum_type.add(name="Colour")
    for number, name in enumerate(("COLOUR_UNSPECIFIED", "COLOUR_RED", "COLOUR_WHITE")):
        enum.value.add(name=name, number=number)
    message = file.message_type.add(name="EveryKind")
    types = {name: getattr(Field, f"TYPE_{name.upper()}") for name in SCALARS}
    own = {"test.Colour": Field.TYPE_ENUM, "test.EveryKind": Field.TYPE_MESSAGE}
    named = own | dict.fromkeys(WELL_KNOWN, Field.TYPE_MESSAGE)

    def add(name: str, kind: int, of: str = "", **more: Any) -> Any:
        number = len(message.field) + 1
        field = message.field.add(name=name, number=number, type=kind, label=more.pop("label", 1))
        if of:
            field.type_name = f".{of}"
        for key, value in more.items():
            setattr(field, key, value)
        return field

    message.oneof_decl.add(name="choice")
    for name, kind in types.items():
        add(f"one_{name}", kind)
        add(f"many_{name}", kind, label=3)
        add(f"choice_{name}", kind, oneof_index=0)
    for of, kind in named.items():
        short = of.rpartition(".")[2].lower()
        add(f"one_{short}", kind, of)
        add(f"many_{short}", kind, of, label=3)
        add(f"choice_{short}", kind, of, oneof_index=0)
    for index, name in enumerate(("double", "int64", "string", "bool"), start=1):
        message.oneof_decl.add(name=f"_maybe_{name}")
        add(f"maybe_{name}", types[name], oneof_index=index, proto3_optional=True)
    return file


def fill(message: Any, rng: random.Random, share: float = 0.5, depth: int = 0) -> Any:
    """Set each field of a message with the probability `share`, and return the message."""
    if isinstance(message, any_pb2.Any) or message.DESCRIPTOR.full_name in WELL_KNOWN:
        return _fill_known(message, rng, depth)
    for field in message.DESCRIPTOR.fields:
        if rng.random() > share:
            continue
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            texts = {rng.choice(TEXTS): rng.choice(TEXTS) for _ in range(3)}
            getattr(message, field.name).update(texts)
        elif kind is not None:
            if depth >= DEEPEST:
                continue
            held = getattr(message, field.name)
            each = [held.add() for _ in range(rng.randint(1, 3))] if field.is_repeated else [held]
            for one in each:
                if not field.is_repeated:
                    one.SetInParent()
                fill(one, rng, share / 2, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).extend(
                scalar(field, rng) for _ in range(rng.randint(1, 4))
            )
        else:
            setattr(message, field.name, scalar(field, rng))
    return message


def _fill_known(message: Any, rng: random.Random, depth: int) -> Any:
    name = message.DESCRIPTOR.name
    if name == "Timestamp":
        message.seconds, message.nanos = (
            rng.randint(0, 4_000_000_000),
            rng.choice((0, 5_000_000, 1)),
        )
    elif name == "Duration":
        sign = rng.choice((1, -1))
        message.seconds, message.nanos = (
            sign * rng.randint(0, 10**9),
            sign * rng.choice((0, 10, 5 * 10**8)),
        )
    elif name == "FieldMask":
        message.paths.extend(rng.sample(("title", "category_path", "images.image_id"), 2))
    else:
        details = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
        inner = rng.choice((*details, duration_pb2.Duration()))
        message.Pack(fill(inner, rng, 0.8, depth + 1), deterministic=True)
    return message


def scalar(field: Any, rng: random.Random) -> Any:
    """Return a random value of a field, often one at the end of its range."""
    kind = field.cpp_type
    if field.enum_type is not None:
        return rng.choice([value.number for value in field.enum_type.values] + [77])
    if kind == Field.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if field.type == Field.TYPE_BYTES:
        return rng.randbytes(rng.randint(0, 20))
    if kind == Field.CPPTYPE_STRING:
        return rng.choice(TEXTS)
    if kind == Field.CPPTYPE_DOUBLE:
        return rng.choice(
            (0.0, -0.0, 0.1, 1e300, 5e-324, math.nan, math.inf, -math.inf, rng.gauss(0, 9))
        )
    if kind == Field.CPPTYPE_FLOAT:
        drawn = rng.choice(
            (0.0, 0.1, 3.4e38, math.nan, math.inf, rng.gauss(0, 9), rng.random() * 1e9)
        )
        return struct.unpack("<f", struct.pack("<f", drawn))[0]
    bits = 32 if kind in (Field.CPPTYPE_INT32, Field.CPPTYPE_UINT32) else 64
    signed = kind in (Field.CPPTYPE_INT32, Field.CPPTYPE_INT64)
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return rng.choice((least, most, 0, 1, rng.randint(least, most)))
