"""The watches of a catalog at one commit, as backups read them."""

from collections.abc import Iterator
from typing import Any, Protocol


class WatchSnapshot(Protocol):
    """See Snapshot in record/snapshots.py."""

    @property
    def commit(self) -> int:
        """Return the newest commit."""

    def rows(self, name: str) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows of a table, in batches."""
