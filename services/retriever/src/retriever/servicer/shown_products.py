"""Products as callers see them: messages and their bytes, kept until the product is written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, repeat
from operator import attrgetter
from typing import NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from retriever.columns.column_cache import Columns
from retriever.columns.products import each_passes
from retriever.columns.table import ProductTable
from retriever.record import Record
from retriever.servicer import product_messages
from sightline.common.v1 import product_pb2
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline_core.columns import Stamp
from sightline_rules.filters import All, Filter
from sightline_rules.markets import localized

MOST_BYTES = 64 * 2**20
"""Estimated bytes of kept products, their messages included."""
_MESSAGE, _ENTRY = 4, 500
"""Bytes of a kept product for each of its serialised bytes, and of its entry."""
_NEVER, _ABSENT = -1, -2
"""Stamps that no product has: of those that are to be read, and of those that are not kept."""
READ_AHEAD = 32
"""Products that are read at a time before an answer shows them: 3 ms (one core, 2026-11)."""


class ShownProduct:
    """A product as an entry of a response's `products`."""

    __slots__ = ("entry", "read", "seq", "stamp", "weight")

    def __init__(self, message: product_pb2.Product, seq: int, stamp: int) -> None:
        """Serialise a product. `seq`: commit of its last write. `stamp`: see ProductTable."""
        self.seq, self.stamp = seq, stamp
        self.entry = products_pb.ListProductsResponse(products=[message]).SerializeToString()
        """With its tag and length: entries that follow one another are the field's bytes."""
        self.weight = _MESSAGE * len(self.entry) + _ENTRY
        self.read: product_pb2.Product | None = None
        """The product, once it was needed."""

    @property
    def message(self) -> product_pb2.Product:
        """The product. It is shared and must not be changed."""
        if self.read is None:
            (self.read,) = products_pb.ListProductsResponse.FromString(self.entry).products
        return self.read


class PassingProducts(NamedTuple):
    """Products that pass, all of one commit."""

    places: Sequence[int]
    """Their rows."""
    products: Sequence[ShownProduct]
    stamp: Stamp
    """The commit of which they are."""

    @property
    def newest(self) -> int:
        """Return the newest commit that wrote one of them."""
        return _newest(self.products)


def _newest(products: Iterable[ShownProduct]) -> int:
    return max(map(_seq, products), default=0)


_NOTHING = ShownProduct(product_pb2.Product(), 0, _ABSENT)
_NOTHING.weight = 0
_stamp, _seq = attrgetter("stamp"), attrgetter("seq")
_Group: TypeAlias = tuple[int, str, bool]
"""Number of a table, market, and whether with the fields that only operators read."""


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
    """Shown products of one process. Not for several event loops."""

    def __init__(self, record: Record, columns: Columns, most_bytes: int = MOST_BYTES) -> None:
        """Start empty. `most_bytes`: see MOST_BYTES."""
        self._record, self._columns, self._most = record, columns, most_bytes
        self._kept: dict[_Group, dict[int, ShownProduct]] = {}
        """By group and place, least recently read first."""
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
        due = np.array(ahead.due[-READ_AHEAD:], np.int64)
        del ahead.due[-READ_AHEAD:]
        there, group = due[table.alive[due]], (table.number, "", False)
        missing, _ = self._held(group, there.tolist(), table.stamp[there].tolist())
        if missing:
            await self._read(catalog, table, group, missing, All(), keep=True)
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
    ) -> PassingProducts:
        """Return the products at some rows that pass and exist, in a market, with their rows.

        `unshown`: with the fields that only operators read. Kept ones are as the columns are, which
        this call or an earlier one has brought up to date. If the record has moved on when others
        are read, all are read, at once.
        """
        view, rows = self._columns.held(catalog), np.asarray(places, np.int64)
        keep = False
        if view is not None and view.table is table:
            version = table.version
            flags = await view.conditions.passing(condition, rows)
            if table.version == version:  # else the products are read, to be judged as they are
                keep, rows = True, rows[flags]
        group, chosen = (table.number, market_id, unshown), rows.tolist()
        stamps = table.stamp[rows].tolist() if keep else [_NEVER] * len(chosen)
        stamp = table.stamped
        missing, found = self._held(group, chosen, stamps)
        if not missing:
            return PassingProducts(chosen, found, stamp)
        now, at_read = await self._read(catalog, table, group, missing, condition, keep=keep)
        if len(missing) == len(chosen):
            stamp = at_read
        elif stamp.holds(at_read, _newest(now.values()), missing=len(now) < len(missing)):
            beside = zip(chosen, found, strict=True)
            now = {**{at: shown for at, shown in beside if at not in missing}, **now}
        else:
            every = dict.fromkeys(chosen, _NEVER)
            now, stamp = await self._read(catalog, table, group, every, condition, keep=False)
        there = [at for at in chosen if at in now]
        return PassingProducts(there, [now[at] for at in there], stamp)

    def _held(
        self, group: _Group, places: Sequence[int], stamps: Sequence[int]
    ) -> tuple[Mapping[int, int], list[ShownProduct]]:
        """Return the stamps of products that are not kept as they are now, by place, and what is
        kept of all."""
        found = [*map(self._kept.get(group, {}).get, places, repeat(_NOTHING))]
        held = [*map(_stamp, found)]
        if held == stamps:
            return {}, found
        beside = zip(places, stamps, held, strict=True)
        return {place: stamp for place, stamp, kept in beside if kept != stamp}, found

    async def _read(
        self,
        catalog: str,
        table: ProductTable,
        group: _Group,
        stamps: Mapping[int, int],
        condition: Filter,
        *,
        keep: bool,
    ) -> tuple[dict[int, ShownProduct], Stamp]:
        """Read products from the record, by place, all of one commit. Those that no longer pass are
        left out."""
        ids = {place: table.ids[place] for place in stamps}
        held, stamp = await self._record.get_stamped(catalog, [*ids.values()])
        products = {place: held[name] for place, name in ids.items() if name in held}
        facts = (product.facts for product in products.values())
        passing = await each_passes(condition, facts, len(products))
        chosen = dict(compress(products.items(), passing))
        some = [*chosen.values()]
        doubts = await self._record.category_mismatches(catalog, some) if some else {}
        _, market_id, unshown = group
        found = dict[int, ShownProduct]()
        for place, product in chosen.items():
            message = product_messages.row(product, doubts.get(product.content.product_id))
            whole = product_messages.with_unshown(message, product) if unshown else message
            shown = ShownProduct(localized(whole, market_id), product.seq, stamps[place])
            found[place] = shown
            if keep and shown.seq <= table.commit:
                self._keep(group, place, shown)
        return found, stamp

    def _keep(self, group: _Group, place: int, shown: ShownProduct) -> None:
        held = self._kept.setdefault(group, {})
        self._bytes += shown.weight - held.pop(place, _NOTHING).weight
        held[place] = shown
        while self._bytes > self._most:  # of each group in turn
            first = next(iter(self._kept))
            some = self._kept.pop(first)
            self._bytes -= some.pop(next(iter(some))).weight
            if some:
                self._kept[first] = some
