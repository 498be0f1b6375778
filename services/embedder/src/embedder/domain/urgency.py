"""Priority of the current call."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from embedder.domain.items import Priority

urgency: ContextVar[Priority | None] = ContextVar("urgency", default=None)
"""Priority of the current call. None: no call, such as a probe of a model."""


@contextmanager
def asking(priority: Priority) -> Iterator[None]:
    """Set the priority of calls within the block."""
    former = urgency.set(priority)
    try:
        yield
    finally:
        urgency.reset(former)
