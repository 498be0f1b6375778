"""Tables as Parquet files, the retriever's only use of pyarrow."""

from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import parquet

from retriever.domain.archive import ArchiveTable, ColumnType, Row
from servicekit.artefacts.backup_errors import BackupDamaged, BackupVersionUnsupported

_TYPES = {
    ColumnType.TEXT: pa.string(),
    ColumnType.NUMBER: pa.int64(),
    ColumnType.FLAG: pa.bool_(),
    ColumnType.BYTES: pa.binary(),
}
_PLAIN = frozenset({"PLAIN", "RLE", "BIT_PACKED"})
"""RLE and BIT_PACKED hold which values are absent, and flags."""
MOST_GROUP_BYTES = 256 * 2**20
MOST_GROUP_ROWS = 10_000


def write(file: IO[bytes], table: ArchiveTable, batches: Iterable[Sequence[Row]]) -> int:
    """Write a table, a row group for each batch. Return the number of rows."""
    schema = pa.schema(
        [pa.field(c.name, _TYPES[c.kind], nullable=c.nullable) for c in table.columns]
    )
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    rows = 0
    with parquet.ParquetWriter(file, schema, store_schema=False, **options) as writer:
        for batch in batches:
            writer.write_table(pa.Table.from_pylist(list(batch), schema), len(batch))
            rows += len(batch)
    return rows


class Reader:
    """A table's file. Every fault in it is BackupDamaged."""

    def __init__(self, file: IO[bytes], table: ArchiveTable, rows: int) -> None:
        """Check the file's metadata: columns, sizes, number of rows. Raise BackupDamaged."""
        self._table = table
        try:
            self._file: Any = parquet.ParquetFile(file, pre_buffer=False)
            self._check_columns()
            self._check_sizes(rows)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged("is no Parquet file") from error

    def rows(self) -> Iterator[list[Row]]:
        """Yield the rows, in batches, without columns that the file lacks."""
        try:
            for batch in self._file.iter_batches(batch_size=self._table.batch, use_threads=False):
                yield batch.to_pylist()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged("can't be read") from error

    def _check_columns(self) -> None:
        found = {field.name: field for field in self._file.schema_arrow}
        wanted = {column.name: column for column in self._table.columns}
        if len(found) != len(self._file.schema_arrow) or found.keys() - wanted.keys():
            raise BackupVersionUnsupported(f"{self._table.member} has columns of a newer version")
        for name, column in wanted.items():
            if name not in found and not column.nullable:
                raise BackupVersionUnsupported(f"{self._table.member} has no column {name!r}")
            if name in found and found[name].type != _TYPES[column.kind]:
                raise self._damaged(f"its column {name!r} is not of type {column.kind}")
            if name in found and found[name].nullable and not column.nullable:
                raise self._damaged(f"its column {name!r} may be empty")

    def _check_sizes(self, rows: int) -> None:
        data = self._file.metadata
        if data.num_rows != rows:
            raise self._damaged(f"has {data.num_rows} rows, not {rows}")
        for number in range(data.num_row_groups):
            group = data.row_group(number)
            if group.total_byte_size > MOST_GROUP_BYTES or group.num_rows > MOST_GROUP_ROWS:
                raise self._damaged("has a row group that is too large")
            for place in range(group.num_columns):
                column = group.column(place)
                plain = column.compression == "UNCOMPRESSED" and set(column.encodings) <= _PLAIN
                if not plain or column.has_dictionary_page:
                    raise self._damaged("is compressed, which no backup is")

    def _damaged(self, description: str) -> BackupDamaged:
        return BackupDamaged(self._table.member, description)
