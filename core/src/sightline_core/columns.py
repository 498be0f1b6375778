"""Products of the record, as columns."""

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import numpy as np

from sightline_rules import duplicates
from sightline_rules.fast_dataclass import fast_dataclass

T = TypeVar("T")

Block = tuple[object, Sequence[int]]
"""Source and rows. A source may have a method `joined`, which returns a source of all rows of
several blocks, or None if these can't be read together."""


class Stamp(NamedTuple):
    """Commit of a catalog of which values are: all its writes up to this one are included."""

    catalog_uid: str
    """Tells the catalog from others that have, or had, its id, whose commits are others."""
    commit: int

    def holds(self, now: "Stamp", newest: int, *, missing: bool) -> bool:
        """Return whether products that were read at another stamp are as they were at this one.

        `newest`: the newest commit that wrote one of them; `missing`: whether one was not found.
        """
        if now == self:
            return True
        return now.catalog_uid == self.catalog_uid and newest <= self.commit and not missing


MIXED = Stamp("", -1)
"""Stamp of values that were read at several commits, or of several catalogs of one id: older than
every product."""


@fast_dataclass(frozen=True, slots=True)
class ProductColumns:
    """Products of the record; entry i of every column belongs to product i.

    An empty column has no value for any product.
    """

    product_ids: Sequence[str] = ()
    parent_ids: Sequence[str] = ()
    image_hashes: Sequence[int] = ()
    """See sightline_rules.duplicates; 0 if none."""
    create_time_micros: Sequence[int] = ()
    blocks: Sequence[Block] = ()
    """All data of the products: unchanged column blocks, each with the ascending rows that are
    used."""
    stamp: Stamp | None = None
    """Stamp of all values, or MIXED; None: unknown, as of products that are not the record's."""

    def read(self, name: str, unknown: T) -> list[T]:
        """Return the column of this name, with `unknown` for products without a value.

        It copies; the columns that are read often are fields.
        """
        if own := getattr(self, name, ()):
            return list(own)
        found: list[T] = []
        for source, rows in self.blocks:
            held = getattr(source, name)
            found += [held[row] for row in rows] if len(held) else [unknown] * len(rows)
        return found

    @property
    def families(self) -> Sequence[str]:
        """Product id of the parent; of a product without a parent, its own."""
        if not self.parent_ids:
            return self.product_ids
        pairs = zip(self.parent_ids, self.product_ids, strict=True)
        return [parent or own for parent, own in pairs]


NO_PRODUCTS = ProductColumns()


_read = attrgetter("product_ids", "parent_ids", "image_hashes", "create_time_micros")
_UNKNOWN = ("", "", duplicates.NO_HASH, 0)


def gathered(parts: Sequence[tuple[ProductColumns, Sequence[int]]]) -> ProductColumns:
    """Concatenate rows (ascending) of several columns. The stamp is also that of columns without
    rows."""
    used = [
        (columns, rows, len(rows) == len(columns.product_ids)) for columns, rows in parts if rows
    ]
    stamp = _common([columns.stamp for columns, rows in parts if rows or columns.stamp])
    if len(used) == 1 and used[0][2]:
        only = used[0][0]  # passed through unchanged
        return only if only.stamp == stamp else replace(only, stamp=stamp)
    held = [_read(columns) for columns, _, _ in used]
    made: list[list[Any]] = [[], [], [], []]
    for at, unknown in enumerate(_UNKNOWN):
        column = made[at]
        for values, (_, rows, whole) in zip(held, used, strict=True):
            own = values[at]
            if not own:
                column += [unknown] * len(rows)
            else:
                column += own if whole else [own[row] for row in rows]
    ids, parents, hashes, created = made
    return ProductColumns(ids, parents, hashes, created, _joined(used), stamp)


def _common(stamps: Sequence[Stamp | None]) -> Stamp | None:
    """Return the stamp of all. The oldest one would not do: a product that left one list and was
    not yet on another is on no page that could be compared."""
    if not stamps or None in stamps:
        return None
    return stamps[0] if len(set(stamps)) == 1 else MIXED


def _joined(parts: Sequence[tuple[ProductColumns, Sequence[int], bool]]) -> list[Block]:
    """Return the blocks of these rows: a single one if their sources can be read together, else
    consecutive ones of one source merged."""
    joined = list[Block]()
    for columns, used, whole in parts:
        for source, rows in columns.blocks if whole else _blocks(columns, used):
            goes_on = joined and joined[-1][0] is source and joined[-1][1][-1] < rows[0]
            joined += ((source, [*joined.pop()[1], *rows] if goes_on else rows),)
    if len(joined) < 2:
        return joined
    join = getattr(joined[0][0], "joined", None)
    together = None if join is None else join(joined)
    return joined if together is None else [(together, range(sum([len(r) for _, r in joined])))]


def _blocks(columns: ProductColumns, rows: Sequence[int]) -> list[Block]:
    """Return the blocks of some rows."""
    if len(columns.blocks) == 1:
        ((source, held),) = columns.blocks
        return [(source, [held[row] for row in rows])]
    begin, found = 0, list[Block]()
    for source, held in columns.blocks:
        end = begin + len(held)
        if inside := [held[row - begin] for row in rows if begin <= row < end]:
            found += ((source, inside),)
        begin = end
    return found


def single(values: Sequence[float]) -> list[float]:
    """Return numbers with the precision of messages, so that answers do not depend on where
    services run."""
    found: list[float] = np.asarray(values, np.float32).tolist()
    return found
