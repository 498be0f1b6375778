"""Size of a machine or cluster: the formulas behind docs/operate/sizing.md.

``python -m bench.sizing`` prints the tables; ``python -m bench.sizing docs/operate/sizing.md``
writes them into the page. Gigabytes are 10^9 bytes.
"""

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retriever.adapters.milvus.filters import COLUMNS
from retriever.domain.generation import IndexParameters

GB = 10**9
MEBIBYTE = 2**20

WIDTHS = {"float32": 4, "float16": 2, "int8": 1}
"""Bytes of a number."""
M = IndexParameters().m
NUMBERS = len(COLUMNS) + 2
"""Number of columns of a row: filter columns, the slice and the commit number."""
COLUMN_BYTES = 8 * NUMBERS
"""Bytes of a column, a 64-bit integer."""
ID_BYTES = 64 + 64 + 16 + 72 + 16
"""Row id, photo id, a product id of 16 bytes; the row id again in the engine's lookup of keys; its
own row id and time. Computed."""
LIVE = 0.8
"""Minimum fraction of a segment's rows that are not deleted: at 20% deleted rows it is compacted
(dataCoord.compaction.single.ratio.threshold). An upsert deletes the previous row.
"""
FULL = 0.9
"""Maximum fraction of a query node's memory in use
(queryCoord.overloadedMemoryThresholdPercentage).
"""
REPLICAS = 2
GENERATIONS = 2
"""Number of loaded generations: the active one, and the one before or after it."""
UNCOLLECTED = 1.5
"""Object store relative to live data: compacted segments stay for hours. Computed."""
PRODUCT_BYTES = 1_200
VECTOR_BYTES = 480
"""Bytes of a row in the record without its vector. Both measured: SQLite, 2,000 products with a
title, 40 words, one photo, a category of three levels (2026-11).
"""
SEARCHES = 100
"""A second."""
PRODUCT_COLUMNS_BYTES = 300
"""Bytes of a product in a retriever's memory (see RETRIEVER_COLUMNS_PRODUCTS)."""
OWN_BYTES = 0.4 * GB
"""Bytes of a service's process without its data. Assumed."""
TASTE_BYTES = 31 * 4
"""Bytes of a product in a ranker's memory: 30 numbers and a bias."""


@dataclass(frozen=True, slots=True)
class ShopSize:
    """Size of a catalog and how it is stored. A row is a photo's vector."""

    rows: int
    dimension: int
    kind: str = "float32"
    segment: int = 1024
    """Maximum MiB of raw rows in a segment (dataCoord.segment.maxSize)."""

    @property
    def vector_bytes(self) -> int:
        """Bytes of a vector in the graph."""
        return self.dimension * WIDTHS[self.kind]

    @property
    def row_bytes(self) -> float:
        """Bytes of a row in a query node's memory: vector, links, filter columns, ids."""
        return self.vector_bytes + links(M) + COLUMN_BYTES + ID_BYTES

    @property
    def copy(self) -> float:
        """Bytes of one loaded copy of one generation."""
        return self.rows * self.row_bytes

    @property
    def memory(self) -> float:
        """Bytes of all query nodes, while a new version is rolled out."""
        return self.copy * REPLICAS * GENERATIONS / LIVE / FULL

    @property
    def raw(self) -> float:
        """Bytes of one generation's raw rows, with vectors in float32."""
        return self.rows * (4 * self.dimension + COLUMN_BYTES + ID_BYTES)

    @property
    def segments(self) -> int:
        """Number of segments of a search."""
        return math.ceil(self.raw / (self.segment * MEBIBYTE))

    @property
    def cores(self) -> float:
        """Cores of all query nodes for SEARCHES a second, each over every segment."""
        return SEARCHES * self.segments * core_seconds(self.dimension)

    @property
    def store(self) -> float:
        """Bytes in Milvus's object store: rows and indexes of all generations, and segments not yet
        collected.
        """
        index = self.rows * (self.vector_bytes + links(M))
        return GENERATIONS * (self.raw + index) * UNCOLLECTED

    @property
    def record(self) -> float:
        """Bytes of the record's tables, vectors of all generations in float32."""
        vectors = GENERATIONS * (4 * self.dimension + VECTOR_BYTES)
        return self.rows * (PRODUCT_BYTES + vectors)


