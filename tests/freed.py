"""Objects that must be freed when a call fails, without the garbage collector."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import ref


class Held:
    """Stands for what a frame holds: a cursor, a file, a large request."""


@contextmanager
def freed() -> Iterator[Callable[[], Held]]:
    """Yield what makes such objects. Raise AssertionError if one is left after the block."""
    made: list[ref[Held]] = []

    def hold() -> Held:
        held = Held()
        made.append(ref(held))
        return held

    gc.disable()
    try:
        yield hold
        assert [each() for each in made] == [None] * max(len(made), 1)
    finally:
        gc.enable()
