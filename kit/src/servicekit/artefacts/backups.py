"""The backup store: a local folder, or a bucket (fsspec)."""

import asyncio
import contextlib
import contextvars
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TypeVar

from servicekit.artefacts.backup_errors import (
    BackupDamaged,
    BackupNotFound,
    BackupsUnset,
    BackupUnsigned,
    BackupVersionUnsupported,
)
from servicekit.artefacts.backup_files import BackupReader, BackupWriter, NewFile, translated
from servicekit.artefacts.manifest import FORMER, MANIFEST, BackupFile, Manifest, parse_manifest
from servicekit.artefacts.store import Store
from servicekit.clock import now_micros
from servicekit.keys.keyring import KeyRing, SignatureInvalid, SigningKeys, open_keys

T = TypeVar("T")

SIGNATURE = ".hmac"
MOST_JSON_BYTES = 16 * 2**20
STALE_MICROS = 86_400 * 10**6
"""Age at which a backup without a manifest counts as cut short."""
STAMP = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6,16}")
_CATALOG = re.compile(r"([a-z0-9][a-z0-9_-]{0,62})?")


def stamp(micros: int) -> str:
    """Return the beginning of the ids of backups of this time; `micros`: microseconds since 1970
    (UTC)."""
    return f"{datetime.fromtimestamp(micros // 10**6, UTC):{STAMP}}"


def new_id(micros: int) -> str:
    """Return the id of a new backup. Ids sort by time."""
    return f"{stamp(micros)}-{micros % 10**6:05x}{secrets.token_hex(2)[1:]}"


