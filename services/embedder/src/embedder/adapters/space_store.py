"""Fitted spaces in a folder that the embedder and Triton share.

    <root>/candidates/visual_<12 hex>/     fitted, not promoted; with visual_<12 hex>_text/ beside
    <root>/models/…                        Triton's second model repository: serving spaces
    <root>/retired/…                       taken out of service
    <root>/features/<features model>/…     features of photos, by content
    <root>/work/…                          fits in progress

Folders are created atomically: written elsewhere on the same file system, then renamed. A space
with a folder under `candidates` or `retired` is not in service, even if `models` has one too, which
happens while a promotion is in progress or after one was interrupted.
"""

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from embedder.domain import manifest
from embedder.domain.errors import SpaceNotFound
from servicekit.keys.keyring import SigningKeys, open_keys
from servicekit.telemetry import get_logger
from servicekit.whole_files import delete_whole, move_whole, sha256_of, write_whole

log = get_logger()


ABANDONED_SECONDS: Final = 86400.0
"""Age after which a folder of `work` counts as abandoned; every fit is shorter."""


WORK: Final = "work"
_ABOUT: Final = ("space",)
"""Purpose of a manifest's signature (servicekit.keys.keyring)."""
_OUT_OF_SERVICE: Final = (manifest.ServingState.CANDIDATE, manifest.ServingState.RETIRED)


