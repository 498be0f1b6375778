"""What a message holds as a plain value; it may be newer than this client, or no value at all."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

E = TypeVar("E", bound=StrEnum)


def member(kind: type[E], wire: Any, value: int, prefix: str) -> E:
    """Our name for a number of a wire's enumeration; UNKNOWN for one that has none."""
    name = wire.Name(value).removeprefix(prefix) if value in wire.values() else "UNKNOWN"
    return kind(name if name in kind.__members__ else "UNKNOWN")


def time(value: Timestamp) -> datetime | None:
    """None for what is no time that a datetime can hold."""
    try:
        return value.ToDatetime(UTC)
    except (OverflowError, ValueError):
        return None
