"""The time in microseconds, and ids that sort by it."""

import os
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
"""The time in microseconds since 1970, UTC."""


def now_micros() -> int:
    """Return the time in microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def in_utc(time: datetime) -> datetime:
    """Return a time that others wrote: in UTC if it has no zone, whatever that of this machine."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def new_id(micros: int) -> str:
    """Return a UUID version 7 (RFC 9562, 6.2 method 3): sorts by `micros`, even within a
    millisecond."""
    millis, rest = divmod(micros, 1000)
    fraction = rest * 4096 // 1000
    random = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    value = millis << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random
    return str(uuid.UUID(int=value))
