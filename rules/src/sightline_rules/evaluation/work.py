"""Work in steps: generators that yield after each step, and return their result."""

from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")

Work: TypeAlias = Generator[None, None, T]
"""Work that yields after each step, of a millisecond at most."""
Flags: TypeAlias = npt.NDArray[np.bool_]
"""By row, whether it passes."""


def finish(work: Work[T], check: Callable[[], object] | None = None) -> T:
    """Run work to its end and return its result. `check` is called after each step; what it raises
    ends the work."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        if check is not None:
            check()
