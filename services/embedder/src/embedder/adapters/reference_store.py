"""References in the folder of fitted spaces.

Below ``<root>/references/<catalog's hash>/<reference>/``:

    draft/<sha256>.png        photos, until they are fitted
    state.json                which version serves
    <version>/manifest.json
    <version>/memory.npz

Files are written elsewhere on the same file system, then renamed, so that several replicas may
share the folder. A method that meets a folder which was deleted meanwhile begins anew.
"""

import contextlib
import functools
import hashlib
import io
import json
import os
import threading
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import numpy as np
from PIL import Image
from pydantic import ValidationError

from embedder.domain import errors
from embedder.domain.inspection import MOST_PHOTOS, PatchMemory
from embedder.domain.photos import Pixels
from embedder.domain.references import (
    MANIFESTS,
    MOST_DRAFTS,
    MOST_REFERENCES,
    MOST_VERSIONS,
    PHOTO_ID,
    SERVED,
    FittedReference,
    ListedReference,
    ReferenceManifest,
    ReferenceState,
    ServedReferences,
)
from servicekit.keys.keyring import SigningKeys, open_keys
from servicekit.telemetry import get_logger
from servicekit.whole_files import delete_whole, write_whole

log = get_logger()

FOLDER: Final = "references"
DRAFT, MANIFEST, MEMORY, STATE = "draft", "manifest.json", "memory.npz", "state.json"
KEPT_SECONDS: Final = 86_400.0
"""Seconds after its last photo for which a draft is kept."""
CACHED: Final = 32
"""Memories that are cached, of half a MiB each."""
_ARRAYS: Final = tuple(each.name for each in fields(PatchMemory) if each.name != "separation")
_ABOUT: Final = ("reference",)
"""Purpose of a manifest's signature (servicekit.keys.keyring)."""
_ATTEMPTS: Final = 5

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _anew(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Repeat a method whose folder is deleted meanwhile, by a request here or to another replica.

    Raises ReferenceNotFound if that happens each time.
    """

    @functools.wraps(method)
    def repeated(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        for _ in range(_ATTEMPTS):
            # FileExistsError: mkdir finds a folder, and then that it is gone.
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                return method(*args, **kwargs)
        raise errors.ReferenceNotFound

    return repeated


class ReferenceStore:
    """Store of references in a folder. Every method blocks."""

    def __init__(self, root: Path, keys: SigningKeys = open_keys) -> None:
        """`root`: folder of fitted spaces; folders are created on first use. `keys` sign
        manifests."""
        self._root, self._work, self._keys = root / FOLDER, root / "work", keys
        self._cache: OrderedDict[Path, PatchMemory] = OrderedDict()
        self._lock = threading.Lock()

    @_anew
    def add(self, catalog_id: str, reference_id: str, digest: str, pixels: Pixels) -> int:
        """Add a photo to the draft, unless it is there. Return the number of its photos.

        Raises ReferencesFull or ReferenceFull.
        """
        draft = self._folder(catalog_id, reference_id) / DRAFT
        path, have = draft / f"{digest}.png", len(self._photos(draft))
        if not path.is_file():
            if not draft.is_dir():
                self._check_room(catalog_id, reference_id)
            if have >= MOST_PHOTOS:
                raise errors.ReferenceFull(MOST_PHOTOS)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG", compress_level=1)
            self._write(path, file.getvalue())
        os.utime(draft)
        return len(self._photos(draft))

    @_anew
    def draft(self, catalog_id: str, reference_id: str) -> dict[str, Pixels]:
        """Return the photos of a draft by their hashes, in order; empty: there is no draft.

        A damaged photo is deleted: it would be in the way of all others, and of itself when it is
        added again.
        """
        found = {}
        for path in self._photos(self._folder(catalog_id, reference_id) / DRAFT):
            data = path.read_bytes()
            try:
                with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                    found[path.stem] = np.asarray(image.convert("RGB"), np.uint8)
            except Exception as error:  # Pillow raises many kinds
                log.warning("photo of a draft damaged", file=str(path), problem=repr(error))
                path.unlink(missing_ok=True)
        return found

    @_anew
    def count(self, catalog_id: str, reference_id: str) -> int:
        """Return the number of photos of a draft."""
        return len(self._photos(self._folder(catalog_id, reference_id) / DRAFT))

    @_anew
    def keep(
        self,
        catalog_id: str,
        reference_id: str,
        product_id: str,
        fitted: FittedReference,
        photos: Sequence[str],
    ) -> ListedReference:
        """Store a fitted version, and delete its photos from the draft, and versions in excess.
        `photos`: their hashes."""
        memory, model = fitted.memory, fitted.model
        data = _packed(memory)
        made = ReferenceManifest(
            catalog_id=catalog_id,
            reference_id=reference_id,
            version=_version(memory, model, product_id),
            product_id=product_id,
            photos=memory.photos,
            separation=memory.separation,
            model=model,
            create_time=datetime.now(UTC),
            file=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            photo_ids=tuple(each[:PHOTO_ID] for each in photos),
            evaluation=fitted.evaluation,
        )
        folder = self._folder(catalog_id, reference_id)
        known = next(
            (each for each in self._manifests(folder) if each.version == made.version), None
        )
        if known is None:
            keys = self._keys()
            signature = keys.sign(_ABOUT, _unsigned(made)) if keys.secret else ""
            made = replace(made, signature=signature)
            self._write(folder / made.version / MEMORY, data)
            self._write(
                folder / made.version / MANIFEST,
                MANIFESTS.dump_json(made, indent=1, exclude_none=True),
            )
        self._forget(folder / DRAFT, photos)
        serving = self._served(folder).serving
        spare = [each for each in self._manifests(folder) if each.version != serving]
        for each in spare[MOST_VERSIONS - bool(serving) :]:
            self._delete(folder / each.version)
        return _listed(known or made, _state(made.version, self._served(folder)))

    @_anew
    def listed(self, catalog_id: str, reference_id: str = "") -> list[ListedReference]:
        """Return the drafts and versions of a catalog's references, drafts first, then the newest;
        of one reference if named."""
        found = []
        for folder in self._references(catalog_id):
            if reference_id in {"", folder.name}:
                found += self._of(folder)
        return sorted(
            found,
            key=lambda each: (
                each.state is not ReferenceState.DRAFT,
                -each.create_time.timestamp(),
            ),
        )

    @_anew
    def promote(self, catalog_id: str, reference_id: str, version: str) -> ListedReference:
        """Make a version serve; empty: the newest. Raises ReferenceNotFound."""
        folder = self._folder(catalog_id, reference_id)
        found = self._find(folder, version)
        served = self._served(folder)
        if served.serving != found.version:
            retired = [*served.retired, *([served.serving] if served.serving else [])]
            fresh = ServedReferences(
                serving=found.version,
                product_id=found.product_id,
                promote_time=time.time(),
                retired=tuple(each for each in retired if each != found.version)[-MOST_VERSIONS:],
            )
            self._write(folder / STATE, SERVED.dump_json(fresh))
        return _listed(found, ReferenceState.SERVING)

    @_anew
    def delete(self, catalog_id: str, reference_id: str, version: str) -> int:
        """Delete a version, or a reference. Return the number of versions and drafts deleted.

        Raises ReferenceNotFound.
        """
        folder = self._folder(catalog_id, reference_id)
        if not version:
            count = len(self._of(folder))
            if not folder.is_dir():
                raise errors.ReferenceNotFound
            self._delete(folder)
            return count
        found, served = self._find(folder, version), self._served(folder)
        if served.serving == found.version:
            self._write(folder / STATE, SERVED.dump_json(ServedReferences(retired=served.retired)))
        self._delete(folder / found.version)
        if not self._of(folder):
            self._delete(folder)
        return 1

    def delete_catalog(self, catalog_id: str) -> None:
        """Delete all references of a catalog."""
        self._delete(self._catalog(catalog_id))

    @_anew
    def load(
        self, catalog_id: str, reference_id: str, product_id: str, version: str
    ) -> tuple[ReferenceManifest, PatchMemory]:
        """Return a version by the name of its reference, or the one that serves a product.

        `version` empty: the one that serves. Raises ReferenceNotFound.
        """
        folder = (
            self._folder(catalog_id, reference_id)
            if reference_id
            else self._of_product(catalog_id, product_id)
        )
        wanted = version or self._served(folder).serving
        if not wanted:
            raise errors.ReferenceNotFound
        found = self._find(folder, wanted)
        path = folder / found.version / MEMORY
        with self._lock:  # threads load concurrently
            memory = self._cache.pop(path, None)
        if memory is None:
            memory = _unpacked(path, found)
        with self._lock:
            self._cache[path] = memory
            while len(self._cache) > CACHED:
                self._cache.popitem(last=False)
        return found, memory

    def serving(
        self, catalog_id: str, reference_id: str
    ) -> tuple[ReferenceManifest, PatchMemory] | None:
        """Return the version of a reference that serves; None: none does."""
        try:
            return self.load(catalog_id, reference_id, "", "")
        except errors.ReferenceNotFound:
            return None

    @_anew
    def sweep(self, catalog_id: str) -> None:
        """Delete the catalog's drafts that no photo was added to for a day."""
        for folder in self._references(catalog_id):
            with contextlib.suppress(OSError):
                if time.time() - (folder / DRAFT).stat().st_mtime > KEPT_SECONDS:
                    self._delete(folder / DRAFT)
                    folder.rmdir()  # unless it has versions

    def _catalog(self, catalog_id: str) -> Path:
        return self._root / hashlib.sha256(catalog_id.encode()).hexdigest()[:32]

    def _folder(self, catalog_id: str, reference_id: str) -> Path:
        return self._catalog(catalog_id) / reference_id

    def _references(self, catalog_id: str) -> list[Path]:
        return sorted(self._catalog(catalog_id).glob("*"))

    def _check_room(self, catalog_id: str, reference_id: str) -> None:
        folders = self._references(catalog_id)
        drafts = sum((each / DRAFT).is_dir() for each in folders)
        known = reference_id in {each.name for each in folders}
        if drafts >= MOST_DRAFTS or (not known and len(folders) >= MOST_REFERENCES):
            raise errors.ReferencesFull(MOST_REFERENCES, MOST_DRAFTS)

    @staticmethod
    def _photos(draft: Path) -> list[Path]:
        return sorted(draft.glob("*.png"))

    def _of(self, folder: Path) -> list[ListedReference]:
        served = self._served(folder)
        found = []
        if photos := self._photos(folder / DRAFT):
            changed = datetime.fromtimestamp((folder / DRAFT).stat().st_mtime, UTC)
            found.append(ListedReference(folder.name, ReferenceState.DRAFT, len(photos), changed))
        versions = self._manifests(folder)
        return found + [_listed(each, _state(each.version, served)) for each in versions]

    def _of_product(self, catalog_id: str, product_id: str) -> Path:
        """Return the folder whose serving version is of a product, promoted last."""
        found = [
            (served.promote_time, folder)
            for folder in self._references(catalog_id)
            if (served := self._served(folder)).serving and served.product_id == product_id
        ]
        if not found:
            raise errors.ReferenceNotFound
        return max(found)[1]

    @staticmethod
    def _served(folder: Path) -> ServedReferences:
        try:
            return SERVED.validate_json((folder / STATE).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return ServedReferences()
        except (OSError, ValidationError) as error:
            log.warning("state ignored", file=str(folder / STATE), problem=type(error).__name__)
            return ServedReferences()

    def _manifests(self, folder: Path) -> list[ReferenceManifest]:
        """Return the valid manifests of a reference, the newest first."""
        return sorted(self._read(folder), key=lambda each: each.create_time, reverse=True)

    def _read(self, folder: Path) -> Iterator[ReferenceManifest]:
        keys = self._keys()
        for path in folder.glob(f"*/{MANIFEST}"):
            try:
                found = MANIFESTS.validate_json(path.read_bytes())
                if keys.secret:
                    keys.check(_ABOUT, _unsigned(found), found.signature)
                if (found.reference_id, found.version) == (folder.name, path.parent.name):
                    yield found
            except (OSError, ValueError) as error:
                log.warning(
                    "reference ignored", version=path.parent.name, problem=type(error).__name__
                )

    def _find(self, folder: Path, version: str) -> ReferenceManifest:
        for each in self._manifests(folder):
            if version in {"", each.version}:
                return each
        raise errors.ReferenceNotFound

    def _forget(self, draft: Path, photos: Sequence[str]) -> None:
        """Delete photos of a draft, and the draft unless others were added meanwhile."""
        if {each.stem for each in self._photos(draft)} <= set(photos):
            return self._delete(draft)
        for each in photos:
            (draft / f"{each}.png").unlink(missing_ok=True)

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file, and make its folder."""
        for folder in (path.parent, self._work):
            folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, data, self._work)

    def _delete(self, folder: Path) -> None:
        delete_whole(folder, self._work)


def _listed(found: ReferenceManifest, state: ReferenceState) -> ListedReference:
    return ListedReference(found.reference_id, state, found.photos, found.create_time, found)


def _state(version: str, served: ServedReferences) -> ReferenceState:
    if version == served.serving:
        return ReferenceState.SERVING
    return ReferenceState.RETIRED if version in served.retired else ReferenceState.CANDIDATE


def _packed(memory: PatchMemory) -> bytes:
    file = io.BytesIO()
    np.savez(file, **{name: getattr(memory, name) for name in _ARRAYS})
    return file.getvalue()


def _unpacked(path: Path, manifest: ReferenceManifest) -> PatchMemory:
    """Read a memory. Raises ReferenceNotFound if its file is missing or was changed."""
    try:
        data = path.read_bytes()
        _check(data, manifest)
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return PatchMemory(
                **{name: arrays[name] for name in _ARRAYS}, separation=manifest.separation
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        log.warning("reference damaged", version=manifest.version, problem=type(error).__name__)
        raise errors.ReferenceNotFound from error


def _check(data: bytes, manifest: ReferenceManifest) -> None:
    if hashlib.sha256(data).hexdigest() != manifest.file:
        raise ValueError("the file was changed")


def _version(memory: PatchMemory, model: str, product_id: str) -> str:
    digest = hashlib.sha256(json.dumps([model, product_id]).encode())
    for name in _ARRAYS:
        digest.update(np.ascontiguousarray(getattr(memory, name)).tobytes())
    return digest.hexdigest()[:16]


def _unsigned(found: ReferenceManifest) -> bytes:
    # Without what older manifests lack, so that their signatures stay valid.
    return MANIFESTS.dump_json(replace(found, signature=""), exclude_none=True)
