"""Convert messages to plain values: each field of a value comes from the message's field of the
same name; differences are given. Both sides are compared when a reader is created, so that a field
that can't be read fails the import of this package, not a call.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import NoneType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2

from sightline_client.errors import SightlineError, from_status

V = TypeVar("V")
M = TypeVar("M", bound=Message)

_SCALARS = {
    FieldDescriptor.TYPE_INT32: int,
    FieldDescriptor.TYPE_INT64: int,
    FieldDescriptor.TYPE_UINT32: int,
    FieldDescriptor.TYPE_UINT64: int,
    FieldDescriptor.TYPE_FLOAT: float,
    FieldDescriptor.TYPE_DOUBLE: float,
    FieldDescriptor.TYPE_BOOL: bool,
    FieldDescriptor.TYPE_STRING: str,
    FieldDescriptor.TYPE_BYTES: bytes,
}

_readers: dict[tuple[type, str], Callable[[Any], Any]] = {}
"""Readers by value and message: a nested message is read by its own reader."""


def reader(
    kind: type[V], message: type[M], **given: str | Callable[[M], object]
) -> Callable[[M], V]:
    """Return a function that converts a message to a value of this dataclass. ``given``: for a
    field of the value, the name of the message's field, or a function of the whole message. A
    negative number is None where the value may be. TypeError for a field that can't be read."""
    return _reader(kind, cast("Descriptor", message.DESCRIPTOR), given)


def read(kind: type[V], message: Message) -> V:
    """Convert a message by the reader of this value. KeyError without one."""
    value: V = _readers[kind, message.DESCRIPTOR.full_name](message)
    return value


def _reader(
    kind: type[V], message: Descriptor, given: dict[str, str | Callable[[M], object]]
) -> Callable[[Any], V]:
    if unknown := given.keys() - {field.name for field in fields(kind)}:  # type: ignore[arg-type]
        raise TypeError(f"{kind.__name__} has no {', '.join(unknown)}")
    sources = {
        name: _source(hint, message, given.get(name, name))
        for name, hint in get_type_hints(kind).items()
    }

    def read(value: Message) -> V:
        return kind(**{name: source(value) for name, source in sources.items()})

    _readers[kind, message.full_name] = read
    return read


def _source(
    hint: Any, message: Descriptor, given: str | Callable[[M], object]
) -> Callable[[Any], object]:
    """Return the function that computes one field of a value from the whole message."""
    if not isinstance(given, str):
        return given
    if (field := message.fields_by_name.get(given)) is None:
        raise TypeError(f"{message.full_name} has no {given}")
    if get_origin(hint) is Mapping:
        return _mapping(hint, field)
    if field.is_repeated:
        convert = _conversion(get_args(hint)[0], field)
        return lambda value: tuple(map(convert, getattr(value, given)))
    if NoneType not in get_args(hint):
        convert = _conversion(hint, field)
        return lambda value: convert(getattr(value, given))
    (kind,) = set(get_args(hint)) - {NoneType}
    convert = _conversion(kind, field)
    if field.has_presence:
        return lambda value: convert(getattr(value, given)) if value.HasField(given) else None
    if kind is int:
        return lambda value: count if (count := getattr(value, given)) >= 0 else None
    if field.enum_type is None:
        raise TypeError(f"{field.full_name} is never None")
    return lambda value: convert(getattr(value, given))


def _mapping(hint: Any, field: FieldDescriptor) -> Callable[[Any], object]:
    """Return the function that reads pairs, such as names with their values, as a mapping."""
    key, value = field.message_type.fields
    if get_args(hint) != (_SCALARS.get(key.type), _SCALARS.get(value.type)):
        raise TypeError(f"{field.full_name} is not of type {hint}")
    first, second = key.name, value.name
    return lambda message: {
        getattr(pair, first): getattr(pair, second) for pair in getattr(message, field.name)
    }


def _conversion(kind: Any, field: FieldDescriptor) -> Callable[[Any], object]:
    """Return the function that converts a field's value to ``kind``."""
    if field.message_type is not None:
        made = _readers.get((kind, field.message_type.full_name))
        return made or _reader(kind, field.message_type, {})
    if field.enum_type is not None:
        return _member(kind, field.enum_type)
    if kind is not _SCALARS.get(field.type):
        raise TypeError(f"{field.full_name} is not of type {kind.__name__}")
    return lambda value: value


def _member(kind: type[StrEnum], wire: EnumDescriptor) -> Callable[[int], StrEnum | None]:
    """Return a function from a number to the enum's member.

    Unknown numbers become UNKNOWN or UNSPECIFIED, or None in an enum without either.
    """
    prefix = wire.values_by_number[0].name.removesuffix("UNSPECIFIED")
    ours = kind.__members__
    known = {
        each.number: ours[name]
        for each in wire.values
        if (name := each.name.removeprefix(prefix)) in ours
    }
    other = ours.get("UNKNOWN") or ours.get("UNSPECIFIED")
    return lambda number: known.get(number, other)


def time(value: Timestamp) -> datetime | None:
    """Convert a time; None if no datetime can hold it."""
    try:
        return value.ToDatetime(UTC)
    except (OverflowError, ValueError):
        return None


def span(value: Duration) -> timedelta:
    """Convert a duration; one that no timedelta can hold becomes the longest."""
    try:
        return value.ToTimedelta()
    except (OverflowError, ValueError):
        return timedelta.max if value.seconds > 0 else timedelta.min


def error(message: status_pb2.Status) -> SightlineError | None:
    """Convert a status; None = no error."""
    return from_status(message) if message.code else None


_readers |= {
    (datetime, "google.protobuf.Timestamp"): time,
    (timedelta, "google.protobuf.Duration"): span,
    (SightlineError, "google.rpc.Status"): error,
}
