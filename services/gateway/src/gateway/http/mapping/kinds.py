"""Kinds of fields and well-known types, for both directions of ProtoJSON."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

PACKAGE: Final = "google.protobuf."
ANY: Final = f"{PACKAGE}Any"
DURATION: Final = f"{PACKAGE}Duration"
MONEY: Final = "google.type.Money"
TEXTS: Final = frozenset((DURATION, f"{PACKAGE}Timestamp", f"{PACKAGE}FieldMask"))
"""Messages that are one JSON string; inside Any it is the `value`."""

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
    return tuple(each.json_name for each in descriptor.fields if each.is_repeated)


def new(descriptor: Any) -> Message:
    """Return an empty message of a type."""
    kind: type[Message] = message_factory.GetMessageClass(descriptor)
    return kind()
