"""Conversion between values and messages by the names of fields: for calls that are not made for
each candidate of an answer.

A field takes the attribute or key of its name, or that of `names`. Times and durations are
microseconds (times since 1970, UTC; ``start_time`` is ``start_micros``), datetimes or, as mappings,
their fields; a time of 0 is unset. A count may take the attribute without
``_count``. Enums are matched by name, errors become statuses, and nested values nested messages.
`None` leaves a field unset.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status
from google.type.money_pb2 import Money

from servicekit.rpc.requests import duration, timestamp
from servicekit.status import to_status
from servicekit.telemetry import Stage

M = TypeVar("M", bound=Message)
V = TypeVar("V")

_MOST_SECONDS = 2**40
"""Seconds that fit microseconds, of more than any field takes."""


class UnknownMember(ValueError):
    """An enum of a message is unspecified, or is none of the values."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is none of the known values")
        self.field = name


class _Field(NamedTuple):
    """A field of a message."""

    name: str
    attributes: tuple[str, ...]
    """Attributes of a value that it may take, the likeliest first."""
    is_repeated: bool
    has_presence: bool
    numbers: Mapping[str, int] | None
    """Of an enum: its numbers by name, without the prefix of all."""
    kind: type[Message] | None
    """Of a message: its class."""

    @property
    def members(self) -> Mapping[int, str]:
        """Names of an enum by number."""
        return {number: name for name, number in (self.numbers or {}).items()}


def _field(of: FieldDescriptor) -> _Field:
    name: str = of.name
    micros = name.removesuffix("_time") + "_micros" if name.endswith("_time") else name
    numbers = None
    if of.enum_type is not None:
        prefix = of.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        numbers = {each.name.removeprefix(prefix): each.number for each in of.enum_type.values}
    return _Field(
        name,
        tuple(dict.fromkeys((micros, name, name.removesuffix("_count")))),
        of.is_repeated,
        of.has_presence,
        numbers,
        None if of.message_type is None else GetMessageClass(of.message_type),
    )


_fields: Callable[[Any], Mapping[str, _Field]] = cache(
    lambda kind: {each.name: _field(each) for each in kind.DESCRIPTOR.fields}
)
"""Fields of a class of messages, by name."""


@dataclass(frozen=True, slots=True)
class MessageWriter:
    """Converts values to messages."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Attributes of fields whose names differ."""

    def __call__(self, kind: type[M], /, *values: object, **given: object) -> M:
        """Convert dataclasses or mappings, the first of which has a field counts, to a message.
        `given`: values of fields that they lack, or have otherwise. None, and a time of 0, leave a
        field unset."""
        made: dict[str, Any] = {}
        for name, of in _fields(kind).items():
            found: Any = given.pop(name) if name in given else self._found(values, of)
            if found is not None:
                made[name] = (
                    [self._converted(of, one) for one in found]
                    if of.is_repeated
                    else self._converted(of, found)
                )
        return kind(**made, **given)

    def writer(
        self, kind: type[M], /, *types: type, **given: Callable[..., object] | None
    ) -> Callable[..., M]:
        """Return a function that converts values of these classes to a message; it also takes
        fields by name. `given`: for a field that the classes lack, a function of the values, or
        None if each call gives it. Raise TypeError for another field that they lack."""
        known = {name for each in types for name in (*dir(each), *each.__annotations__)}
        lacking = [
            name
            for name, of in _fields(kind).items()
            if name not in given and known.isdisjoint(self._names(of))
        ]
        if lacking:
            raise TypeError(f"{kind.DESCRIPTOR.full_name}: nothing gives {', '.join(lacking)}")

        def write(*values: object, **more: object) -> M:
            made = {name: make and make(*values) for name, make in given.items()}
            return self(kind, *values, **made | more)

        return write

    def _names(self, of: _Field) -> tuple[str, ...]:
        return (self.names[of.name], *of.attributes) if of.name in self.names else of.attributes

    def _found(self, values: tuple[object, ...], of: _Field) -> Any:
        for value in values:
            for name in self._names(of):
                if isinstance(value, Mapping):
                    if name in value:
                        return value[name]
                elif hasattr(value, name):
                    return getattr(value, name)
        return None

    def _converted(self, of: _Field, value: Any) -> Any:
        if of.numbers is not None:
            return _number(of.numbers, value)
        if of.kind is None or isinstance(value, Message):
            return value
        if of.kind is Timestamp:
            return _time(value)
        if of.kind is Duration and not isinstance(value, Mapping):
            seconds, rest = divmod(value, 1_000_000)
            return Duration(seconds=seconds, nanos=1_000 * rest)
        if of.kind is Status:
            return to_status(value)
        if of.kind is Money:
            units, rest = divmod(value.micros, 1_000_000)
            return Money(currency_code=value.currency, units=units, nanos=1_000 * rest)
        return self(of.kind, value)


