"""A catalog's record at one commit, table by table, for a backup.

An archive has the record's tables, except columns that are meaningful in this store only: commit
numbers, values derived from the catalog's name, and state of running jobs. Columns added by
migrations are archived automatically.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection

from retriever.domain.archive import ArchiveColumn, ArchiveTable, ColumnType, Row
from retriever.domain.generation import TEXT_SPACE, Generation
from retriever.record.generations import live_generations
from retriever.record.tables import (
    distinct_pairs,
    images,
    pending,
    product_images,
    product_vectors,
    products,
    scene_texts,
    sequences,
    synonym_texts,
    synonyms,
    vectors,
)

T = TypeVar("T")

_OWN: Mapping[sa.Table, frozenset[str]] = {
    images: frozenset({"catalog_id"}),
    products: frozenset({"catalog_id", "seq", "touched"}),
    product_images: frozenset({"catalog_id", "row_id"}),
    vectors: frozenset({"catalog_id", "seq"}),
    pending: frozenset(
        {"catalog_id", "write_seq", "write_time", "next_attempt", "backfill", "retried"}
    ),
    synonyms: frozenset({"catalog_id", "seq"}),
    scene_texts: frozenset({"catalog_id", "planned_time"}),
    synonym_texts: frozenset({"catalog_id", "planned_time"}),
    distinct_pairs: frozenset({"catalog_id", "pair_id"}),
}
"""Tables of an archive in their order, each with the columns that are not archived."""
_TEXTS = {product_vectors: frozenset({"catalog_id", "row_id", "seq"})}
"""Vectors of texts, which only copies have: a restore embeds texts again."""
_BATCHES = {
    "vectors": 512,
    "product_vectors": 512,
    "products": 500,
    "synonyms": 1,
    "scene_texts": 100,
    "synonym_texts": 1,
}
"""26 MB at 1,280 dimensions; products have up to 200 kB, synonyms and their texts up to 7 MB,
texts of scenes 64 KiB."""
_OTHERS = 2_000
_OPTIONAL = frozenset({"scene_texts", "synonym_texts", "distinct_pairs"})


def _table(of: sa.Table, own: frozenset[str]) -> ArchiveTable:
    columns = tuple(
        ArchiveColumn(column.name, _kind(column), bool(column.nullable))
        for column in of.columns
        if column.name not in own
    )
    batch = _BATCHES.get(of.name, _OTHERS)
    return ArchiveTable(of.name, columns, batch, of.name in _OPTIONAL)


def _kind(column: sa.Column[Any]) -> ColumnType:
    kinds = {
        str: ColumnType.TEXT,
        int: ColumnType.NUMBER,
        bool: ColumnType.FLAG,
        bytes: ColumnType.BYTES,
    }
    stored = column.type
    if isinstance(stored, sa.types.TypeDecorator):
        stored = stored.impl_instance
    return kinds[stored.python_type]


ARCHIVED = tuple(_table(of, own) for of, own in _OWN.items())
COPIED = (
    *ARCHIVED,
    *(_table(of, own) for of, own in _TEXTS.items()),
)
_SOURCES = {of.name: of for of in (*_OWN, *_TEXTS)}


@dataclass(frozen=True, slots=True)
class RecordSnapshot:
    """A catalog's record at one commit. Valid within its transaction."""

    connection: Connection
    catalog_id: str
    commit: int
    time: int
    generations: Sequence[Generation]

    def count(self, table: ArchiveTable) -> int:
        """Return the number of rows of a table."""
        source = _SOURCES[table.name]
        query = sa.select(sa.func.count()).where(self._archived(source))
        return int(self.connection.execute(query).scalar_one())

    def rows(self, table: ArchiveTable) -> Generator[Sequence[Row], None, None]:
        """Yield a table's rows by its key, in batches."""
        source = _SOURCES[table.name]
        query = (
            sa.select(*(source.c[column.name] for column in table.columns))
            .where(self._archived(source))
            .order_by(*_order(source))
            .execution_options(yield_per=table.batch)
        )
        with self.connection.execute(query) as result:
            for batch in result.mappings().partitions():
                yield [dict(row) for row in batch]

    def _archived(self, source: sa.Table) -> sa.ColumnElement[bool]:
        """Return the condition of archived rows.

        Products with pending texts are excluded: a restore embeds them again. So are vectors of
        texts that have changed, and those that callers gave.
        """
        mine: sa.ColumnElement[bool] = source.c.catalog_id == self.catalog_id
        if source is pending:
            return sa.and_(mine, source.c.space != TEXT_SPACE)
        if source is product_vectors:
            return sa.and_(mine, source.c.space == TEXT_SPACE, source.c.digest != "")
        return mine


def _order(source: sa.Table) -> Sequence[sa.Column[Any]]:
    """Return the columns of the order of a table's rows: vectors of texts are by product."""
    key = list(source.primary_key.columns)
    return [source.c.product_id, *key] if source is product_vectors else key


def take_snapshot(
    connection: Connection, now: int, catalog_id: str, take: Callable[[RecordSnapshot], T]
) -> T:
    """Return `take` of the catalog at one commit; writes go on."""
    c = sequences.c
    head = connection.execute(sa.select(c.seq).where(c.catalog_id == catalog_id)).scalar()
    generations = live_generations(connection, catalog_id)
    return take(RecordSnapshot(connection, catalog_id, int(head or 0), now, generations))
