"""Products as callers see them: messages and their bytes, kept until the product is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Protocol, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from retriever.columns.column_cache import Columns
from retriever.columns.products import each_passes
from retriever.columns.table import ProductTable
from retriever.domain.category_mismatch import CategoryMismatch
from retriever.domain.product import Product
from retriever.servicer import product_messages
from sightline.common.v1 import product_pb2
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline_rules.filters import All, Filter
from sightline_rules.markets import localized

MOST_BYTES = 64 * 2**20
"""Estimated bytes of kept products, their messages included."""
_MESSAGE, _ENTRY = 4, 500
"""Bytes of a kept product for each of its serialised bytes, and of its entry."""
_NEVER = -1
"""Version that no product has."""
READ_AHEAD = 32
"""Products that are read at a time before an answer shows them: 3 ms (one core, 2026-11)."""


class ShownRecord(Protocol):
    """The record, as shown products are read from it."""

    async def get(self, catalog_id: str, product_ids: Sequence[str]) -> dict[str, Product]:
        """Return the products that exist."""

    async def category_mismatches(
        self, catalog_id: str, products: Sequence[Product]
    ) -> dict[str, CategoryMismatch]:
        """Return by product the photo that contradicts its category, if any."""


class ShownProduct:
    """A product as an entry of a response's `products`."""

    __slots__ = ("entry", "read", "seq", "stamp")

    def __init__(self, message: product_pb2.Product, seq: int, stamp: int) -> None:
        """Serialise a product. `seq`: commit of its last write. `stamp`: see ProductTable."""
        self.seq, self.stamp = seq, stamp
        self.entry = products_pb.ListProductsResponse(products=[message]).SerializeToString()
        """With its tag and length: entries that follow one another are the field's bytes."""
        self.read: product_pb2.Product | None = None
        """The product, once it was needed."""

    @property
    def message(self) -> product_pb2.Product:
        """The product. It is shared and must not be changed."""
        if self.read is None:
            (self.read,) = products_pb.ListProductsResponse.FromString(self.entry).products
        return self.read


_Mark: TypeAlias = tuple[int, int, str, bool]
"""Number of a table, place of the product in it, market, and whether with the fields that only
operators read."""


@dataclass(slots=True)
class _Ahead:
    """Follows a table, and holds the places whose products are still to be read."""

    changes: int = 0
    """Number of the table's changes that were followed."""
    due: list[int] = field(default_factory=list)
    """Places."""

    def follow(self, table: ProductTable) -> None:
        """Add the places that were written since the last call, at first all."""
        changed = table.changes.since(self.changes) if self.changes else None
        places = range(len(table.ids)) if changed is None else dict.fromkeys(changed)
        self.due = [*places] if changed is None else [*self.due, *places]
        self.changes = table.changes.count


