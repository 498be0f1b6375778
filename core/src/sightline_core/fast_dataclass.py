"""Dataclasses of which every answer makes some."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

__all__ = ("fast_dataclass",)

if TYPE_CHECKING:
    from dataclasses import dataclass as fast_dataclass
else:

    def fast_dataclass(**options: bool):
        """Make a dataclass that is frozen for the type checker alone.

        At run time, to freeze it makes a call for each field of each object: 5% of an answer.
        """
        return dataclass(**options | {"frozen": False, "unsafe_hash": True})
