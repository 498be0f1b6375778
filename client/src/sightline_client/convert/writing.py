"""Convert plain values to messages: each field of a value goes into the message's field of the same
name, and the differences are given.

Both sides are compared when a writer is made, so that a field without a counterpart fails the
import of this package, not a call.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

V = TypeVar("V")
M = TypeVar("M", bound=Message)

Converter = Callable[[Any], Any]
"""Converts a plain value to a message's field."""

_converters: dict[str, Converter] = {}
"""Converters from a value to a message, by the message's full name."""


def register(message: type[Message], convert: Converter) -> None:
    """Use ``convert`` for every field of this message's type."""
    _converters[message.DESCRIPTOR.full_name] = convert


def writer(
    kind: type[V], message: type[M], **given: str | Callable[[V], object] | None
) -> Callable[[V], M]:
    """Return a function that converts a value of this dataclass to a message, and register it.

    ``given``: for a field of the value the name of the message's field, or None when it is never
    sent; for a field of the message alone, a function of the whole value. TypeError for a field
    that the message lacks.
    """
    names = {field.name: given.get(field.name, field.name) for field in fields(kind)}  # type: ignore[arg-type]
    renamed = {name: wire for name, wire in names.items() if isinstance(wire, str)}
    known = message.DESCRIPTOR.fields_by_name
    convert = [(name, wire, field_converter(message, wire)) for name, wire in renamed.items()]
    steps = [(*step, known[step[1]].has_presence) for step in convert]
    whole = {wire: make for wire, make in given.items() if callable(make)}
    if unknown := given.keys() - {*names, *message.DESCRIPTOR.fields_by_name}:
        raise TypeError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")

    def write(value: V) -> M:
        found = {}
        for name, wire, make, presence in steps:
            part = getattr(value, name)
            # Elsewhere an empty value is the message's default.
            if part is not None if presence else part:
                found[wire] = make(part)
        return message(**found, **{wire: make(value) for wire, make in whole.items()})

    register(message, write)
    return write


def options_writer(
    names: Iterable[str], message: type[Message], **given: str
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return a function that converts options to the fields of a request. ``given``: the name of
    the message's field, for an option with another name. TypeError for an option that the
    message lacks."""
    wire = {name: given.get(name, name) for name in names}
    convert = {name: (field, field_converter(message, field)) for name, field in wire.items()}

    def write(options: Mapping[str, Any]) -> dict[str, Any]:
        sent = (
            (field, make(options[name]))
            for name, (field, make) in convert.items()
            if name in options
        )
        return {field: value for field, value in sent if value is not None}

    return write


def field_converter(message: type[Message], name: str) -> Converter:
    """Return the function that converts a plain value to the named field; None stays None, and a
    mapping becomes pairs. Raise TypeError if the message has no such field.
    """
    descriptor: Descriptor = message.DESCRIPTOR  # type: ignore[assignment]
    if (field := descriptor.fields_by_name.get(name)) is None:
        raise TypeError(f"{descriptor.full_name} has no {name}")
    pair = field.message_type
    if field.is_repeated and pair is not None and pair.full_name not in _converters:
        key, value = (part.name for part in pair.fields)
        return lambda given: [{key: first, value: second} for first, second in given.items()]
    one = _one(field)
    if field.is_repeated:
        return lambda value: [one(item) for item in ids(value)]
    return lambda value: None if value is None else one(value)


def _one(field: FieldDescriptor) -> Converter:
    if field.message_type is not None:
        return _converters[field.message_type.full_name]
    if field.enum_type is not None:
        return _number(field.enum_type)
    return lambda value: value


def _number(wire: EnumDescriptor) -> Converter:
    prefix = wire.values_by_number[0].name.removesuffix("UNSPECIFIED")
    known: dict[str, int] = {value.name.removeprefix(prefix): value.number for value in wire.values}

    def number(member: str) -> int:
        if (found := known.get(str(member))) is None:
            raise ValueError(f"{wire.full_name} has no {member}")
        return found

    return number


def ids(value: Any) -> list[Any]:
    """Return one text or several as a list: a lone text is one, not its letters."""
    return [value] if isinstance(value, str) else list(value)
