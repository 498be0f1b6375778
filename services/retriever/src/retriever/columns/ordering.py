"""Order of all products that pass: a page behind any position costs as much as the first.

Products are compared by group (those that are buried after others, those without a value after
those with one), then by value, then by a hash of their ids, which no write changes.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from retriever.columns.arrays import Flags, Ints
from retriever.columns.former import FormerValues
from sightline_rules.evaluation.work import Work

Ties = npt.NDArray[np.uint64]
UNKNOWN, LAST = 1, 2
"""Parts of a group: no value; buried."""
GROUPS = 4


class OrderedColumn(Protocol):
    """Column whose values order products."""

    former: FormerValues

    def states(self, places: Ints) -> Ints:
        """Return the numbers that decide the order, shape (places, numbers of one value)."""

    def unit(self, places: Ints) -> str:
        """Return the unit in which values of these places compare: the currency that most of them
        have; empty if all values compare."""

    def ranked(self, states: Ints, unit: str) -> tuple[Ints, Flags]:
        """Return values that rise as the order does, and which of them are known and have the
        unit."""

    def text_of(self, value: int) -> str:
        """Return a value of `ranked` as text that stays valid while products are written."""

    def value_of(self, text: str) -> int:
        """Return the value of such a text. Raises ValueError."""


def tie_of(product_id: str) -> int:
    """Return the number that orders products with equal values, 0 to 2⁶⁴ − 1."""
    return int.from_bytes(hashlib.blake2b(product_id.encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class SortPosition:
    """Position of a product in an order."""

    group: int
    value: int
    tie: int


@dataclass(frozen=True, slots=True)
class SortKeys:
    """Sort keys of some products, each as an array with one entry per product."""

    groups: Ints
    values: Ints
    ties: Ties

    def at(self, rows: Ints) -> "SortKeys":
        """Return the keys of some rows."""
        return SortKeys(self.groups[rows], self.values[rows], self.ties[rows])

    def position(self, row: int) -> SortPosition:
        """Return the position of a row."""
        return SortPosition(int(self.groups[row]), int(self.values[row]), int(self.ties[row]))

    def behind(self, place: SortPosition) -> Ints:
        """Return the rows behind a position."""
        tie = np.uint64(place.tie)
        equal = (self.values == place.value) & (self.ties > tie)
        later = (self.groups == place.group) & ((self.values > place.value) | equal)
        return np.flatnonzero((self.groups > place.group) | later)


def keys_of(
    values: Ints, known: Flags, last: Flags, ties: Ties, *, falling: bool = False
) -> SortKeys:
    """Return sort keys. Unknown values come last in both directions, `last` products after all."""
    signed = np.where(known & falling, -values, values)
    return SortKeys(np.where(known, 0, UNKNOWN) + np.where(last, LAST, 0), signed, ties)


def first(keys: SortKeys, count: int, after: SortPosition | None = None) -> Work[Ints]:
    """Return the rows of the first `count` products behind a position, in order."""
    rows = np.arange(len(keys.groups)) if after is None else keys.behind(after)
    found = [rows[:0]]
    for group in range(GROUPS):
        yield
        mine = rows[keys.groups[rows] == group]
        found.append(_least(keys, mine, count - sum(map(len, found))))
    return np.concatenate(found)


def _least(keys: SortKeys, rows: Ints, count: int) -> Ints:
    """Return the first `count` rows of one group, in order. Only these are sorted."""
    if not count:
        return rows[:0]
    if len(rows) > count:
        values = keys.values[rows]
        bound = np.partition(values, count - 1)[count - 1]
        less, equal = rows[values < bound], rows[values == bound]
        left = count - len(less)
        ties = keys.ties[equal]
        if len(equal) > left:
            equal = equal[ties <= np.partition(ties, left - 1)[left - 1]]
        rows = np.concatenate([less, equal])
    order = np.lexsort((keys.ties[rows], keys.values[rows]))
    return rows[order][:count]


@dataclass(frozen=True, slots=True)
class Families:
    """Rows of products of which the first of each family is shown."""

    shown: Ints
    """Rows, ascending."""
    collapsed: Ints
    """The other rows, by family and then in order."""
    families: Ints
    """Family of each collapsed row."""


def collapse(keys: SortKeys, families: Ints, related: Flags) -> Families:
    """Keep the first product of each family. `related`: rows whose family may have others."""
    rows = np.flatnonzero(related)
    order = np.lexsort((keys.ties[rows], keys.values[rows], keys.groups[rows], families[rows]))
    rows = rows[order]
    of = families[rows]
    repeats = np.zeros(len(rows), np.bool_)
    repeats[1:] = of[1:] == of[:-1]
    shown = np.ones(len(families), np.bool_)
    shown[rows[repeats]] = False
    return Families(np.flatnonzero(shown), rows[repeats], of[repeats])


def variants(families: Families, own: int) -> Ints:
    """Return the rows collapsed into the first product of a family, in order."""
    mine: Ints = families.collapsed[families.families == own]
    return mine
