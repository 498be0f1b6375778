"""Popular products of catalogs, kept so that all pages of a listing share one list."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

SECONDS = 60
"""Time for which a list is used for new listings."""
MOST_LISTS = 15
"""Lists of a catalog that later pages may still use: those of a quarter of an hour."""


@dataclass(slots=True)
class PopularLists:
    """Lists of the most popular products by catalog and by the time when they were read."""

    clock: Callable[[], float] = time.time
    _lists: dict[str, dict[int, Sequence[str]]] = field(default_factory=dict)

    def of(self, catalog_id: str, read_at: int = 0) -> tuple[int, Sequence[str]] | None:
        """Return a list and when it was read, seconds since 1970 (UTC); None if it has to be read.

        `read_at`: the list of an earlier page, if it is still kept; 0: one for a new listing.
        """
        lists = self._lists.get(catalog_id, {})
        if read_at in lists:
            return read_at, lists[read_at]
        newest = max(lists, default=0)
        return (newest, lists[newest]) if newest and newest > self.clock() - SECONDS else None

    def forget(self, catalog_id: str) -> None:
        """Drop what is kept of a catalog."""
        self._lists.pop(catalog_id, None)

    def former(self, catalog_id: str) -> tuple[int, Sequence[str]]:
        """Return the newest list of any age; an empty one if none was ever read."""
        lists = self._lists.get(catalog_id, {})
        newest = max(lists, default=0)
        return newest, lists.get(newest, ())

    def keep(self, catalog_id: str, product_ids: Sequence[str]) -> tuple[int, Sequence[str]]:
        """Keep a list that was read now."""
        lists = self._lists.setdefault(catalog_id, {})
        read_at = int(self.clock())
        lists[read_at] = product_ids
        for each in sorted(lists)[:-MOST_LISTS]:
            del lists[each]
        return read_at, product_ids
