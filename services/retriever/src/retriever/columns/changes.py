"""The places of a table that changed, in order: what is derived from it follows place by place."""

from collections.abc import Sequence
from typing import Final

MOST: Final = 16_384
"""Changes that are kept; above it the older half is forgotten."""


class ChangedPlaces:
    """Changes of one table or of its vectors, oldest first, each known by its number."""

    def __init__(self) -> None:
        self.count = 0
        """Number of changes so far."""
        self._places: list[int] = []

    def note(self, places: Sequence[int]) -> None:
        """Add changes."""
        self.count += len(places)
        self._places += places[-MOST:]
        if len(self._places) > MOST:
            del self._places[: len(self._places) - MOST // 2]

    def since(self, count: int) -> list[int] | None:
        """Return the places of the changes after the first `count`, or None if they are too many
        to be kept."""
        behind = self.count - count
        if behind > len(self._places):
            return None
        return self._places[len(self._places) - behind :]
