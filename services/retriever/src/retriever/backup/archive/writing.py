"""Writes the files of a catalog's backup."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO

from retriever.backup.archive import parquet, tar
from retriever.domain.archive import ArchiveTable, Row
from retriever.record.snapshots import RecordSnapshot
from servicekit.artefacts.backup_files import BackupWriter, NewFile, meaning
from servicekit.artefacts.store import CHUNK
from servicekit.jobs.reporting import Progress


class Spool(ExitStack):
    """Tables as files that have no name: they end with the process, however it ends."""

    def __init__(self, folder: Path | None) -> None:
        """Prepare the files in `folder`. `None`: the system's default for temporary files."""
        super().__init__()
        self._folder = folder
        self.files: dict[str, IO[bytes]] = {}

    def add(self, name: str) -> IO[bytes]:
        """Return a new temporary file for a table."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - the stack closes it
        file = self.enter_context(made)
        self.files[name] = file
        return file

    def rows(self, table: ArchiveTable, count: int) -> Iterator[list[Row]]:
        """Yield the rows of an added table, in batches. Raises BackupDamaged."""
        file = self.files[table.name]
        file.seek(0)
        return parquet.Reader(file, table, count).rows()


def fill(
    spool: Spool, tables: Sequence[ArchiveTable], snapshot: RecordSnapshot, progress: Progress
) -> Mapping[str, int]:
    """Write the tables of a snapshot into the spool. Return the rows of each. Blocks."""
    rows = {table.name: snapshot.count(table) for table in tables}
    progress.total = sum(rows.values()) + rows.get("images", 0)

    def counted(table: ArchiveTable) -> Iterator[Sequence[Row]]:
        with closing(snapshot.rows(table)) as batches:
            for batch in batches:
                progress.add(len(batch))
                yield batch

    try:
        return {
            table.name: parquet.write(spool.add(table.name), table, counted(table))
            for table in tables
        }
    except OSError as error:
        raise meaning(error) from error


def copy_tables(
    spool: Spool,
    tables: Sequence[ArchiveTable],
    rows: Mapping[str, int],
    writer: BackupWriter,
    progress: Progress,
) -> None:
    """Copy the tables of the spool into the backup. Raise StoppedError. Blocks."""
    for table in tables:
        if table.optional and not rows[table.name]:
            continue
        file = spool.files[table.name]
        file.seek(0)
        with writer.file(table.member) as out:
            out.rows = rows[table.name]
            while chunk := file.read(CHUNK):
                progress.add(0)
                out.write(chunk)


class PhotoWriter:
    """The file of photos being written. All calls block."""

    def __init__(self, out: NewFile) -> None:
        self._out = out

    def write(self, photos: Sequence[tuple[str, bytes]]) -> None:
        """Write photos with their ids, in order."""
        for image_id, data in photos:
            tar.write(self._out, f"photos/{image_id}", data)

    def end(self) -> None:
        """Write the end of the file, and make it durable."""
        tar.end(self._out)
        self._out.done()
