"""Events as Parquet files, with pyarrow, which only this module knows. Needs the extra `export`."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import compute, parquet

from ranker.domain.selection import COLUMNS, ExportKind

_TYPES = {
    ExportKind.TEXT: pa.string(),
    ExportKind.NUMBER: pa.int64(),
    ExportKind.REAL: pa.float64(),
    ExportKind.TIME: pa.timestamp("us", tz="UTC"),
    ExportKind.FLAG: pa.bool_(),
}
_SCHEMA = pa.schema(
    [pa.field(one.name, _TYPES[one.kind], nullable=one.nullable) for one in COLUMNS]
)


class FileDamaged(Exception):
    """A file that is no Parquet file, or only a part of one."""


class ParquetWriter:
    """One Parquet file. Blocking; raises the errors of the underlying file."""

    def __init__(self, file: IO[bytes]) -> None:
        """`file` stays open; the caller closes it."""
        self._writer = parquet.ParquetWriter(file, _SCHEMA, compression="zstd")

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Append a row group of values of `COLUMNS`; at least one row."""
        columns = zip(*rows, strict=True)
        arrays = [
            pa.array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA), len(rows))

    def close(self) -> None:
        """Write the footer, which holds the positions of all data."""
        self._writer.close()


@contextmanager
def _reading() -> Iterator[None]:
    """Raise FileDamaged for what pyarrow says of the content: its own errors, and OSErrors without
    the number that those of a disk have."""
    try:
        yield
    except pa.ArrowInvalid as error:
        raise FileDamaged(str(error)) from error
    except OSError as error:
        if type(error) is OSError and error.errno is None:
            raise FileDamaged(str(error)) from error
        raise


@_reading()
def row_count(file: IO[bytes]) -> int:
    """Return the number of rows from the file's footer. Raise FileDamaged."""
    return int(parquet.ParquetFile(file).metadata.num_rows)


@_reading()
def copy_without(old: IO[bytes], new: IO[bytes], actors: Collection[str]) -> int:
    """Copy a file without the rows of these pseudonyms, a row group at a time, if it has any.
    Return their number. Raise FileDamaged."""
    source, theirs = parquet.ParquetFile(old), pa.array(sorted(actors))
    groups = range(source.num_row_groups)
    column = (source.read_row_group(number, ["actor"])["actor"] for number in groups)
    count = sum(compute.sum(compute.is_in(each, theirs)).as_py() or 0 for each in column)
    if count:
        with parquet.ParquetWriter(new, source.schema_arrow, compression="zstd") as writer:
            for number in groups:
                rows = source.read_row_group(number)
                writer.write_table(
                    rows.filter(compute.invert(compute.is_in(rows["actor"], theirs)))
                )
    return count
