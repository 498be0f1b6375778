"""Products as callers see them: messages and their bytes, kept until the product is written."""

from collections.abc import Sequence
from itertools import compress
from typing import Protocol, TypeAlias

import numpy as np

from retriever.columns.column_cache import Columns
from retriever.columns.products import each_passes
from retriever.columns.table import ProductTable
from retriever.domain.category_mismatch import CategoryMismatch
from retriever.domain.product import Product
from retriever.servicer import product_messages
from sightline.common.v1 import product_pb2
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline_rules.filters import Filter
from sightline_rules.markets import localized

MOST_BYTES = 64 * 2**20
"""Estimated bytes of kept products, their messages included."""
_MESSAGE, _ENTRY = 4, 500
"""Bytes of a kept product for each of its serialised bytes, and of its entry."""


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

    __slots__ = ("entry", "read", "seq")

    def __init__(self, message: product_pb2.Product, seq: int) -> None:
        """Serialise a product. `seq`: commit of its last write."""
        self.seq = seq
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


_Mark: TypeAlias = tuple[int, int, int, str, bool]
"""Number of a table, place and version of the product in it, market, and whether with the fields
that only operators read."""


class ShownProducts:
    """Shown products of one process, least recently read first. Not for several event loops."""

    def __init__(self, record: ShownRecord, columns: Columns, most_bytes: int = MOST_BYTES) -> None:
        """Start empty. `most_bytes`: see MOST_BYTES."""
        self._record, self._columns, self._most = record, columns, most_bytes
        self._kept: dict[_Mark, ShownProduct] = {}
        self._bytes = 0

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
        kept: dict[_Mark, ShownProduct] = {}
        if view is not None and view.table is table:
            version = table.version
            flags = await view.conditions.passing(condition, rows)
            if table.version == version:  # else the products are read, to be judged as they are
                kept, rows = self._kept, rows[flags]
        marks: list[_Mark] = [
            (table.number, place, stamp, market_id, unshown)
            for place, stamp in zip(rows.tolist(), table.stamp[rows].tolist(), strict=True)
        ]
        found = [*map(kept.get, marks)]
        if None in found:
            missing = [mark for mark, shown in zip(marks, found, strict=True) if shown is None]
            read = await self._read(catalog, table, list(dict.fromkeys(missing)), condition)
            for mark, shown in read.items():
                if kept is self._kept and shown.seq <= table.commit:
                    self._keep(mark, shown)
            found = [read.get(mark, shown) for mark, shown in zip(marks, found, strict=True)]
        there = [row for row, shown in enumerate(found) if shown is not None]
        return [marks[row][1] for row in there], [shown for shown in found if shown is not None]

    async def _read(
        self, catalog: str, table: ProductTable, marks: Sequence[_Mark], condition: Filter
    ) -> dict[_Mark, ShownProduct]:
        """Read products from the record. Those that no longer pass are left out."""
        held = await self._record.get(catalog, [table.ids[place] for _, place, *_ in marks])
        by_mark = {mark: held.get(table.ids[mark[1]]) for mark in marks}
        products = {mark: product for mark, product in by_mark.items() if product is not None}
        facts = (product.facts for product in products.values())
        passing = await each_passes(condition, facts, len(products))
        chosen = dict(compress(products.items(), passing))
        messages = await self.messages(catalog, [*chosen.values()])
        return {
            mark: _shown(product, message, mark[3], unshown=mark[4])
            for (mark, product), message in zip(chosen.items(), messages, strict=True)
        }

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


def _shown(
    product: Product, message: product_pb2.Product, market_id: str, *, unshown: bool
) -> ShownProduct:
    whole = product_messages.with_unshown(message, product) if unshown else message
    return ShownProduct(localized(whole, market_id), product.seq)


def _weight(shown: ShownProduct | None) -> int:
    return 0 if shown is None else _MESSAGE * len(shown.entry) + _ENTRY