message_of = MessageWriter()
"""Converts values whose attributes have the names of the fields."""


def timings(stages: Iterable[Stage]) -> list[Any]:
    """Return what protobuf makes the timings of stages of: one for each name, from its first start
    to its last end."""
    spans = dict[str, tuple[float, float]]()
    for each in stages:
        end = each.start + each.duration
        start, last = spans.get(each.name, (each.start, end))
        spans[each.name] = min(start, each.start), max(last, end)
    return [
        {"stage": name, "start": duration(start), "total": duration(end - start)}
        for name, (start, end) in spans.items()
    ]


def _time(value: Any) -> Timestamp | None:
    if not isinstance(value, datetime):
        return timestamp(value) if value else None
    made = Timestamp()
    made.FromDatetime(value)
    return made


def _number(numbers: Mapping[str, int], value: Any) -> int:
    if value == "NONE":  # what a message leaves unspecified
        return 0
    if isinstance(value, Enum) and value.name in numbers:
        return numbers[value.name]
    return numbers[value.upper().replace("-", "_")] if isinstance(value, str) else int(value)


def value_of(kind: type[V], message: Message, /, **given: object) -> V:
    """Convert a message to a dataclass; `given`: attributes that are read otherwise.

    What the message leaves unset, an attribute has by default. Attributes with a default for which
    the message has no field keep it. Raises UnknownMember.
    """
    found = dict[str, Any](given)
    for name, (of, hint, optional) in _sources(kind, type(message)).items():
        if name in given:
            continue
        value = getattr(message, of.name)
        is_set = message.HasField(of.name) if of.has_presence else bool(value)
        if is_set or not optional:
            found[name] = (
                tuple([_read(hint, of, each) for each in value])
                if of.is_repeated
                else _read(hint, of, value)
            )
    return kind(**found)


def _made_sources(kind: Any, message: Any) -> Mapping[str, tuple[_Field, Any, bool]]:
    hints, known = get_type_hints(kind), _fields(message)
    found: dict[str, tuple[_Field, Any, bool]] = {}
    for each in fields(kind):
        of = known.get(each.name) or known.get(each.name.removesuffix("_micros") + "_time")
        if of is not None:
            kinds = [one for one in get_args(hints[each.name]) if one not in {NoneType, Ellipsis}]
            optional = each.default is not MISSING or each.default_factory is not MISSING
            found[each.name] = of, kinds[0] if kinds else hints[each.name], optional
    return found


_sources: Callable[[Any, Any], Mapping[str, tuple[_Field, Any, bool]]] = cache(_made_sources)
"""By attribute of a dataclass the field of a class of messages that it is read from, the type of a
value, and whether it has a default."""


def _read(hint: Any, of: _Field, found: Any) -> Any:
    if of.numbers is not None:
        member = of.members.get(found)
        if member not in hint.__members__:
            raise UnknownMember(of.name)
        return hint[member]
    if of.kind is Timestamp or of.kind is Duration:
        return micros_of(found)
    return found if of.kind is None else value_of(hint, found)


def micros_of(message: Timestamp | Duration) -> int:
    """Return microseconds of a time or duration. Those before 0, or of no valid message, are -1."""
    if not (0 <= message.seconds < _MOST_SECONDS and 0 <= message.nanos < 10**9):
        return -1
    return message.seconds * 1_000_000 + message.nanos // 1_000
