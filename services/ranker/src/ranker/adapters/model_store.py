"""A model as files: npz files of arrays and a JSON manifest, in a folder or bucket (fsspec).

Nothing is unpickled. The manifest holds the SHA-256 of each npz, and the record in SQL that of the
manifest, so that any changed file is rejected. packing.py defines the arrays.

Files: ``<store>/<catalog>/<version>/model.npz``; ``state.npz``, from which a training can continue
and which is never served; and ``manifest.json``.
"""

import hashlib
import io
import json
import posixpath
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, cast

import fsspec
import numpy as np

from ranker.adapters.drivers import as_os_errors
from ranker.adapters.packing import arrays_of, model_of, words_of
from ranker.domain.arrays import AnyArray
from ranker.domain.errors import ModelCorrupt, StoreUnwritable
from ranker.domain.model import Model

FORMAT = 2
READABLE = (1, FORMAT)
"""Formats that can be read. Format 1 has vectors only, without the parts added by format 2."""
ARRAYS, STATE, MANIFEST = "model.npz", "state.npz", "manifest.json"


class ModelStore:
    """Storage of models. Blocking: call it from an executor."""

    def __init__(self, url: str) -> None:
        """`url` is a folder or any URL that fsspec knows, such as s3://bucket/models."""
        self._files, self._root = fsspec.core.url_to_fs(url)

    def write(
        self,
        catalog_id: str,
        model: Model,
        about: Mapping[str, Any],
        state: Mapping[str, AnyArray] | None = None,
    ) -> str:
        """Write the model, its manifest last, and return the manifest's SHA-256 (hex). `about` is
        copied into the manifest: data range, recipe, metrics. `state` is the state that an
        incremental training continues from. Writing the same model again gives the same bytes.
        Raise StoreUnwritable if the disk is full or the store is unavailable; no partial file
        remains.
        """
        blobs = {ARRAYS: dump_arrays(arrays_of(model))}
        if state is not None:
            blobs[STATE] = dump_arrays(state)
        manifest = json.dumps(
            {
                "format": FORMAT,
                "catalog_id": catalog_id,
                "model_version": model.version,
                "files": {name: hashlib.sha256(blob).hexdigest() for name, blob in blobs.items()},
                **words_of(model),
                **about,
            },
            indent=2,
            sort_keys=True,
            ensure_ascii=False,
        ).encode()
        folder = self._folder(catalog_id, model.version)
        try:
            with as_os_errors():
                self._files.makedirs(folder, exist_ok=True)
            for name, blob in (*blobs.items(), (MANIFEST, manifest)):
                self._put(posixpath.join(folder, name), blob)
        except OSError as error:
            why = error.strerror or "the store does not answer"
            raise StoreUnwritable(f"the model can't be written: {why}") from error
        return hashlib.sha256(manifest).hexdigest()

    def read(self, catalog_id: str, version: str, manifest_sha256: str) -> Model:
        """Return the model after checking its hashes; ModelCorrupt."""
        manifest, arrays = self._opened(catalog_id, version, manifest_sha256, ARRAYS)
        with _well_formed(version):
            return model_of(arrays, manifest, version)

    def manifest(self, catalog_id: str, version: str, manifest_sha256: str) -> Mapping[str, Any]:
        """Return the model's manifest; ModelCorrupt."""
        content = self._get(posixpath.join(self._folder(catalog_id, version), MANIFEST))
        if hashlib.sha256(content).hexdigest() != manifest_sha256:
            raise ModelCorrupt(f"the manifest of model {version} does not match the recorded one")
        with _well_formed(version):
            manifest: Mapping[str, Any] = json.loads(content)
            known = manifest["format"] in READABLE
        if not known:
            raise ModelCorrupt(
                f"model {version} has a format that this release can't read: train a new model"
            )
        return manifest

    def read_state(
        self, catalog_id: str, version: str, manifest_sha256: str
    ) -> tuple[Mapping[str, Any], Mapping[str, AnyArray]]:
        """Return the manifest and the state that a training can continue from; ModelCorrupt, also
        without a state."""
        return self._opened(catalog_id, version, manifest_sha256, STATE)

    def _opened(
        self, catalog_id: str, version: str, manifest_sha256: str, name: str
    ) -> tuple[Mapping[str, Any], Mapping[str, AnyArray]]:
        """Return the manifest and the arrays of a file that it names; ModelCorrupt."""
        manifest = self.manifest(catalog_id, version, manifest_sha256)
        with _well_formed(version):
            recorded = manifest["files"].get(name)
        if recorded is None:
            raise ModelCorrupt(f"model {version} has no {name}")
        folder = self._folder(catalog_id, version)
        blob = self._get(posixpath.join(folder, name))
        if hashlib.sha256(blob).hexdigest() != recorded:
            raise ModelCorrupt(f"{name} of model {version} has another hash than recorded")
        with _well_formed(version):
            return manifest, load_arrays(blob)

    def files(
        self, catalog_id: str, version: str, manifest_sha256: str
    ) -> Iterator[tuple[str, bytes]]:
        """Yield all files of the model, the manifest last; ModelCorrupt."""
        recorded = self.manifest(catalog_id, version, manifest_sha256)["files"]
        for name, sha256 in (*recorded.items(), (MANIFEST, manifest_sha256)):
            blob = self._get(posixpath.join(self._folder(catalog_id, version), name))
            if hashlib.sha256(blob).hexdigest() != sha256:
                raise ModelCorrupt(f"{name} of model {version} has another hash than recorded")
            yield name, blob

    def put(self, catalog_id: str, version: str, name: str, content: bytes) -> None:
        """Restore a file of a model. Raise OSError."""
        folder = self._folder(catalog_id, version)
        self._files.makedirs(folder, exist_ok=True)
        self._put(posixpath.join(folder, name), content)

    def delete(self, catalog_id: str, version: str) -> bool:
        """Delete the model's files. Return whether any existed."""
        try:
            with as_os_errors():
                self._files.rm(self._folder(catalog_id, version), recursive=True)
        except FileNotFoundError:
            return False
        return True

    def _folder(self, catalog_id: str, version: str) -> str:
        return posixpath.join(self._root, catalog_id, version)

    def _put(self, path: str, content: bytes) -> None:
        """Write to a temporary name and rename, so that readers never see a partial file. After a
        lost claim two trainings may write the same model concurrently.
        """
        draft = f"{path}.{uuid.uuid4().hex[:16]}.tmp"
        try:
            with as_os_errors():
                self._files.pipe_file(draft, content)
                self._files.mv(draft, path)
        except OSError:
            # A partial draft would waste a full disk.
            with (
                suppress(OSError),
                as_os_errors(),
            ):
                self._files.rm_file(draft)
            raise

    def _get(self, path: str) -> bytes:
        try:
            with as_os_errors():
                content: bytes = self._files.cat_file(path)
        except OSError as error:
            raise ModelCorrupt(f"{posixpath.basename(path)} can't be read") from error
        return content


@contextmanager
def _well_formed(version: str) -> Iterator[None]:
    """Raise ModelCorrupt for any error in the block: JSON, zip and npy raise many types."""
    try:
        yield
    except Exception as error:
        raise ModelCorrupt(f"model {version} is malformed") from error


def version_of(model: Model, about: Mapping[str, Any]) -> str:
    """Return a version derived from the arrays and the manifest (`about`), so that the files of a
    version never change."""
    digest = hashlib.sha256(dump_arrays(arrays_of(model)))
    digest.update(json.dumps([words_of(model), about], sort_keys=True).encode())
    return f"lfm-{digest.hexdigest()[:16]}"


def dump_arrays(arrays: Mapping[str, AnyArray]) -> bytes:
    """Return an npz; equal arrays give equal bytes."""
    out = io.BytesIO()
    np.savez(out, **cast("dict[str, Any]", arrays))
    return out.getvalue()


def load_arrays(blob: bytes) -> dict[str, AnyArray]:
    """Return the arrays of an npz; ValueError if it is none or holds pickled objects."""
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError) as error:
        raise ValueError("not an npz") from error
