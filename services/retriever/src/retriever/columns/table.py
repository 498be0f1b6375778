"""Columns of a catalog's products: one for each field, one place for each product."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol, cast
from weakref import ref

import numpy as np
import numpy.typing as npt

from retriever.columns.arrays import Flags, Ints
from retriever.columns.changes import ChangedPlaces
from retriever.columns.coded import CodedColumn, LongTextColumn
from retriever.columns.column import Column, grown
from retriever.columns.markets import MarketsColumn, market_columns
from retriever.columns.numeric import MoneyColumn, NumberColumn
from retriever.columns.ordering import OrderedColumn, Ties, tie_of
from retriever.domain.column_rows import HELD, ProductRow
from sightline_core.columns import Stamp
from sightline_rules import kinds
from sightline_rules.fields import CANDIDATE, MARKETS, Field
from sightline_rules.markets import named, split

_FIRST = 16
"""Places of an empty table."""
_LONELY: Final = -1
"""Family of a product without variants and parent."""

_READERS = 256
"""Readers after which those that are gone are forgotten."""

_numbers = itertools.count(1)


class TableReader(Protocol):
    """Reads cells of some products when they are needed, as they were when it was made."""

    def freeze(self) -> None:
        """Read what was not read: the table is about to change."""


def column_of(field: Field) -> Column:
    """Return an empty column for a field."""
    match field.kind:
        case kinds.MoneyKind():
            return MoneyColumn(field)
        case kinds.TimeKind() | kinds.StepsKind():
            return NumberColumn(field)
        case kinds.TextKind(whole=False):
            return LongTextColumn(field)
        case _:
            return CodedColumn(field)


class ProductTable:
    """Products of one catalog by place. Not for several threads at a time.

    A place is never given to another product: a search that waits between two reads finds the same
    one there. A table with many removed products is to be rebuilt (`dead`).
    """

    def __init__(  # noqa: PLR0915 - one statement an attribute
        self, rows: Iterable[ProductRow] = (), commit: int = 0, uid: str = ""
    ) -> None:
        """Store products as of a commit. `uid`: that of their catalog."""
        self.number = next(_numbers)
        """Unique among the tables of a process."""
        self.changes = ChangedPlaces()
        """Of products written or removed."""
        self.version = 0
        """Number of these changes."""
        self.uid = uid
        """Tells the catalog from others that have, or had, its id, whose commits are others."""
        self.commit = commit
        """The newest commit included: all earlier ones are included too."""
        self.ids: list[str] = []
        self._readers: list[ref[TableReader]] = []
        """What reads cells later and must not see later writes."""
        own = {field.name: column_of(field) for field in HELD if field is not MARKETS}
        self._markets = MarketsColumn(
            MARKETS, cast(MoneyColumn, own["price"]), cast(CodedColumn, own["availability"])
        )
        self.columns: Mapping[str, Column] = {**own, MARKETS.name: self._markets}
        """Columns of products' own values by the name of their field."""
        self._in_markets: dict[str, dict[str, Column]] = {}
        """By market that a product names, the columns of its values by field."""
        self._candidates: dict[str, Sequence[Column]] = {}
        """By market, the columns of the fields that ranking reads."""
        self._ordered = [
            cast(OrderedColumn, column) for column in self.columns.values() if column.field.sorted
        ]
        self._parents = cast(CodedColumn, self.columns["parent_id"])
        self._titles = cast(LongTextColumn, self.columns["title"])
        self._places: dict[str, int] = {}
        self.alive: Flags = np.zeros(0, np.bool_)
        """True if each place holds a product."""
        self._family: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        self.image_hash: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.stamp: Ints = np.zeros(0, np.int64)
        """Version of the product at each place; it changes with each write."""
        self.ties: Ties = np.zeros(0, np.uint64)
        """By place, what orders products with equal values."""
        self._grow(_FIRST)
        self.put(rows)

    def __len__(self) -> int:
        """Return the number of products."""
        return len(self._places)

    @property
    def stamped(self) -> Stamp:
        """Return the stamp of what the table says now."""
        return Stamp(self.uid, self.commit)

    @property
    def titles(self) -> Sequence[str]:
        """Return the titles by place."""
        return self._titles.texts

    def title(self, place: int, market_id: str = "") -> str:
        """Return a product's title in a market."""
        arrays = self._markets.arrays.get(market_id)
        return (arrays and arrays.titles.get(place)) or self.titles[place]

    def column(self, name: str) -> Column:
        """Return the column of a field, or of its values in a market, such as `price@de`."""
        if name in self.columns:
            return self.columns[name]
        field, market_id = split(name)
        return self._in_markets.get(market_id, {}).get(field) or self.columns[field]

    def candidate_columns(self, market_id: str) -> Sequence[Column]:
        """Return the columns of the fields that ranking reads, with their values in a market."""
        held = self._candidates.get(market_id)
        if held is None:
            held = [self.column(named(field.name, market_id)) for field in CANDIDATE]
            if not market_id or market_id in self._in_markets:
                self._candidates[market_id] = held
        return held

    @property
    def dead(self) -> int:
        """Return the number of places whose products were removed."""
        return len(self.ids) - len(self._places)

    @property
    def nbytes(self) -> int:
        """Return the bytes of arrays and titles, without ids, tags and attributes."""
        arrays = sum(item.nbytes for item in vars(self).values() if isinstance(item, np.ndarray))
        return arrays + sum(column.nbytes for column in self.columns.values()) + 8 * len(self.ids)

    def place(self, product_id: str) -> int:
        """Return the place of a product; -1 if it is not there."""
        return self._places.get(product_id, -1)

    def places(self, product_ids: Sequence[str]) -> Ints:
        """Return the places of products, -1 for those that are not there."""
        found = map(self._places.get, product_ids, itertools.repeat(-1))
        return np.fromiter(found, np.int64, len(product_ids))

    def read_later(self, reader: TableReader) -> None:
        """Let a reader read what it needs before the next write."""
        self._readers.append(ref(reader))
        if len(self._readers) % _READERS == 0:
            self._readers = [each for each in self._readers if each() is not None]

    def put(self, rows: Iterable[ProductRow], commit: int = 0) -> None:
        """Store or replace products. `commit`: the newest one that is included then."""
        given = list(rows)
        readers, self._readers = self._readers, []
        for each in readers:
            if (reader := each()) is not None:
                reader.freeze()
        held = self.places([row.product_id for row in given])
        held = held[held >= 0]
        ordered = [*self._ordered, *map(self._price_in, self._in_markets)]
        before = [column.states(held) for column in ordered]
        self._put(given)
        self._add_markets()
        self.commit = max(self.commit, commit)
        for column, states in zip(ordered, before, strict=True):
            column.former.note(commit, held, states, column.states(held))

    def _price_in(self, market_id: str) -> OrderedColumn:
        return cast(OrderedColumn, self._in_markets[market_id]["price"])

    def _add_markets(self) -> None:
        """Add the columns of markets that products named for the first time."""
        for market_id, arrays in self._markets.arrays.items():
            if market_id not in self._in_markets:
                self._in_markets[market_id] = market_columns(self.columns, arrays)

    def _put(self, given: Sequence[ProductRow]) -> None:
        if not given:
            return
        places = [self._take(row.product_id) for row in given]
        cells = [row.cells for row in given]
        for column in self.columns.values():
            column.fill(places, cells)
        self.image_hash[places] = np.array([row.image_hash for row in given], np.uint64)
        for place, row in zip(places, given, strict=True):
            self._set_family(place, row)
        self.stamp[places] = np.arange(self.version + 1, self.version + 1 + len(given))
        self.changes.note(places)
        self.version = self.changes.count

    def remove(self, product_ids: Iterable[str]) -> None:
        """Remove products; unknown ones are ignored."""
        for product_id in product_ids:
            place = self._places.pop(product_id, -1)
            if place >= 0:
                self.alive[place] = False
                self.changes.note([place])
                self.version = self.changes.count

    def families(self, places: Ints) -> Ints:
        """Return by place a number from 0 that a parent and its variants share."""
        family = self._family[places].astype(np.int64)
        return np.where(family == _LONELY, len(self._parents.texts) + places, family)

    def related(self, places: Ints) -> Flags:
        """Return by place whether the product has a parent or variants."""
        found: Flags = self._family[places] != _LONELY
        return found

    def _take(self, product_id: str) -> int:
        """Return the place of a product, a new one if it has none."""
        place = self._places.get(product_id)
        if place is not None:
            return place
        place = self._places[product_id] = len(self.ids)
        self.ids.append(product_id)
        if place == len(self.alive):
            self._grow(place + place // 2)
        self.alive[place] = True
        self.ties[place] = tie_of(product_id)
        return place

    def _grow(self, size: int) -> None:
        for column in self.columns.values():
            column.grow(size)
        for name, held in vars(self).items():
            if isinstance(held, np.ndarray):
                setattr(self, name, grown(held, size))

    def _set_family(self, place: int, row: ProductRow) -> None:
        parents, parent_id = self._parents, row.cells["parent_id"]
        if parent_id:
            self._family[place] = parents.codes[place]
            above = self._places.get(parent_id, -1)
            if above >= 0 and not parents.texts[parents.codes[above]]:
                self._family[above] = parents.codes[place]
        else:
            self._family[place] = parents.known(row.product_id)
