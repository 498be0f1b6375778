"""Conversion between values and messages by the names of fields, for calls outside of an answer's
path.

A field takes the attribute or key of its name, or that of `names`. Times and durations are
microseconds (times since 1970, UTC, or a datetime), also of an attribute that ends in `_micros`; a
time of 0 is unset. A count may take the attribute without `_count`. Enums are matched by name,
errors become statuses, and nested values nested messages. `None` leaves a field unset.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status
from google.type.money_pb2 import Money

from servicekit.rpc.requests import timestamp
from servicekit.status import to_status

M = TypeVar("M", bound=Message)
V = TypeVar("V")

_MOST_SECONDS = 2**40
"""Seconds that fit microseconds, of more than any field takes."""


class UnknownMember(ValueError):
    """An enum of a message is unspecified, or is none of the values."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is none of the known values")
        self.field = name


@dataclass(frozen=True, eq=False)
class MessageWriter:
    """Converts values of a service to messages."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Attributes of fields that have other names."""

    def __call__(self, kind: type[M], /, *values: object, **given: object) -> M:
        """Convert dataclasses or mappings, the first of which has a field counts, to a message.
        `given`: values of fields that they lack; fields without a value stay unset."""
        made: dict[str, Any] = {}
        for each in kind.DESCRIPTOR.fields:
            name = each.name
            found: Any = given.pop(name) if name in given else self._found(values, name)
            if found is not None:
                made[name] = (
                    [self._converted(each, one) for one in found]
                    if each.is_repeated
                    else self._converted(each, found)
                )
        return kind(**made, **given)

    def writer(
        self, kind: type[M], /, *types: type, **given: Callable[..., object] | None
    ) -> Callable[..., M]:
        """Return a function that converts values of these classes to a message; it also takes
        fields by name. `given`: for a field that the classes lack, a function of the values, or
        None if each call gives it. Raise TypeError for another field that they lack."""
        names = [each.name for each in kind.DESCRIPTOR.fields]
        known = {name for each in types for name in (*dir(each), *each.__annotations__)}
        if lacking := [n for n in names if n not in given and known.isdisjoint(self._names(n))]:
            raise TypeError(f"{kind.DESCRIPTOR.full_name}: nothing gives {', '.join(lacking)}")

        def write(*values: object, **more: object) -> M:
            made = {name: make and make(*values) for name, make in given.items()}
            return self(kind, *values, **made | more)

        return write

    def _names(self, field: str) -> tuple[str, ...]:
        """Return the names under which a value may have a field, the likeliest first."""
        micros = field.removesuffix("_time") + "_micros" if field.endswith("_time") else field
        return self.names.get(field, field), micros, field, field.removesuffix("_count")

    def _found(self, values: tuple[object, ...], field: str) -> Any:
        for value in values:
            for name in self._names(field):
                if isinstance(value, Mapping):
                    if name in value:
                        return value[name]
                elif hasattr(value, name):
                    return getattr(value, name)
        return None

    def _converted(self, field: FieldDescriptor, value: Any) -> Any:
        if field.enum_type is not None and isinstance(value, str | Enum):
            return _number(field.enum_type, value)
        if field.message_type is None or isinstance(value, Message | datetime):
            return value
        kind = GetMessageClass(field.message_type)
        if kind is Timestamp and isinstance(value, int):
            return timestamp(value) if value else None
        if kind is Duration:
            seconds, rest = divmod(value, 1_000_000)
            return Duration(seconds=seconds, nanos=1_000 * rest)
        if kind is Status:
            return to_status(value)
        if kind is Money:
            units, micros = divmod(value.micros, 1_000_000)
            return Money(currency_code=value.currency, units=units, nanos=micros * 1000)
        return self(kind, value)


message_of = MessageWriter()
"""Converts values whose attributes have the names of the fields."""


def _number(kind: EnumDescriptor, value: str | Enum) -> int:
    """Return the number of a name; what a message leaves unspecified is "NONE" in a value."""
    if value == "NONE":
        return 0
    name = (value if isinstance(value, str) else value.name).upper().replace("-", "_")
    return int(kind.values_by_name[_prefix(kind) + name].number)


def _prefix(kind: EnumDescriptor) -> str:
    first: str = kind.values_by_number[0].name
    return first.removesuffix("UNSPECIFIED")


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
