"""Storage of exports: <store>/<catalog>/<job>/, in a folder or bucket (fsspec).

A file is written under a temporary name and renamed once it is complete and durable.
"""

import asyncio
import contextlib
import functools
import io
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import IO, Any, ParamSpec, TypeVar

from ranker.domain.errors import ExportUnwritable
from servicekit.artefacts.store import CHUNK, Digest, Draft, Store, as_os_errors
from servicekit.telemetry import get_logger

P = ParamSpec("P")
T = TypeVar("T")

UNFINISHED = "unfinished.part"


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
        self._store = Store(url)

    def folder(self, catalog_id: str, job_id: str) -> "ExportFolder":
        return ExportFolder(self._store, f"{catalog_id}/{job_id}")

    @apart
    def catalogs(self) -> Sequence[str]:
        """Return the catalogs with exports."""
        return self._store.names()

    @apart
    def jobs(self, catalog_id: str) -> Sequence[str]:
        """Return the ids of the jobs that wrote exports of a catalog."""
        return self._store.names(catalog_id)

    @apart
    def delete(self, catalog_id: str, job_id: str) -> None:
        """Delete an export."""
        self._store.delete(f"{catalog_id}/{job_id}")

    @apart
    def delete_all(self, catalog_id: str) -> None:
        """Delete all exports of a catalog."""
        self._store.delete(catalog_id)


class ExportFolder:
    """The folder of one export. Its coroutines raise ExportUnwritable."""

    def __init__(self, store: Store, path: str) -> None:
        self._store, self._path = store, path
        self.url = store.url(path)
        """Address of the files, for people."""

    @apart
    def names(self) -> Sequence[str]:
        """Return the names of complete files."""
        return self._store.names(self._path)

    @apart
    def begin(self) -> "ExportFile":
        """Open a new file, after deleting what a killed attempt left."""
        return ExportFile(self._draft(), self._at)

    @apart
    def describe(self, name: str) -> Part | None:
        """Return the facts of a stored file; None: it is damaged, and was deleted."""
        from ranker.adapters.parquet import FileDamaged, row_count

        digest = Digest()
        with self._whole(name) as file:
            try:
                rows = row_count(file)
            except FileDamaged as error:
                self._drop(name, error)
                return None
            file.seek(0)
            while chunk := file.read(CHUNK):
                digest.take(chunk)
            return Part(name, rows, digest.size, digest.sha256)

    @apart
    def get(self, name: str) -> bytes:
        """Return a small file's content."""
        return self._store.read(self._at(name))

    @apart
    def remove(self, name: str) -> None:
        """Delete a file."""
        self._store.remove(self._at(name))

    @apart
    def without(self, name: str, actors: Collection[str]) -> int:
        """Write a file again without the rows of these shoppers. Return their number. A damaged
        file, which may have rows of theirs and which nobody can read, is deleted."""
        from ranker.adapters.parquet import FileDamaged, copy_without

        count = 0
        with self._whole(name) as old, self._draft() as new:
            try:
                count = copy_without(old, new.file, actors)
            except FileDamaged as error:
                self._drop(name, error)
            if count:
                new.publish(self._at(name))
        return count

    @apart
    def put(self, name: str, content: bytes) -> None:
        """Write a small file durably."""
        with self._draft() as file:
            file.write(content)
            file.publish(self._at(name))

    def _drop(self, name: str, error: Exception) -> None:
        told = {"file": f"{self.url}/{name}", "problem": str(error)}
        get_logger().error("damaged file of an export deleted", **told)
        self._store.remove(self._at(name))

    def _whole(self, name: str) -> IO[bytes]:
        """Open a stored file. One of a bucket is read at once: while it is parsed, an error of the
        bucket would look like damage."""
        path = self._at(name)
        return self._store.open(path) if self._store.folder else io.BytesIO(self._store.read(path))

    def _draft(self) -> Draft:
        return self._store.begin(self._at(UNFINISHED))

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"


class ExportFile:
    """A file being written under a temporary name. Its coroutines raise ExportUnwritable."""

    def __init__(self, draft: Draft, path_of: Callable[[str], str]) -> None:
        """`path_of`: returns the path of a file by its name."""
        # Imported here: pyarrow is needed for exports only.
        from ranker.adapters.parquet import ParquetWriter

        self._draft, self._path_of = draft, path_of
        self._writer = ParquetWriter(draft.file)

    @apart
    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Append a row group."""
        self._writer.add(rows)

    @apart
    def commit(self, name: str) -> None:
        """Complete the file and store it durably under this name."""
        self._writer.close()
        self._draft.publish(self._path_of(name))

    @apart
    def abort(self) -> None:
        # Otherwise it would write its footer when it is garbage-collected.
        with contextlib.suppress(OSError):
            self._writer.close()
        self._draft.discard()
