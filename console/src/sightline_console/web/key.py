"""The key of the user whose request is being answered, which goes to the gateway with each call."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_key: ContextVar[str | None] = ContextVar("key", default=None)


def current() -> str | None:
    """Return the key of the request that is being answered; None: its user has not signed in."""
    return _key.get()


@contextmanager
def using(key: str | None) -> Iterator[None]:
    """Send this key with the calls of the block."""
    before = _key.set(key)
    try:
        yield
    finally:
        _key.reset(before)
