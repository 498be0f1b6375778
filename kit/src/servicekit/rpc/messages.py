"""Conversion between values and messages, field by field: for calls that are not made for each
candidate of an answer.

A field of a message and the attribute of its name are the same. Enums are matched by name, times
and durations are microseconds (times since 1970, UTC; ``start_time`` is ``start_micros``), and
nested values are nested messages.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from servicekit.rpc.requests import timestamp

M = TypeVar("M", bound=Message)
V = TypeVar("V")

_MOST_SECONDS = 2**40
"""Seconds that fit microseconds, of more than any field takes."""


class UnknownMember(ValueError):
    """An enum of a message is unspecified, or is none of the values."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is none of the known values")
        self.field = name


@dataclass(frozen=True, slots=True)
class MessageWriter:
    """Converts values to messages."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Attributes of fields whose names differ."""
    converters: Mapping[type, Callable[[Any], Message]] = field(default_factory=dict)
    """Converters of values that are messages of other fields."""

    def __call__(self, kind: type[M], value: object, /, **given: object) -> M:
        """Convert a dataclass or mapping to a message; `given` adds fields that it does not have,
        or has otherwise. None, and a time of 0, leave a field unset."""
        made: dict[str, Any] = {}
        for each in kind.DESCRIPTOR.fields:
            name = each.name
            found: Any = given.pop(name) if name in given else self._attribute(value, name)
            if found is not None:
                made[name] = (
                    [self._converted(each, one) for one in found]
                    if each.is_repeated
                    else self._converted(each, found)
                )
        return kind(**made, **given)

    def _attribute(self, value: object, name: str) -> Any:
        known = self.names.get(name, _in_micros(name))
        if isinstance(value, Mapping):
            return value.get(known, value.get(name))
        return getattr(value, known, getattr(value, name, None))

    def _converted(self, of: FieldDescriptor, value: Any) -> Any:
        if of.enum_type is not None:
            return _number(of.enum_type, value)
        if of.message_type is None or isinstance(value, Message):
            return value
        if (convert := self.converters.get(type(value))) is not None:
            return convert(value)
        kind = GetMessageClass(of.message_type)
        if kind is Timestamp:
            return timestamp(value) if value else None
        if kind is Duration:
            seconds, rest = divmod(value, 1_000_000)
            return Duration(seconds=seconds, nanos=1_000 * rest)
        return self(kind, value)


message_of = MessageWriter()
"""Converts values whose attributes have the names of the fields."""


def _in_micros(name: str) -> str:
    return name.removesuffix("_time") + "_micros" if name.endswith("_time") else name


def _prefix(of: EnumDescriptor) -> str:
    first: str = of.values_by_number[0].name
    return first.removesuffix("UNSPECIFIED")


def _number(of: EnumDescriptor, value: Any) -> int:
    if value == "NONE":  # what a message leaves unspecified
        return 0
    if isinstance(value, str | Enum):
        name = value.upper().replace("-", "_") if isinstance(value, str) else value.name
        return int(of.values_by_name[_prefix(of) + name].number)
    return int(value)


def value_of(kind: type[V], message: Message, /, **given: object) -> V:
    """Convert a message to a dataclass; `given`: attributes that are read otherwise.

    What the message leaves unset, an attribute has by default. Attributes with a default for which
    the message has no field keep it. Raises UnknownMember.
    """
    return kind(**given, **_read(kind, message, given))


def _read(kind: type, message: Message, given: Mapping[str, object]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (hint, optional) in _attributes(kind).items():
        of = _field(message, name)
        if name in given or of is None:
            continue
        is_set = message.HasField(of.name) if of.has_presence else bool(getattr(message, of.name))
        if is_set or not optional:
            found[name] = _value(hint, of, getattr(message, of.name))
    return found


def _field(message: Message, name: str) -> FieldDescriptor | None:
    known: Mapping[str, FieldDescriptor] = message.DESCRIPTOR.fields_by_name
    return known.get(name) or known.get(name.removesuffix("_micros") + "_time")


@cache
def _attributes(kind: Any) -> Mapping[str, tuple[Any, bool]]:
    """Return by attribute its type, and whether it has a default."""
    hints = get_type_hints(kind)
    return {
        each.name: (
            hints[each.name],
            each.default is not MISSING or each.default_factory is not MISSING,
        )
        for each in fields(kind)
    }


def _value(hint: Any, of: FieldDescriptor, found: Any) -> Any:
    if of.is_repeated:
        return tuple(_one(get_args(hint)[0], of, each) for each in found)
    return _one(hint, of, found)


def _one(hint: Any, of: FieldDescriptor, found: Any) -> Any:
    if of.enum_type is not None:
        name = of.enum_type.values_by_number.get(found)
        member = "" if name is None else name.name.removeprefix(_prefix(of.enum_type))
        if member not in hint.__members__:
            raise UnknownMember(of.name)
        return hint[member]
    if isinstance(found, Timestamp | Duration):
        return micros_of(found)
    if of.message_type is not None:
        kinds = [each for each in get_args(hint) if each is not NoneType]
        return value_of(kinds[0] if kinds else hint, found)
    return found


def micros_of(message: Timestamp | Duration) -> int:
    """Return microseconds of a time or duration. Those before 0, or of no valid message, are -1."""
    if not (0 <= message.seconds < _MOST_SECONDS and 0 <= message.nanos < 10**9):
        return -1
    return message.seconds * 1_000_000 + message.nanos // 1_000
