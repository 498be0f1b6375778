"""Parquet, by pyarrow: ``pip install './client[parquet]'``. The only adapter of pyarrow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightline_client.files.model import FileRefused, Row, Unfit

_BATCH = 1000
"""Maximum number of rows in memory; a row group is read column chunk by column chunk."""


class Parquet:
    """A Parquet file. Its values come as Python's own types."""

    def __init__(self, path: Path) -> None:
        """Open the file. FileRefused without pyarrow, or for a file that is not Parquet."""
        try:
            import pyarrow as pa  # type: ignore[import-untyped]
            from pyarrow import parquet
        except ImportError as error:
            raise FileRefused(
                "reading Parquet needs pyarrow",
                "in a checkout of the repository: pip install ./protos './client[parquet]'",
            ) from error
        self._failures: tuple[type[Exception], ...] = (pa.ArrowException, OSError)
        self._path = path
        try:
            self._file: Any = parquet.ParquetFile(path, pre_buffer=False)
        except self._failures as error:
            raise self._refused(error) from error
        self.columns = tuple(str(name).strip().lower() for name in self._file.schema_arrow.names)
        self.total = int(self._file.metadata.num_rows)
        self.done = 0
        self.records = self.total

    def rows(self) -> Iterator[Row]:
        """Yield the rows. FileRefused if the file turns out to be damaged."""
        try:
            for batch in self._file.iter_batches(batch_size=_BATCH, use_threads=False):
                columns = [_values(column) for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    self.done += 1
                    yield Row(self.done, dict(zip(self.columns, cells, strict=True)))
        except self._failures as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _refused(self, error: Exception) -> FileRefused:
        first = str(error).partition("\n")[0]
        return FileRefused(
            f"{self._path} is not a complete Parquet file: {first}", "write the file again"
        )


def _values(column: Any) -> list[object]:
    """Convert a column to Python values. One that Python can't hold (a year 30,000) becomes Unfit,
    so that only its row is rejected."""
    try:
        return list(_in_microseconds(column).to_pylist())
    except (ValueError, OverflowError):
        return [_value(item) for item in column]


def _in_microseconds(column: Any) -> Any:
    """Convert times in nanoseconds, which pandas writes, to microseconds, Python's resolution;
    leave others as they are."""
    if not str(column.type).startswith("timestamp[ns"):
        return column
    import pyarrow as pa

    return column.cast(pa.timestamp("us", column.type.tz), safe=False)


def _value(item: Any) -> object:
    try:
        return item.as_py()
    except (ValueError, OverflowError):
        return Unfit(f"a {item.type} that is out of range")