class SpaceStore:
    """Store of fitted spaces in a folder. Every method blocks."""

    def __init__(self, root: Path, keys: SigningKeys = open_keys) -> None:
        """`root` and its folders are created on first use. `keys` sign manifests."""
        self._keys = keys
        self._root, self._work = root, root / WORK
        self.features = root / "features"
        """Folder of the features of photos."""
        self._logged: dict[Path, str] = {}
        """Logged message by folder of a damaged space, so that each damage is logged once."""

    def prepare(self) -> None:
        """Create the folders. Raises OSError."""
        for standing in manifest.ServingState:
            (self._root / standing).mkdir(parents=True, exist_ok=True)
        self._work.mkdir(exist_ok=True)

    def folder(self, name: str, standing: manifest.ServingState) -> Path:
        """Return a space's folder, which may not exist. `name`: name in its manifest."""
        return self._root / standing / name

    def work(self) -> Path:
        """Create a folder for a fit. If the fit is killed, `sweep` deletes the folder later."""
        self._work.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self._work))

    def sweep(self) -> None:
        """Delete abandoned folders of `work`, left by killed processes."""
        for path in self._work.glob("*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
                    path.unlink(missing_ok=True)

    def spaces(
        self, catalog_id: str
    ) -> Iterator[tuple[manifest.SpaceManifest, manifest.ServingState]]:
        """Yield a catalog's fitted spaces, the newest first, without damaged ones."""
        found = {}
        for standing in (
            manifest.ServingState.SERVING,
            *_OUT_OF_SERVICE,
        ):  # later states take precedence
            for each in self._manifests(standing):
                if each.catalog_id == catalog_id:
                    found[each.name] = each, standing
        yield from sorted(found.values(), key=lambda each: each[0].create_time, reverse=True)

    def find(
        self, catalog_id: str, wanted: str
    ) -> tuple[manifest.SpaceManifest, manifest.ServingState]:
        """Return a catalog's space by its version or name. Raises SpaceNotFound."""
        for each, standing in self.spaces(catalog_id):
            if wanted in {each.version, each.name}:
                return each, standing
        raise SpaceNotFound

    def add(self, work: Path, found: manifest.SpaceManifest) -> None:
        """Move a fitted space from a folder of `work` to the candidates.

        A space that already exists (same map, photos and settings) is unchanged.
        """
        self.prepare()
        (work / found.name / manifest.MANIFEST).write_bytes(self._signed(found).written())
        with contextlib.suppress(SpaceNotFound):
            self.find(found.catalog_id, found.name)
            return
        for name in found.models:
            self._move(work / name, self.folder(name, manifest.ServingState.CANDIDATE))

    def trusts(self, found: manifest.SpaceManifest, standing: manifest.ServingState) -> bool:
        """Return whether a key signed a space; true without keys."""
        keys = self._keys()
        try:
            if keys.secret:
                data = (self.folder(found.name, standing) / manifest.MANIFEST).read_bytes()
                keys.check(_ABOUT, _unsigned(data), found.signature)
        except (OSError, ValueError):
            return False
        return True

    def untrusted(self) -> set[str]:
        """Return the names of serving models without a valid signature."""
        here = manifest.ServingState.SERVING
        if not self._keys().secret:
            return set()
        names = {path.name for path in self.folder("", here).glob("*")}
        for each in self._manifests(here):
            if self.trusts(each, here):
                names.difference_update(each.models)
            else:
                unsigned = manifest.SpaceDamaged(
                    f"{each.name} is not signed: promote the space with force"
                )
                self._log(self.folder(each.name, here), unsigned)
        return names

    def adopt(self, found: manifest.SpaceManifest) -> manifest.SpaceManifest:
        """Sign a serving space. Raises SpaceDamaged."""
        self.check(found, manifest.ServingState.SERVING)
        return self._write_manifest(replace(found, forced=True))

    def check(self, found: manifest.SpaceManifest, standing: manifest.ServingState) -> None:
        """Raise SpaceDamaged unless the files of a space match its manifest."""
        wanted = {found.name: found.files, found.text_name: found.text_files}
        for name in found.models:
            check(self.folder(name, standing), wanted[name])

    def offer(self, found: manifest.SpaceManifest, standing: manifest.ServingState) -> None:
        """Copy a space into Triton's repository; `settle` deletes the original."""
        for name in found.models:
            copy = self.work() / name
            shutil.copytree(self.folder(name, standing), copy)
            self._move(copy, self.folder(name, manifest.ServingState.SERVING))
            copy.parent.rmdir()

    def withdraw(self, found: manifest.SpaceManifest) -> None:
        """Delete the copy that `offer` made."""
        for name in found.models:
            shutil.rmtree(self.folder(name, manifest.ServingState.SERVING), ignore_errors=True)

    def settle(
        self, found: manifest.SpaceManifest, standing: manifest.ServingState, *, forced: bool
    ) -> manifest.SpaceManifest:
        """Complete a promotion: sign the serving copy and delete the original. Return the new
        manifest."""
        settled = self._write_manifest(replace(found, forced=forced))
        for name in reversed(found.models):
            delete_whole(self.folder(name, standing), self._work)
        return settled

    def retire(self, found: manifest.SpaceManifest) -> None:
        """Move a serving space to the retired ones."""
        for name in found.models:
            serving = self.folder(name, manifest.ServingState.SERVING)
            self._move(serving, self.folder(name, manifest.ServingState.RETIRED))

    def delete(self, found: manifest.SpaceManifest) -> None:
        """Delete a space in every state."""
        for standing in manifest.ServingState:
            for name in found.models:
                delete_whole(self.folder(name, standing), self._work)

    def _move(self, source: Path, target: Path) -> None:
        move_whole(source, target, self._work)

    def _signed(self, found: manifest.SpaceManifest) -> manifest.SpaceManifest:
        keys = self._keys()
        content = _unsigned(found.written())
        return replace(found, signature=keys.sign(_ABOUT, content) if keys.secret else "")

    def _write_manifest(self, found: manifest.SpaceManifest) -> manifest.SpaceManifest:
        """Sign and write the manifest of a serving space. Return the new manifest."""
        written = self._signed(found)
        path = self.folder(found.name, manifest.ServingState.SERVING) / manifest.MANIFEST
        write_whole(path, written.written(), self._work)
        return written

    def _manifests(self, standing: manifest.ServingState) -> Iterator[manifest.SpaceManifest]:
        for path in sorted((self._root / standing).glob("visual_*")):
            if path.name.endswith(manifest.TEXT_SUFFIX):
                continue
            try:
                yield read(path)
            except manifest.SpaceDamaged as error:
                self._log(path, error)

    def _log(self, folder: Path, error: manifest.SpaceDamaged) -> None:
        """Log why a space is ignored, once per file and reason: the folder is read every few
        seconds."""
        found = f"{_changed(folder / manifest.MANIFEST)} {error}"
        if self._logged.get(folder) != found:
            self._logged[folder] = found
            log.warning("fitted space ignored", reason=str(error))


def _unsigned(data: bytes) -> bytes:
    """Return the signed part of a manifest: all fields but the signature, unknown ones included.
    Raises ValueError."""
    fields = json.loads(data)
    fields.pop("signature", None)
    return json.dumps(fields, sort_keys=True).encode()


def _changed(path: Path) -> int:
    """Return the modification time of a file in nanoseconds since 1970; 0 if it does not exist."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def read(folder: Path) -> manifest.SpaceManifest:
    """Return the manifest in a folder. Raises SpaceDamaged."""
    path = folder / manifest.MANIFEST
    try:
        if path.stat().st_size > manifest.MAX_BYTES:
            raise manifest.SpaceDamaged(f"{path.name} of {folder.name} is too large")
        found = manifest.MANIFESTS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise manifest.SpaceDamaged(f"{folder.name} has no valid {path.name}") from error
    if found.name != folder.name:
        raise manifest.SpaceDamaged(f"{folder.name} holds the manifest of another space")
    return found


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of a folder's files by their paths in it, without its manifest's."""
    found = {path.relative_to(folder).as_posix(): sha256_of(path) for path in _files(folder)}
    found.pop(manifest.MANIFEST, None)
    return found


def check(folder: Path, wanted: dict[str, str]) -> None:
    """Raise SpaceDamaged unless a folder has exactly these files, by their hashes."""
    try:
        found = hashes(folder)
    except OSError as error:
        raise manifest.SpaceDamaged(f"{folder.name}: {error.strerror}") from error
    if wrong := sorted(name for name, _ in found.items() ^ wanted.items()):
        raise manifest.SpaceDamaged(
            f"{folder.name}: missing, changed or added files: {', '.join(dict.fromkeys(wrong))}"
        )


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise manifest.SpaceDamaged(f"{folder.name} contains a symbolic link: {path.name}")
        if path.is_file():
            yield path
