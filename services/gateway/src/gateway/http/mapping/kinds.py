"""Kinds of fields and well-known types, for both directions of ProtoJSON."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

PACKAGE: Final = "google.protobuf."
ANY: Final = f"{PACKAGE}Any"
STRUCT: Final = f"{PACKAGE}Struct"
VALUE: Final = f"{PACKAGE}Value"
LIST: Final = f"{PACKAGE}ListValue"
NULL: Final = f"{PACKAGE}NullValue"
DURATION: Final = f"{PACKAGE}Duration"
MONEY: Final = "google.type.Money"
TEXTS: Final = frozenset((DURATION, f"{PACKAGE}Timestamp", f"{PACKAGE}FieldMask"))
"""Messages that are one JSON string."""
WRAPPERS: Final = frozenset(
    f"{PACKAGE}{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
"""Messages that are the JSON value of their only field."""
VALUED: Final = TEXTS | WRAPPERS | {STRUCT, VALUE, LIST, ANY}
"""Messages whose JSON is not an object of their fields; inside Any they are its `value`."""

LONG: Final = frozenset((FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64))
"""Integers that are JSON strings, as JavaScript's numbers can't hold them."""
RANGES: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def lists(descriptor: Any) -> tuple[str, ...]:
    """Return the JSON names of the lists that a message always has: those of answers."""
    if not descriptor.name.endswith("Response"):
        return ()
    found = (each for each in descriptor.fields if each.is_repeated and not is_map(each))
    return tuple(each.json_name for each in found)


def is_map(field: Any) -> bool:
    """Return whether a field is a map."""
    kind = field.message_type
    return bool(kind and kind.has_options and kind.GetOptions().map_entry)


def new(descriptor: Any) -> Message:
    """Return an empty message of a type."""
    kind: type[Message] = message_factory.GetMessageClass(descriptor)
    return kind()
