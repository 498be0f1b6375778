"""How long the current call may still take. Set by the server interceptor, read by every hop."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from servicekit.errors import DeadlineExceeded

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
"""time.monotonic() at which the current call ends; None when it has no end."""


def remaining() -> float | None:
    """Seconds that are left of the current call, negative once it is over; None without end."""
    end = _deadline.get()
    return None if end is None else end - time.monotonic()


def budget(reserve: float, cap: float | None = None) -> float | None:
    """Timeout in seconds for a hop: what is left less `reserve`, at most `cap`.

    `reserve` is what this hop needs to report its own failure. Returns `cap` when the call has no
    deadline. Raises DeadlineExceeded (DEADLINE_EXCEEDED) when nothing would be left, since a hop
    that is started then can only fail later and less clearly.
    """
    left = remaining()
    if left is None:
        return cap
    if left <= reserve:
        raise DeadlineExceeded(
            f"{max(left, 0) * 1000:.0f} ms of the deadline are left, "
            f"{reserve * 1000:.0f} ms are kept back to answer",
            reason="DEADLINE_EXCEEDED",
        )
    return left - reserve if cap is None else min(left - reserve, cap)


def start(seconds: float | None) -> None:
    """Set the end of the current task's call; for the server interceptor. None: no end."""
    _deadline.set(None if seconds is None else time.monotonic() + seconds)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Run the body with an end at most `seconds` from now; never later than the call's own."""
    end = time.monotonic() + seconds
    outer = _deadline.get()
    token = _deadline.set(end if outer is None else min(outer, end))
    try:
        yield
    finally:
        _deadline.reset(token)


@contextmanager
def otherwise(seconds: float) -> Iterator[None]:
    """Run the body with an end `seconds` from now if the call has none of its own."""
    if remaining() is not None:
        yield
        return
    with within(seconds):
        yield
