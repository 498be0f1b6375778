"""Products of the record, as columns."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sightline_rules import duplicates

T = TypeVar("T")

Block = tuple[object, Sequence[int]]


@dataclass(frozen=True, slots=True)
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


def gathered(parts: Sequence[tuple[ProductColumns, Sequence[int]]]) -> ProductColumns:
    """Concatenate rows (ascending) of several columns."""
    parts = [(columns, rows) for columns, rows in parts if len(rows)]
    if len(parts) == 1 and len(parts[0][1]) == len(parts[0][0].product_ids):
        return parts[0][0]  # passed through unchanged
    return ProductColumns(
        product_ids=_column(parts, "product_ids", ""),
        parent_ids=_column(parts, "parent_ids", ""),
        image_hashes=_column(parts, "image_hashes", duplicates.NO_HASH),
        create_time_micros=_column(parts, "create_time_micros", 0),
        blocks=_joined(block for columns, rows in parts for block in _blocks(columns, rows)),
    )


def _joined(blocks: Iterable[Block]) -> list[Block]:
    """Merge consecutive blocks of one source, so that lists that were read together are copied
    together."""
    joined = list[Block]()
    for source, rows in blocks:
        goes_on = joined and joined[-1][0] is source and joined[-1][1][-1] < rows[0]
        joined.append((source, [*joined.pop()[1], *rows] if goes_on else rows))
    return joined


def _column(
    parts: Sequence[tuple[ProductColumns, Sequence[int]]], name: str, unknown: T
) -> list[T]:
    column: list[T] = []
    for columns, rows in parts:
        held = getattr(columns, name)
        if not len(held):
            column += [unknown] * len(rows)
        else:
            column += held if len(held) == len(rows) else [held[row] for row in rows]
    return column


def _blocks(columns: ProductColumns, rows: Sequence[int]) -> Iterator[Block]:
    if len(rows) == len(columns.product_ids):
        yield from columns.blocks
        return
    begin = 0
    for source, held in columns.blocks:
        end = begin + len(held)
        if inside := [held[row - begin] for row in rows if begin <= row < end]:
            yield source, inside
        begin = end
