"""Selection of the strongest neighbours of products from rows of weights (SciPy, extra `train`)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Floats, Ints, Neighbours

Row = tuple[Ints, Floats]
"""Products with the row product's weight for each."""


def places(ids: Sequence[str], among: Sequence[str]) -> Ints:
    """Return the place of each id in `among`, (ids,); -1: absent."""
    known = {one: place for place, one in enumerate(among)}
    return np.array([known.get(one, -1) for one in ids], dtype=np.int64)


def strongest(items: Ints, weights: Floats, most: int) -> Row:
    """Return the `most` weights that are largest in size, by product; ties by product, without
    zeros. Negative weights stay: in a regression they correct other products."""
    there = np.flatnonzero(weights)
    if len(there) > most:
        order = np.lexsort((items[there], -np.abs(weights[there])))
        there = there[order[:most]]
    there = there[np.argsort(items[there], kind="stable")]
    return items[there], weights[there]


def dense_rows(weights: npt.NDArray[np.float64], items: Ints, most: int) -> Iterator[Row]:
    """Yield the strongest of each row; column c stands for product ``items[c]``."""
    for row in weights:
        yield strongest(items, row.astype(np.float32), most)


def sparse_rows(weights: Any, items: Ints, most: int) -> Iterator[Row]:
    """Yield the strongest of each row of a CSR matrix."""
    for start, end in zip(weights.indptr[:-1], weights.indptr[1:], strict=True):
        row = slice(int(start), int(end))
        yield strongest(items[weights.indices[row]], weights.data[row].astype(np.float32), most)


def blocks(sizes: Ints, most: int) -> Iterator[slice]:
    """Yield runs of neighbouring rows whose `sizes` sum to at most `most`, or single rows."""
    begin, total = 0, 0
    for row, size in enumerate(sizes.tolist()):
        if total + size > most and row > begin:
            yield slice(begin, row)
            begin, total = row, 0
        total += size
    if begin < len(sizes):
        yield slice(begin, len(sizes))


def gathered(rows: Iterable[Row], owners: Ints, item_count: int) -> Neighbours:
    """Join rows; row k is of the product ``owners[k]``, which rise; other products have none."""
    found = list(rows)
    lengths = np.zeros(item_count, dtype=np.int64)
    lengths[owners] = [len(items) for items, _ in found]
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.float32))
    return Neighbours(
        starts=np.concatenate(([0], np.cumsum(lengths))),
        items=np.concatenate([items for items, _ in (*found, nothing)]).astype(np.int32),
        weights=np.concatenate([weights for _, weights in (*found, nothing)]),
    )
