"""The columns of a catalog's products: typed arrays, one place a product."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from retriever.ports.columns import ProductRow

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NO_PRICE: Final = -1
_FIRST = 16
"""Places of an empty table."""
_LONELY: Final = -1
"""A family of one, of a product that is nobody's parent and has none."""

_numbers = itertools.count(1)


class Coded:
    """A column of texts of which many are the same: a small number for each, and its text once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        """By code."""
        self._codes: dict[str, int] = {}

    def code(self, text: str) -> int:
        """The text's code, a new one where it was not seen before."""
        found = self._codes.get(text)
        if found is None:
            found = self._codes[text] = len(self.texts)
            self.texts.append(text)
        return found

    def known(self, text: str) -> int:
        """The text's code; -1 = no product ever had it."""
        return self._codes.get(text, -1)


class Table:
    """Products of one catalog by place. Not for several threads at a time.

    A place is never given to another product: whoever waits between two looks finds the same one
    there. A table in which many are dead is to be made anew.

    Numeric columns are arrays with one entry a place; `alive` says which places hold a product. A
    text that many products share stands once, in a `Coded`; its column holds the code.
    """

    def __init__(self, rows: Iterable[ProductRow] = ()) -> None:
        self.number = next(_numbers)
        """No two tables of a process have the same."""
        self.version = 0
        """Grows with every change."""
        self.ids: list[str] = []
        self.titles: list[str] = []
        self._places: dict[str, int] = {}
        self.categories, self.brands, self.currencies = Coded(), Coded(), Coded()
        self.availabilities, self.tags, self.attributes = Coded(), Coded(), Coded()
        self.parents = Coded()
        self.alive: Flags = np.zeros(_FIRST, np.bool_)
        self.category: npt.NDArray[np.int32] = np.zeros(_FIRST, np.int32)
        self.brand: npt.NDArray[np.int32] = np.zeros(_FIRST, np.int32)
        self.currency: npt.NDArray[np.int16] = np.zeros(_FIRST, np.int16)
        self.availability: npt.NDArray[np.int8] = np.zeros(_FIRST, np.int8)
        self.tag: npt.NDArray[np.int32] = np.zeros(_FIRST, np.int32)
        self.attribute: npt.NDArray[np.int32] = np.zeros(_FIRST, np.int32)
        self.parent: npt.NDArray[np.int32] = np.zeros(_FIRST, np.int32)
        self._family: npt.NDArray[np.int32] = np.zeros(_FIRST, np.int32)
        self.price: Ints = np.zeros(_FIRST, np.int64)
        """Millionths; NO_PRICE = unknown."""
        self.created: Ints = np.zeros(_FIRST, np.int64)
        self.updated: Ints = np.zeros(_FIRST, np.int64)
        self.image_hash: npt.NDArray[np.uint64] = np.zeros(_FIRST, np.uint64)
        self.stamp: Ints = np.zeros(_FIRST, np.int64)
        """Another number whenever a product was taken in anew."""
        for row in rows:
            self.put(row)

    def __len__(self) -> int:
        """How many products there are."""
        return len(self._places)

    @property
    def dead(self) -> int:
        """Places of products that were removed."""
        return len(self.ids) - len(self._places)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays and titles, without ids, tags and attributes."""
        arrays = sum(item.nbytes for item in vars(self).values() if isinstance(item, np.ndarray))
        return (
            arrays + sum(map(str.__sizeof__, self.titles)) + 8 * (len(self.ids) + len(self.titles))
        )

    def place(self, product_id: str) -> int:
        """Where a product is; -1 = it is not there."""
        return self._places.get(product_id, -1)

    def places(self, product_ids: Sequence[str]) -> Ints:
        """Where products are, each -1 where it is not there."""
        found = self._places
        return np.array([found.get(each, -1) for each in product_ids], np.int64)

    def put(self, row: ProductRow) -> None:
        """Take a product in, or over what was known of it."""
        place = self._places.get(row.product_id, -1)
        if place < 0:
            place = self._take(row.product_id)
        self.titles[place] = row.title
        self.category[place] = self.categories.code(row.category)
        self.brand[place] = self.brands.code(row.brand)
        known = row.price_micros is not None
        self.price[place] = NO_PRICE if row.price_micros is None else row.price_micros
        self.currency[place] = self.currencies.code((known and row.currency) or "")
        self.availability[place] = self.availabilities.code(row.availability)
        self.tag[place] = self.tags.code(row.tags)
        self.attribute[place] = self.attributes.code(row.attributes)
        self.created[place], self.updated[place] = row.create_time, row.update_time
        self.image_hash[place] = row.image_hash
        self._set_family(place, row)
        self.version += 1
        self.stamp[place] = self.version

    def remove(self, product_ids: Iterable[str]) -> None:
        """Forget products, those that are there."""
        for product_id in product_ids:
            place = self._places.pop(product_id, -1)
            if place >= 0:
                self.alive[place] = False
                self.version += 1

    def families(self, places: Ints) -> Ints:
        """What all variants of a parent, and the parent itself, share; from 0."""
        family = self._family[places].astype(np.int64)
        return np.where(family == _LONELY, len(self.parents.texts) + places, family)

    def _take(self, product_id: str) -> int:
        """A place for a new product."""
        place = len(self.ids)
        self.ids.append(product_id)
        self.titles.append("")
        if place == len(self.alive):
            self._grow()
        self._places[product_id] = place
        self.alive[place] = True
        return place

    def _grow(self) -> None:
        more = len(self.alive) // 2
        for name, column in vars(self).items():
            if isinstance(column, np.ndarray):
                setattr(self, name, np.concatenate([column, np.zeros(more, column.dtype)]))

    def _set_family(self, place: int, row: ProductRow) -> None:
        self.parent[place] = self.parents.code(row.parent_id)
        if row.parent_id:
            self._family[place] = self.parent[place]
            above = self._places.get(row.parent_id, -1)
            if above >= 0 and not self.parents.texts[self.parent[above]]:
                self._family[above] = self.parent[place]
        else:
            self._family[place] = self.parents.known(row.product_id)
