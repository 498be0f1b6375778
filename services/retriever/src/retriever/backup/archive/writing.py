"""Writes an archive: tables into files beside it first, then everything into one."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from retriever.backup.archive import parquet, tar
from retriever.domain import archive
from retriever.domain.jobs import Progress
from retriever.ports.backup import Snapshot
from servicekit.keyring import KeyRing


class Spool(ExitStack):
    """Tables as files that have no name: they end with the process, however it ends."""

    def __init__(self, folder: Path | None) -> None:
        """Prepare the files. `folder`: a place with room for them; None: the system's default."""
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

    def rows(
        self, table: archive.ArchiveTable, manifest: archive.Manifest
    ) -> Iterator[list[archive.Row]]:
        """Yield the rows of an added table, in batches. Raises BackupDamaged."""
        file = self.files[table.name]
        file.seek(0)
        return parquet.Reader(file, table, manifest.rows(table.name)).rows()


def fill(
    spool: Spool,
    tables: Sequence[archive.ArchiveTable],
    snapshot: Snapshot,
    progress: Progress,
    *,
    service_version: str,
) -> archive.Manifest:
    """Write the tables of a snapshot. Return the manifest of the future archive. Blocks."""
    rows = {table.name: snapshot.count(table) for table in tables}
    progress.total = sum(rows.values()) + rows.get("images", 0)
    photo_bytes = 0

    def counted(table: archive.ArchiveTable) -> Iterator[Sequence[archive.Row]]:
        nonlocal photo_bytes
        for batch in snapshot.rows(table):
            if table.name == "images":
                photo_bytes += sum(row["size"] for row in batch)
            progress.add(len(batch))
            yield batch

    members = [_member(spool, table, counted(table)) for table in tables]
    return archive.Manifest(
        format_version=archive.FORMAT_VERSION,
        service_version=service_version,
        catalog_id=snapshot.catalog_id,
        create_time=snapshot.time,
        commit=snapshot.commit,
        photo_bytes=photo_bytes,
        members=members,
        generations=[archive.dumped(generation) for generation in snapshot.generations],
    )


def _member(
    spool: Spool, table: archive.ArchiveTable, batches: Iterator[Sequence[archive.Row]]
) -> archive.Member:
    try:
        file = spool.add(table.name)
        rows = parquet.write(file, table, batches)
        file.flush()
    except OSError as error:
        raise archive.meaning(error) from error
    digest = hashlib.sha256()
    size = 0
    for chunk in _chunks(file):
        digest.update(chunk)
        size += len(chunk)
    return archive.Member(name=table.member, rows=rows, size=size, sha256=digest.hexdigest())


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(tar.CHUNK):
        yield chunk


class Writer:
    """An archive under way. Every call blocks."""

    def __init__(self, out: IO[bytes], manifest: archive.Manifest, keys: KeyRing) -> None:
        self._out = out
        self._keys = keys
        self._signature = ""
        self._manifest = manifest
        self._time = manifest.create_time // 1_000_000
        self._photos = 0

    def begin(self, spool: Spool, progress: Progress) -> None:
        """Write manifest and tables. Raise StoppedError."""
        self._json(archive.MANIFEST, self._manifest)
        for member, file in zip(self._manifest.members, spool.files.values(), strict=True):
            tar.write(
                self._out, member.name, member.size, self._time, _watched(_chunks(file), progress)
            )

    def photos(self, photos: Sequence[tuple[str, bytes]]) -> None:
        """Write photos with their ids, in order."""
        for image_id, data in photos:
            tar.write(self._out, f"photos/{image_id}", len(data), self._time, [data])
            self._photos += 1

    def end(self, lost: int) -> None:
        """Write the end of the archive; `lost`: photos that could not be read."""
        self._json(archive.COMPLETE, archive.Complete(photos=self._photos, lost=lost))
        tar.end(self._out)

    def _json(self, name: str, value: archive.Manifest | archive.Complete) -> None:
        data = value.model_dump_json(indent=2).encode()
        tar.write(self._out, name, len(data), self._time, [data])
        if self._keys.secret:
            self._signature = self._keys.sign(archive.signed(name, self._signature), data)
            name, data = name + archive.SIGNATURE, self._signature.encode()
            tar.write(self._out, name, len(data), self._time, [data])


def _watched(chunks: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
    for chunk in chunks:
        progress.add(0)
        yield chunk
