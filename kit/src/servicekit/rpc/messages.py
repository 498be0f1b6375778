"""Conversion of values to messages by the names of fields, for calls outside of an answer's path.

A field takes the attribute or key of its name, or that of `names`. A time takes microseconds since
1970 (UTC), also of an attribute that ends in `_micros`; 0 leaves it unset. A count may take the
attribute without `_count`. Enums are matched by name, errors become statuses, and nested values
nested messages. `None` leaves a field unset.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status
from google.type.money_pb2 import Money

from servicekit.rpc.requests import timestamp
from servicekit.status import to_status

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, eq=False)
class MessageWriter:
    """Converts values of a service to messages."""

    names: Mapping[str, str]
    """Attributes of fields that have other names."""

    def __call__(self, kind: type[M], *values: object, **given: object) -> M:
        """Convert dataclasses or mappings, the first of which has a field counts, to a message.
        `given`: values of fields that they lack; fields without a value stay unset."""
        made: dict[str, Any] = {}
        for field in kind.DESCRIPTOR.fields:
            name = field.name
            found: Any = given.pop(name) if name in given else self._found(values, name)
            if found is not None:
                made[field.name] = (
                    [self._converted(field, one) for one in found]
                    if field.is_repeated
                    else self._converted(field, found)
                )
        return kind(**made, **given)

    def writer(
        self, kind: type[M], *types: type, **given: Callable[..., object] | None
    ) -> Callable[..., M]:
        """Return a function that converts values of these classes to a message; it also takes
        fields by name. `given`: for a field that the classes lack, a function of the values, or
        None if each call gives it. Raise TypeError for another field that they lack."""
        names = [each.name for each in kind.DESCRIPTOR.fields]
        known = {name for each in types for name in (*dir(each), *each.__annotations__)}
        if lacking := [n for n in names if n not in given and known.isdisjoint(self._names(n))]:
            raise TypeError(f"{kind.DESCRIPTOR.full_name}: nothing gives {', '.join(lacking)}")
        made = {name: make for name, make in given.items() if make is not None}

        def write(*values: object, **more: object) -> M:
            return self(kind, *values, **{n: make(*values) for n, make in made.items()}, **more)

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
        if field.message_type is None or isinstance(value, Message):
            return value
        kind = GetMessageClass(field.message_type)
        if kind is Timestamp:
            return timestamp(value) if value else None
        if kind is Status:
            return to_status(value)
        if kind is Money:
            units, micros = divmod(value.micros, 1_000_000)
            return Money(currency_code=value.currency, units=units, nanos=micros * 1000)
        return self(kind, value)


def _number(kind: EnumDescriptor, value: str | Enum) -> int:
    """Return the number of a name; what a message leaves unspecified is "NONE" in a value."""
    if value == "NONE":
        return 0
    name = (value if isinstance(value, str) else value.name).upper().replace("-", "_")
    prefix = kind.values_by_number[0].name.removesuffix("UNSPECIFIED")
    number: int = kind.values_by_name[f"{prefix}{name}"].number
    return number