def links(m: int) -> float:
    """Return the bytes of a row in an HNSW graph beside its vector.

    These are 2m links of 4 bytes on the lowest level, m on each higher level, of which a row has 1
    ÷ (m − 1) on average (Malkov and Yashunin, 2016, with mL = 1 ÷ ln m), and 16 bytes of
    bookkeeping.
    """
    return 8 * m + 4 * m / (m - 1) + 16


MEASURED = ((80, 226.0), (1_280, 144.0))
"""Dimension and searches a second, top 100, of 8 clients on 2 cores: server 2.3.5, one segment of
1,000,000 and of 50,000 rows; includes the clients' own work (2026-11)."""


def core_seconds(dimension: int) -> float:
    """Return the core seconds of one search in one segment, interpolated between measured
    dimensions.
    """
    (low, at_low), (high, at_high) = ((known, 2 / searches) for known, searches in MEASURED)
    return at_low + (at_high - at_low) * (dimension - low) / (high - low)


def retriever_bytes(products: int) -> float:
    """Return the memory of one retriever, in bytes."""
    return OWN_BYTES + products * PRODUCT_COLUMNS_BYTES


# The page


def tables() -> dict[str, str]:
    """Return the page's tables by the names of their markers."""
    return {
        "row": _row_table(),
        "million": _shops(1_000_000, 1024),
        "twenty million": _shops(20_000_000, 4096),
        "checked": _checked(),
    }


def _row_table() -> str:
    lines = [
        ("vector", "dimension × 4, 2 or 1"),
        (f"links of the graph, m = {M}", f"8m + 4m ÷ (m − 1) + 16 = {links(M):.0f}"),
        ("filter columns", f"{NUMBERS} × 8 = {COLUMN_BYTES}"),
        ("ids, key lookup, time", f"{ID_BYTES}"),
    ]
    return _table(("part of a row", "bytes"), lines)


def _shops(rows: int, segment: int) -> str:
    headers = (
        *("dimensions", "stored as", "bytes a row", "one copy, GB", "query nodes, GB"),
        *("segments", f"cores for {SEARCHES} searches/s", "object store, GB", "record, GB"),
    )
    lines = []
    for dimension in (80, 256, 1_280):
        for kind in ("float32",):
            shop = ShopSize(rows, dimension, kind, segment)
            sizes = (shop.copy, shop.memory)
            disks = (shop.store, shop.record)
            lines.append(
                (
                    f"{dimension:,}",
                    kind,
                    f"{shop.row_bytes:,.0f}",
                    *map(_gigabytes, sizes),
                    f"{shop.segments}",
                    f"{shop.cores:,.1f}",
                    *map(_gigabytes, disks),
                )
            )
    return _table(headers, lines)


def _checked() -> str:
    """Compare the formula with the memory of a server that runs all roles in one process."""
    lines = []
    for rows, dimension, measured in ((50_000, 1_280, 0.84), (1_000_000, 80, 1.2)):
        computed = rows * (4 * dimension + links(M)) / GB
        net = measured - 0.16
        lines.append(
            (
                f"{rows:,} × {dimension:,}-d",
                f"{computed:.2f}",
                f"{net:.2f}",
                f"{net / computed:.1f}",
            )
        )
    headers = ("", "vectors and links, GB", "measured minus an empty server, GB", "ratio")
    return _table(headers, lines)


def _gigabytes(size: float) -> str:
    return f"{size / GB:,.1f}" if size < 100 * GB else f"{size / GB:,.0f}"


def _table(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(headers)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headers, rule, *lines))


def filled(page: str, made: Mapping[str, str] | None = None) -> str:
    """Return the page with newly computed tables, or with those that were `made`.

    Raise KeyError for a missing marker.
    """
    for name, table in (tables() if made is None else made).items():
        place = re.compile(f"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(page):
            raise KeyError(name)
        page = place.sub(rf"\g<1>{table}\n\g<2>", page)
    return page


def main(arguments: Sequence[str]) -> int:
    """Print the tables, or write them into the named page."""
    if not arguments:
        print("\n\n".join(f"{name}\n{table}" for name, table in tables().items()))
    for name in arguments:
        path = Path(name)
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
