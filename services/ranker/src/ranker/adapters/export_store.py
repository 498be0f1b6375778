"""Storage of exports: <store>/<catalog>/<job>/, in a folder or bucket (fsspec).

A file is written under a temporary name and renamed once it is complete and durable.
"""

import asyncio
import contextlib
import functools
import hashlib
import io
import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ranker.adapters.drivers import as_os_errors
from ranker.domain.errors import ExportUnwritable
from servicekit.telemetry import get_logger

P = ParamSpec("P")
T = TypeVar("T")

UNFINISHED = "unfinished.part"
CHUNK_BYTES = 2**20


def apart(work: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Wrap `work` in a coroutine function that runs it in a thread and raises ExportUnwritable."""

    @functools.wraps(work)
    async def done(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with as_os_errors():
                return await asyncio.to_thread(work, *args, **kwargs)
        except ImportError as error:
            why = "the worker lacks pyarrow, of its extra `export`"
            raise ExportUnwritable(f"the export can't be written: {why}") from error
        except OSError as error:
            why = error.strerror or "the store does not answer"
            raise ExportUnwritable(f"the export can't be written: {why}") from error

    return done


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    row_count: int
    byte_count: int
    sha256: str


class ExportStore:
    def __init__(self, url: str) -> None:
        """`url` is a folder or any URL that fsspec knows, such as s3://bucket/exports."""
        self._files, self._root = fsspec.core.url_to_fs(url)

    def folder(self, catalog_id: str, job_id: str) -> "ExportFolder":
        return ExportFolder(self._files, f"{self._root}/{catalog_id}/{job_id}")

    @apart
    def catalogs(self) -> Sequence[str]:
        """Return the catalogs with exports."""
        return _names(self._files, self._root)

    async def jobs(self, catalog_id: str) -> Sequence[str]:
        """Return the ids of the jobs that wrote exports of a catalog. Raise ExportUnwritable."""
        return await self._jobs(catalog_id)

    @apart
    def delete(self, catalog_id: str, job_id: str) -> None:
        """Delete an export."""
        with contextlib.suppress(FileNotFoundError):
            self._files.rm(f"{self._root}/{catalog_id}/{job_id}", recursive=True)

    @apart
    def delete_all(self, catalog_id: str) -> None:
        """Delete all exports of a catalog."""
        with contextlib.suppress(FileNotFoundError):
            self._files.rm(f"{self._root}/{catalog_id}", recursive=True)

    @apart
    def _jobs(self, catalog_id: str) -> Sequence[str]:
        return _names(self._files, f"{self._root}/{catalog_id}")


class ExportFolder:
    """The folder of one export. Its coroutines raise ExportUnwritable."""

    def __init__(self, files: Any, path: str) -> None:
        self._files = files
        self._path = path
        self._local = isinstance(files, LocalFileSystem)
        self.url: str = files.unstrip_protocol(path)
        """Address of the files, for people."""

    @apart
    def names(self) -> Sequence[str]:
        """Return the names of complete files."""
        return _names(self._files, self._path)

    @apart
    def begin(self) -> "ExportFile":
        """Open a new file, after deleting what a killed attempt left."""
        return ExportFile(self, self._open())

    @apart
    def describe(self, name: str) -> Part | None:
        """Return the facts of a stored file; None: it is damaged, and was deleted."""
        from ranker.adapters.parquet import FileDamaged, row_count

        digest = hashlib.sha256()
        with self._whole(name) as file:
            try:
                rows = row_count(file)
            except FileDamaged as error:
                self._drop(name, error)
                return None
            file.seek(0)
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
            return Part(name, rows, int(file.tell()), digest.hexdigest())

    @apart
    def get(self, name: str) -> bytes:
        """Return a small file's content."""
        content: bytes = self._files.cat_file(self._at(name))
        return content

    @apart
    def remove(self, name: str) -> None:
        """Delete a file."""
        self._files.rm_file(self._at(name))

    @apart
    def without(self, name: str, actors: Collection[str]) -> int:
        """Write a file again without the rows of these shoppers. Return their number. A damaged
        file, which may have rows of theirs and which nobody can read, is deleted."""
        from ranker.adapters.parquet import FileDamaged, copy_without

        count = 0
        with self._whole(name) as old, self._open() as new:
            try:
                count = copy_without(old, new, actors)
            except FileDamaged as error:
                self._drop(name, error)
            if count:
                self.publish(new, name)
        if not count:
            self.forget(new)
        return count

    @apart
    def put(self, name: str, content: bytes) -> None:
        """Write a small file durably."""
        with self._open() as file:
            file.write(content)
            self.publish(file, name)

    def publish(self, file: IO[bytes], name: str) -> None:
        """Close the file and rename it to its final name. Blocking."""
        if self._local:
            file.flush()
            os.fsync(file.fileno())
        file.close()
        if not self._local:
            self._files.mv(self._at(UNFINISHED), self._at(name))
            return
        Path(self._at(UNFINISHED)).replace(self._at(name))
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def forget(self, file: IO[bytes]) -> None:
        """Close the file and delete it. Blocking."""
        with contextlib.suppress(OSError):  # a full disk may reject unwritten data
            file.close()
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._at(UNFINISHED))

    def _drop(self, name: str, error: Exception) -> None:
        path = self._at(name)
        get_logger().error("damaged file of an export deleted", file=path, problem=str(error))
        self._files.rm_file(path)

    def _whole(self, name: str) -> IO[bytes]:
        """Open a stored file. One of a bucket is read at once: while it is parsed, an error of the
        bucket would look like damage."""
        if not self._local:
            return io.BytesIO(self._files.cat_file(self._at(name)))
        return Path(self._at(name)).open("rb")

    def _open(self) -> IO[bytes]:
        self._files.makedirs(self._path, exist_ok=True)
        if self._local:
            return Path(self._at(UNFINISHED)).open("wb")
        made: IO[bytes] = self._files.open(self._at(UNFINISHED), "wb")
        return made

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"


def _names(files: Any, path: str) -> list[str]:
    """Return the names in a folder, none if it does not exist."""
    files.invalidate_cache(path)
    try:
        found = files.ls(path, detail=False)
    except FileNotFoundError:
        return []
    return [str(each).rpartition("/")[2] for each in found]


class ExportFile:
    """A file being written under a temporary name. Its coroutines raise ExportUnwritable."""

    def __init__(self, folder: ExportFolder, file: IO[bytes]) -> None:
        # Imported here: pyarrow is needed for exports only.
        from ranker.adapters.parquet import ParquetWriter

        self._folder = folder
        self._file = file
        self._writer = ParquetWriter(file)

    @apart
    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Append a row group."""
        self._writer.add(rows)

    @apart
    def commit(self, name: str) -> None:
        """Complete the file and store it durably under this name."""
        self._writer.close()
        self._folder.publish(self._file, name)

    @apart
    def abort(self) -> None:
        # Otherwise it would write its footer when it is garbage-collected.
        with contextlib.suppress(OSError):
            self._writer.close()
        self._folder.forget(self._file)
