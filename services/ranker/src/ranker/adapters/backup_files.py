"""Storage of backups: one subfolder each of a folder or bucket (fsspec). A backup is complete once
its manifest, which is written last, exists. Beside the backups is a note of each purge, which a
restore repeats.

With keys, manifest and notes are signed; all other files are verified by the hashes in the
manifest.
"""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ranker.domain.errors import BackupRefused
from servicekit.keyring import KeyRing, SignatureInvalid

MANIFEST, NOTES, SIGNATURE = "manifest.json", "purges", ".hmac"


class Hashed:
    """A file wrapper that hashes what is read or written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._digest, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self._take(data)
        return self._file.write(data)

    def read(self, size: int = -1) -> bytes:
        return self._take(self._file.read(size))

    def flush(self) -> None:
        """Do nothing: closing the file flushes it."""

    def _take(self, data: bytes) -> bytes:
        self._digest.update(data)
        self.size += len(data)
        return data

    @property
    def facts(self) -> Mapping[str, Any]:
        """As the manifest names them."""
        return {"size": self.size, "sha256": self._digest.hexdigest()}


class BackupFiles:
    """Backup storage. Blocking. Raises OSError if the place does not answer."""

    def __init__(self, url: str, keys: KeyRing) -> None:
        """`url` is a folder or any URL that fsspec knows; `keys` sign and verify."""
        if not url:
            raise BackupRefused("BACKUPS_UNSET", "RANKER_BACKUPS is not a folder or bucket")
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._local = isinstance(self._files, LocalFileSystem)
        self._keys = keys

    def ids(self) -> list[str]:
        """Return the ids of complete backups, newest first."""
        return [one for one in self._names("") if self._files.exists(self._at(one, MANIFEST))]

    def begun(self) -> list[str]:
        """Return the ids of all backups, complete or not, newest first."""
        return [one for one in self._names("") if one != NOTES]

    def delete(self, backup_id: str) -> None:
        """Delete a backup, the manifest first: without it the rest is no backup."""
        with suppress(FileNotFoundError):
            self._files.rm_file(self._at(backup_id, MANIFEST))
        self._files.rm(self._at(backup_id), recursive=True)

    @contextmanager
    def packed(self, backup_id: str, name: str) -> Iterator[tuple[IO[bytes], Hashed]]:
        """Open a new compressed file; its size and hash are known after the block."""
        with self._new(self._at(backup_id, name)) as file:
            hashed = Hashed(file)
            with gzip.GzipFile(
                filename="", mode="wb", compresslevel=1, fileobj=cast(Any, hashed), mtime=0
            ) as out:
                yield cast(IO[bytes], out), hashed

    @contextmanager
    def unpacked(self, backup_id: str, name: str, facts: Mapping[str, Any]) -> Iterator[IO[bytes]]:
        """Open a file that `packed` wrote; raise BackupRefused after the block if it has
        changed."""
        try:
            with self._files.open(self._at(backup_id, name), "rb") as file:
                hashed = Hashed(file)
                with gzip.GzipFile(fileobj=cast(Any, hashed), mode="rb") as content:
                    yield cast(IO[bytes], content)
                    while content.read(2**20):
                        pass
        except (FileNotFoundError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BackupRefused("BACKUP_DAMAGED", f"{name} is missing or truncated") from error
        _check(name, hashed.facts, facts)

    def put(self, backup_id: str, name: str, content: bytes) -> Mapping[str, Any]:
        """Write a new file and return its facts."""
        with self._new(self._at(backup_id, name)) as file:
            hashed = Hashed(file)
            hashed.write(content)
        return hashed.facts

    def get(self, backup_id: str, name: str, facts: Mapping[str, Any]) -> bytes:
        """Return a file's content; BackupRefused unless it matches the manifest."""
        content = self._content(self._at(backup_id, name))
        found = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        _check(name, found, facts)
        return content

    def put_signed(self, folder: str, name: str, content: Mapping[str, Any]) -> None:
        """Store JSON, after its signature."""
        data = json.dumps(content, indent=1, sort_keys=True).encode()
        if self._keys.secret:
            self.put(folder, name + SIGNATURE, self._keys.sign(_about(folder, name), data).encode())
        self.put(folder, name, data)

    def get_signed(self, folder: str, name: str, *, unsigned: bool) -> dict[str, Any]:
        """Return JSON signed by one of the keys, or any with `unsigned` or without keys."""
        data = self._content(self._at(folder, name))
        try:
            if self._keys.secret and not unsigned:
                signature = self._content(self._at(folder, name + SIGNATURE)).decode("ascii")
                self._keys.check(_about(folder, name), data, signature)
            found: dict[str, Any] = json.loads(data)
        except (SignatureInvalid, BackupRefused) as error:
            why = f"none of the keys signed {folder}/{name}"
            raise BackupRefused("BACKUP_UNSIGNED", why) from error
        except ValueError as error:
            raise BackupRefused("BACKUP_DAMAGED", f"{folder}/{name} is no JSON") from error
        return found

    def notes(self) -> Sequence[str]:
        """Return the names of all notes of purges."""
        return [name for name in self._names(NOTES) if name.endswith(".json")]

    def forget_note(self, name: str) -> None:
        for each in (name, name + SIGNATURE):
            with suppress(FileNotFoundError):
                self._files.rm_file(self._at(NOTES, each))

    def _names(self, folder: str) -> list[str]:
        path = self._at(folder) if folder else self._root
        self._files.invalidate_cache(path)
        try:
            found = self._files.ls(path, detail=False)
        except FileNotFoundError:
            return []
        return sorted((str(each).rpartition("/")[2] for each in found), reverse=True)

    def _content(self, path: str) -> bytes:
        try:
            return bytes(self._files.cat_file(path))
        except FileNotFoundError as error:
            shown = path.removeprefix(f"{self._root}/")
            raise BackupRefused("BACKUP_NOT_FOUND", f"there is no {shown}") from error

    @contextmanager
    def _new(self, path: str) -> Iterator[IO[bytes]]:
        """Open a file that is durable after the block, and removed if the block raises."""
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        draft = f"{path}.part" if self._local else path
        with self._opened(draft) as file:
            yield file
            if self._local:
                file.flush()
                os.fsync(file.fileno())
        if self._local:
            Path(draft).replace(path)

    def _opened(self, path: str) -> IO[bytes]:
        return (
            Path(path).open("wb") if self._local else cast(IO[bytes], self._files.open(path, "wb"))
        )

    def _at(self, *parts: str) -> str:
        return "/".join([self._root, *parts])


def _about(folder: str, name: str) -> tuple[str, str, str]:
    return "ranker backup", folder, name


def _check(name: str, found: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    if any(found[key] != facts[key] for key in ("size", "sha256")):
        raise BackupRefused("BACKUP_DAMAGED", f"{name} does not match the manifest")
