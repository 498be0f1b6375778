"""Cache of pinned products that passed recently, to avoid a read for every answer.

A page reads its products under the request's conditions in any case: a product that no longer
passes is not shown and is read again. Products that did not pass are not cached.
"""

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from gateway.model.query import AnswerScope
from sightline_core.columns import ProductColumns

FRESH_SECONDS = 5.0
"""Seconds for which cached columns may be outdated."""
MOST = 1_000

Key: TypeAlias = tuple[str, tuple[str, ...], AnswerScope]


class Pins:
    """Columns of pinned products, by catalog, products and conditions."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[Key, tuple[float, ProductColumns]] = {}

    def forget_catalog(self, catalog_id: str) -> None:
        """Drop what is kept of a catalog."""
        for key in [key for key in self._held if key[0] == catalog_id]:
            del self._held[key]

    def of(self, catalog_id: str, ids: Sequence[str], scope: AnswerScope) -> ProductColumns | None:
        """Return the columns of all of these products; None if one is unknown."""
        read, columns = self._held.get((catalog_id, tuple(ids), scope), (0.0, None))
        return columns if self._clock() - read < FRESH_SECONDS else None

    def keep(
        self, catalog_id: str, ids: Sequence[str], scope: AnswerScope, columns: ProductColumns
    ) -> None:
        """Cache the columns if all products passed."""
        if len(columns.product_ids) == len(ids):
            key = (catalog_id, tuple(ids), scope)
            self._held.pop(key, None)  # moves it to the end, as the newest entry
            self._held[key] = (self._clock(), columns)
            if len(self._held) > MOST:
                del self._held[next(iter(self._held))]

    def forget(self, product_id: str) -> None:
        """Drop the entries with a product that no longer passes."""
        self._held = {key: held for key, held in self._held.items() if product_id not in key[1]}