class Backups:
    """A service's backups. Calls block, but for `run`; all raise BackupsUnavailable."""

    def __init__(
        self,
        url: str,
        service: str,
        keys: SigningKeys = open_keys,
    ) -> None:
        """`url`: a folder or an fsspec URL such as s3://bucket/backups; `keys` sign and verify."""
        if not url:
            raise BackupsUnset
        self.keys, self.service = keys, service
        self._store = Store(url)
        self._io = ThreadPoolExecutor(2, "backup-io")

    def close(self) -> None:
        """Wait for running work."""
        self._io.shutdown(wait=True, cancel_futures=True)

    async def run(self, work: Callable[[], T]) -> T:
        """Run blocking work on backups in a thread."""
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._io, run, work)

    def spool_folder(self) -> Path | None:
        """Return the folder of large temporary files; None: the system's default."""
        return self._store.folder

    # Backups

    def ids(self, catalog_id: str = "") -> list[str]:
        """Return the ids of complete backups, newest first."""
        return [one for one, complete in self._found(catalog_id).items() if complete]

    @translated()
    def _found(self, catalog_id: str) -> dict[str, bool]:
        """Return the ids of all backups, newest first, each with whether it is complete."""
        names = self.names(_checked(_CATALOG, catalog_id))
        return {
            one: self._store.exists(f"{_path(catalog_id, one)}/{MANIFEST}")
            for one in sorted(filter(_ID.fullmatch, names), reverse=True)
        }

    def used(self, catalog_id: str = "") -> tuple[int, int]:
        """Return the number of complete backups, and their bytes."""
        ids = self.ids(catalog_id)
        return len(ids), sum(self.size(catalog_id, one) for one in ids)

    @translated()
    def size(self, catalog_id: str, backup_id: str) -> int:
        """Return the bytes of all files of a backup; 0 if it does not exist."""
        return self._store.size(_path(catalog_id, backup_id))

    @translated()
    def delete(self, catalog_id: str, backup_id: str) -> int:
        """Delete a backup, complete or not. Return its bytes, 0 if it did not exist."""
        path, size = _path(catalog_id, backup_id), self.size(catalog_id, backup_id)
        # The manifest is deleted first: without it the remaining files do not count as a backup.
        with contextlib.suppress(FileNotFoundError):
            self._store.remove(f"{path}/{MANIFEST}")
        self._store.delete(path)
        return size

    def keep_newest(self, catalog_id: str, keep: int) -> list[str]:
        """Delete all backups but the `keep` newest, and incomplete ones older than a day. Return
        the ids of the deleted ones."""
        stale, found = stamp(now_micros() - STALE_MICROS), self._found(catalog_id)
        deleted = [one for one, complete in found.items() if complete][keep:]
        deleted += [one for one, complete in found.items() if not complete and one < stale]
        for one in deleted:
            self.delete(catalog_id, one)
        return deleted

    def open(self, catalog_id: str, backup_id: str, *, unsigned: bool = False) -> BackupReader:
        """Open a backup; `unsigned`: accept one without a valid signature.

        Raises BackupNotFound, BackupUnsigned, BackupDamaged, BackupVersionUnsupported.
        """
        path = _path(catalog_id, backup_id)
        try:
            found = self.get_signed(f"{path}/{MANIFEST}", unsigned=unsigned)
        except BackupNotFound:
            if self._store.exists(f"{path}.tar"):  # one file, as 0.15 wrote it
                raise BackupVersionUnsupported("release 0.15 made it", FORMER) from None
            raise
        manifest = parse_manifest(found, self.service)
        return BackupReader(manifest, lambda name: self._open(f"{path}/{name}"))

    @translated()
    def begin(self, catalog_id: str, backup_id: str) -> BackupWriter:
        """Begin a backup. Files of an earlier attempt are deleted."""
        self.delete(catalog_id, backup_id)
        path = _path(catalog_id, backup_id)

        def finish(manifest: Manifest) -> None:
            self.put_signed(f"{path}/{MANIFEST}", manifest.model_dump())

        return BackupWriter(
            lambda name, files: self._new(path, name, files),
            finish,
            lambda: self.delete(catalog_id, backup_id),
        )

    # Signed documents, such as manifests

    @translated()
    def put_signed(self, path: str, content: Mapping[str, Any]) -> None:
        """Store JSON at a path below the root, after its signature. Former ones are replaced once
        both are complete."""
        data, keys = json.dumps(content, indent=1, sort_keys=True).encode(), self.keys()
        files = {path: data}
        if keys.secret:
            files = {path + SIGNATURE: keys.sign(self._about(path), data).encode(), **files}
        with contextlib.ExitStack() as drafts:
            made = {each: drafts.enter_context(self._store.begin(_draft(each))) for each in files}
            for each, draft in made.items():
                draft.write(files[each])
                draft.complete()
            for each, draft in made.items():
                draft.publish(each)

    def get_signed(self, path: str, *, unsigned: bool) -> dict[str, Any]:
        """Return JSON that one of the keys signed; with `unsigned`, or without keys, any JSON.

        Raises BackupNotFound, BackupUnsigned, BackupDamaged.
        """
        data, keys = self._read(path), self._wanted(unsigned=unsigned)
        if keys is not None:
            try:
                signature = self._read(path + SIGNATURE).decode("ascii", "replace")
                keys.check(self._about(path), data, signature)
            except (SignatureInvalid, BackupNotFound) as error:
                raise BackupUnsigned from error
        try:
            found: dict[str, Any] = dict(json.loads(data))
        except (ValueError, TypeError, RecursionError) as error:
            raise BackupDamaged(path.rpartition("/")[2], "is not a JSON object") from error
        return found

    @translated()
    def delete_signed(self, path: str) -> None:
        """Delete a signed document, if it exists."""
        for each in (path, path + SIGNATURE):
            with contextlib.suppress(FileNotFoundError):
                self._store.remove(each)

    @translated()
    def names(self, folder: str) -> Sequence[str]:
        """Return the names in a folder below the root, in order."""
        return self._store.names(folder)

    # Files

    def _wanted(self, *, unsigned: bool) -> KeyRing | None:
        """Return the keys, one of which must have signed a backup; None: no signature is needed."""
        keys = self.keys()
        return keys if keys.secret and not unsigned else None

    def _about(self, path: str) -> tuple[str, str, str]:
        """Return the context that a document's signature covers beside its content."""
        folder, name = path.split("/")[-2:]
        return f"{self.service} backup", folder, name

    def _read(self, path: str) -> bytes:
        with contextlib.closing(self._open(path)) as file, translated():
            data: bytes = file.read(MOST_JSON_BYTES + 1)
        if len(data) > MOST_JSON_BYTES:
            raise BackupDamaged(path.rpartition("/")[2], f"has more than {MOST_JSON_BYTES:,} bytes")
        return data

    @translated()
    def _open(self, path: str) -> IO[bytes]:
        """Open a file for reading. Raise BackupNotFound."""
        try:
            return self._store.open(path)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise BackupNotFound from error

    @translated()
    def _new(self, folder: str, name: str, files: list[BackupFile]) -> NewFile:
        """Begin a file. `files` receives its entry once it is durable."""
        path = f"{folder}/{name}"
        # An object of a bucket is complete or absent by itself, and a new backup replaces none.
        draft = path if self._store.folder is None else _draft(path)
        return NewFile(self._store.begin(draft), path, name, files)


def _draft(path: str) -> str:
    """Return the path of a file until it is complete."""
    return f"{path}.part"


def _path(catalog_id: str, backup_id: str) -> str:
    """Return the path of a backup below the root. Raise BackupNotFound for invalid ids."""
    _checked(_CATALOG, catalog_id)
    return "/".join(filter(None, (catalog_id, _checked(_ID, backup_id))))


def _checked(pattern: re.Pattern[str], name: str) -> str:
    if not pattern.fullmatch(name):
        raise BackupNotFound
    return name
