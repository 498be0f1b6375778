"""Files of a backup: hashed as they are written, and checked as they are read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Protocol, Self

from servicekit.artefacts.backup_errors import (
    BackupDamaged,
    BackupNotFound,
    BackupsFull,
    BackupsUnavailable,
)
from servicekit.artefacts.manifest import BackupFile, Manifest
from servicekit.artefacts.store import CHUNK, FULL, Digest, Draft, as_os_errors
from servicekit.errors import ServiceError


def meaning(error: OSError) -> ServiceError:
    """Map an error of files to a ServiceError."""
    return BackupsFull() if error.errno in FULL else BackupsUnavailable()


@contextmanager
def translated() -> Iterator[None]:
    """Translate errors of files and of bucket drivers to BackupsFull or BackupsUnavailable."""
    try:
        with as_os_errors():
            yield
    except OSError as error:
        raise meaning(error) from error


class NewFile:
    """A file that is being written. `done` adds it to the backup."""

    def __init__(self, draft: Draft, path: str, name: str, files: list[BackupFile]) -> None:
        """`path`: where the file is stored; `files`: receives its entry, of this name, then."""
        self._draft, self._path, self._name, self._files = draft, path, name, files
        self._digest = Digest()
        self.rows = 0
        """Set by the writer of a table."""

    def write(self, data: bytes) -> int:
        """Write all of `data`. Raise BackupsFull, BackupsUnavailable."""
        with translated():
            self._draft.write(data)
        self._digest.take(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: `done` flushes the file."""

    def done(self) -> None:
        """Make the file durable. Raise BackupsFull, BackupsUnavailable."""
        with translated():
            self._draft.publish(self._path)
        size, sha256 = self._digest.size, self._digest.sha256
        self._files.append(BackupFile(name=self._name, rows=self.rows, size=size, sha256=sha256))

    def discard(self) -> None:
        """Delete the file unless it is done."""
        self._draft.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._draft:
            if kind is None:
                self.done()


class Source(Protocol):
    """A file that is read."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""

    def close(self) -> None:
        """Close the file."""


class CheckedFile:
    """A file of a backup, verified when it has been read to its end; leaving its block reads the
    rest."""

    def __init__(self, file: Source, entry: BackupFile) -> None:
        """`entry`: its entry in the manifest."""
        self._file, self._entry, self._digest = file, entry, Digest()

    def read(self, size: int = CHUNK) -> bytes:
        """Return up to `size` bytes; none at the end. Raise BackupDamaged."""
        with translated():
            data = self._file.read(size)
        self._digest.take(data)
        if self._digest.size > self._entry.size:
            raise self._damaged(f"must have {self._entry.size:,} bytes")
        return data

    def check(self) -> None:
        """Read the rest. Raise BackupDamaged unless size and hash match the manifest."""
        while self.read():
            pass
        if self._digest.size != self._entry.size:
            raise self._damaged(f"must have {self._entry.size:,} bytes")
        if self._digest.sha256 != self._entry.sha256:
            raise self._damaged("does not have the hash that the manifest names")

    def close(self) -> None:
        """Close the file without a check."""
        self._file.close()

    def _damaged(self, description: str) -> BackupDamaged:
        return BackupDamaged(self._entry.name, description)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.check()
        finally:
            self.close()


class BackupWriter:
    """A backup in progress. Every call blocks."""

    def __init__(
        self,
        begin: Callable[[str, list[BackupFile]], NewFile],
        finish: Callable[[Manifest], None],
        delete: Callable[[], object],
    ) -> None:
        """`begin` creates a file, `finish` stores the manifest, `delete` deletes all files."""
        self.files: list[BackupFile] = []
        self.finish = finish
        """Stores the manifest: from there on the backup is complete."""
        self._begin, self._delete = begin, delete
        self._last: NewFile | None = None

    def file(self, name: str) -> NewFile:
        """Begin a file. It belongs to the backup once `done` was called."""
        self._last = self._begin(name, self.files)
        return self._last

    def abort(self) -> None:
        """Delete what was written."""
        if self._last is not None:
            self._last.discard()
        self._delete()


class BackupReader:
    """A complete backup. Every call blocks."""

    def __init__(self, manifest: Manifest, open_file: Callable[[str], IO[bytes]]) -> None:
        """`open_file`: opens a file by its name, or raises BackupNotFound."""
        self.manifest = manifest
        self._open = open_file

    def open(self, name: str) -> CheckedFile:
        """Open a file. Raise BackupDamaged."""
        entry = self.manifest.file(name)
        try:
            return CheckedFile(self._open(name), entry)
        except BackupNotFound as error:
            raise BackupDamaged(name, "is missing") from error

    def read(self, name: str) -> bytes:
        """Return the content of a small file. Raise BackupDamaged."""
        with self.open(name) as file:
            return file.read(self.manifest.file(name).size + 1)

    def check(self) -> None:
        """Read all files. Raise BackupDamaged if one differs from its entry in the manifest."""
        for file in self.manifest.files:
            with self.open(file.name):
                pass
