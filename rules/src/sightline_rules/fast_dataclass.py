"""Frozen dataclasses whose fields mypy protects, and not the interpreter.

An answer makes some 80 values with 500 fields. A frozen dataclass of the standard library sets each
field by a call of `object.__setattr__`, which took a twentieth of an answer (Python 3.11, 2026-11).
Elsewhere, and for values that untyped code holds, use the library's.
"""

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any

__all__ = ["fast_dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass as fast_dataclass
else:

    def fast_dataclass(cls=None, /, *, frozen=False, eq=True, **options: Any):
        """Make a dataclass as `dataclasses.dataclass` does; a frozen one has a hash, too."""
        if cls is None:
            return partial(fast_dataclass, frozen=frozen, eq=eq, **options)
        hashed = frozen and eq and cls.__dict__.get("__hash__") is None
        return dataclasses.dataclass(cls, eq=eq, unsafe_hash=hashed, **options)