class ShownProducts:
    """Shown products of one process, least recently read first. Not for several event loops."""

    def __init__(self, record: ShownRecord, columns: Columns, most_bytes: int = MOST_BYTES) -> None:
        """Start empty. `most_bytes`: see MOST_BYTES."""
        self._record, self._columns, self._most = record, columns, most_bytes
        self._kept: dict[_Mark, ShownProduct] = {}
        self._bytes = 0
        self._ahead = WeakKeyDictionary[ProductTable, _Ahead]()

    async def read_ahead(self, catalog: str) -> bool:
        """Read some products that were not shown since they were written, so that the first answer
        with each need not. Return whether there are more; not above half of the bytes."""
        view = self._columns.held(catalog)
        if view is None:
            return False
        table = view.table
        ahead = self._ahead.setdefault(table, _Ahead())
        if ahead.changes != table.changes.count:
            ahead.follow(table)
        if self._bytes > self._most // 2:
            ahead.due.clear()
        due = ahead.due[-READ_AHEAD:]
        del ahead.due[-READ_AHEAD:]
        there = [place for place in due if table.alive[place]]
        marks: list[_Mark] = [(table.number, place, "", False) for place in there]
        missing, _ = self._held(marks, table.stamp[there].tolist())
        if missing:
            await self._read(catalog, table, missing, All(), keep=True)
        return bool(ahead.due)

    async def passing(
        self,
        catalog: str,
        table: ProductTable,
        places: Sequence[int],
        condition: Filter,
        market_id: str,
        *,
        unshown: bool,
    ) -> tuple[list[int], list[ShownProduct]]:
        """Return the products at some rows that pass and exist, in a market, with their rows.

        `unshown`: with the fields that only operators read. Kept ones are as the columns are, which
        this call or an earlier one has brought up to date; others are as now recorded.
        """
        view, rows = self._columns.held(catalog), np.asarray(places, np.int64)
        keep = False
        if view is not None and view.table is table:
            version = table.version
            flags = await view.conditions.passing(condition, rows)
            if table.version == version:  # else the products are read, to be judged as they are
                keep, rows = True, rows[flags]
        stamps, chosen = table.stamp[rows].tolist(), rows.tolist()
        marks: list[_Mark] = [(table.number, place, market_id, unshown) for place in chosen]
        missing, found = self._held(marks, stamps if keep else [_NEVER] * len(marks))
        if missing:
            read = await self._read(catalog, table, missing, condition, keep=keep)
            found = [read.get(mark, shown) for mark, shown in zip(marks, found, strict=True)]
            chosen = [place for place, shown in zip(chosen, found, strict=True) if shown]
        return chosen, [shown for shown in found if shown is not None]

    def _held(
        self, marks: Sequence[_Mark], stamps: Sequence[int]
    ) -> tuple[dict[_Mark, int], list[ShownProduct | None]]:
        """Return the stamps of products that are not kept as they are now, and those that are."""
        beside = [*zip(marks, stamps, map(self._kept.get, marks), strict=True)]
        found = [shown if shown and shown.stamp == stamp else None for _, stamp, shown in beside]
        if None not in found:
            return {}, found
        due = zip(beside, found, strict=True)
        return {mark: stamp for (mark, stamp, _), shown in due if shown is None}, found

    async def _read(
        self,
        catalog: str,
        table: ProductTable,
        stamps: Mapping[_Mark, int],
        condition: Filter,
        *,
        keep: bool,
    ) -> dict[_Mark, ShownProduct]:
        """Read products from the record. Those that no longer pass are left out."""
        held = await self._record.get(catalog, [table.ids[place] for _, place, *_ in stamps])
        by_mark = {mark: held.get(table.ids[mark[1]]) for mark in stamps}
        products = {mark: product for mark, product in by_mark.items() if product is not None}
        facts = (product.facts for product in products.values())
        passing = await each_passes(condition, facts, len(products))
        chosen = dict(compress(products.items(), passing))
        messages = await self.messages(catalog, [*chosen.values()])
        found = {}
        for (mark, product), message in zip(chosen.items(), messages, strict=True):
            found[mark] = shown = _shown(product, message, mark, stamps[mark])
            if keep and shown.seq <= table.commit:
                self._keep(mark, shown)
        return found

    async def messages(
        self, catalog: str, products: Sequence[Product]
    ) -> list[product_pb2.Product]:
        """Return the messages of products as read, with all of their markets."""
        mismatches = await self._record.category_mismatches(catalog, products) if products else {}
        return [
            product_messages.row(each, mismatches.get(each.content.product_id)) for each in products
        ]

    def _keep(self, mark: _Mark, shown: ShownProduct) -> None:
        self._bytes += _weight(shown) - _weight(self._kept.pop(mark, None))
        self._kept[mark] = shown
        while self._bytes > self._most:
            self._bytes -= _weight(self._kept.pop(next(iter(self._kept))))


def _shown(product: Product, message: product_pb2.Product, mark: _Mark, stamp: int) -> ShownProduct:
    _, _, market_id, unshown = mark
    whole = product_messages.with_unshown(message, product) if unshown else message
    return ShownProduct(localized(whole, market_id), product.seq, stamp)


def _weight(shown: ShownProduct | None) -> int:
    return 0 if shown is None else _MESSAGE * len(shown.entry) + _ENTRY
