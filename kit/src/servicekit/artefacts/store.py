"""Files of a folder or bucket (fsspec) that other processes see complete or not at all."""

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Self, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from servicekit.errors import ServiceError
from servicekit.whole_files import sync_folder

CHUNK = 2**20
"""Bytes that are read at once."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Numbers of errors of a disk without room."""


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Convert errors of drivers of buckets (botocore, aiohttp, gcsfs, …) to OSError."""
    try:
        yield
    except (ImportError, OSError, ServiceError):
        raise
    except Exception as error:
        raise OSError("the store does not answer") from error


class Digest:
    """Size and SHA-256 of the bytes seen so far."""

    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()

    def take(self, data: bytes) -> None:
        """Count these bytes."""
        self._sha256.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


class Store:
    """A folder or a bucket. Paths are below its root. Methods block and raise OSError."""

    def __init__(self, url: str) -> None:
        """`url`: a folder, or a URL of fsspec such as s3://bucket/models."""
        self._files, self._root = fsspec.core.url_to_fs(url)
        self.folder = Path(self._root) if isinstance(self._files, LocalFileSystem) else None
        """None: a bucket."""

    def url(self, path: str) -> str:
        """Return the address of a folder or file, for people."""
        return str(self._files.unstrip_protocol(self._at(path)))

    @as_os_errors()
    def names(self, path: str = "") -> list[str]:
        """Return the names in a folder, in order; none if it does not exist."""
        folder = self._at(path)
        self._files.invalidate_cache(folder)
        try:
            found = self._files.ls(folder, detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(each).rstrip("/").rpartition("/")[2] for each in found)

    @as_os_errors()
    def exists(self, path: str) -> bool:
        return bool(self._files.exists(self._at(path)))

    @as_os_errors()
    def size(self, path: str) -> int:
        """Return the bytes of all files below a folder; 0 if it does not exist."""
        self._files.invalidate_cache()
        return int(self._files.du(self._at(path)))

    @as_os_errors()
    def open(self, path: str) -> IO[bytes]:
        """Open a file for reading."""
        return opened(self._files, self._at(path), "rb", local=self.folder is not None)

    @as_os_errors()
    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        content: bytes = self._files.cat_file(self._at(path))
        return content

    def write(self, path: str, content: bytes) -> None:
        """Write a file durably. Several processes may write it at once."""
        with self.begin(f"{path}.{secrets.token_hex(8)}.tmp") as file:
            file.write(content)
            file.publish(path)

    @as_os_errors()
    def begin(self, path: str) -> "Draft":
        """Create a file, and its folder, that gets its name when it is complete. `path`: its path
        until then, of no file that is needed if it is never published."""
        self._files.makedirs(self._at(path).rpartition("/")[0], exist_ok=True)
        return Draft(self._files, self._root, path, local=self.folder is not None)

    @as_os_errors()
    def remove(self, path: str) -> None:
        """Delete a file. Raise FileNotFoundError, OSError."""
        self._files.rm_file(self._at(path))

    @as_os_errors()
    def delete(self, path: str) -> bool:
        """Delete a folder. Return whether it existed."""
        try:
            self._files.rm(self._at(path), recursive=True)
        except FileNotFoundError:
            return False
        return True

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


class Draft:
    """A file that is being written. Leaving its block deletes it unless it was published."""

    def __init__(self, files: Any, root: str, path: str, *, local: bool) -> None:
        """`files`: the file system of fsspec."""
        self._files, self._root, self._path, self._local = files, root, f"{root}/{path}", local
        self.file = opened(files, self._path, "wb", local=local)
        self._published = False

    @as_os_errors()
    def write(self, data: bytes) -> None:
        """Write all of `data`."""
        self.file.write(data)

    @as_os_errors()
    def complete(self) -> None:
        """Make the content durable, at the path that the file has until it is published."""
        if self._local and not self.file.closed:
            self.file.flush()
            os.fsync(self.file.fileno())
        self.file.close()

    @as_os_errors()
    def publish(self, path: str) -> None:
        """Make the file durable under its final path, which may be the one that it has: an object
        of a bucket, which is complete or absent by itself."""
        target = f"{self._root}/{path}"
        # What stands there after a failed upload is the former object.
        self._published = target == self._path
        self.complete()
        if self._local:
            Path(self._path).replace(target)
            sync_folder(Path(target).parent)
        elif target != self._path:
            self._files.mv(self._path, target)
        self._published = True

    def discard(self) -> None:
        """Delete the file unless it was published."""
        if self._published:
            return
        with suppress(OSError), as_os_errors():  # a full disk may reject unwritten data
            self.file.close()
        with suppress(OSError), as_os_errors():
            self._files.rm_file(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def opened(files: Any, path: str, mode: str, *, local: bool) -> IO[bytes]:
    """Open a file of a folder or, with the file system of fsspec, of a bucket."""
    return cast(IO[bytes], (Path(path).open if local else partial(files.open, path))(mode))
