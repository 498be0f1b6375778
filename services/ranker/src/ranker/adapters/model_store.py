"""A model as files: npz files of arrays and a JSON manifest, in a folder or bucket (fsspec).

Nothing is unpickled. The manifest holds the SHA-256 of each npz, and the record in SQL that of the
manifest, so that any changed file is rejected. packing.py defines the arrays.

Files: ``<store>/<catalog>/<version>/model.npz``; ``state.npz``, from which a training can continue
and which is never served; and ``manifest.json``. Above SPLIT_SHOPPERS shoppers their rows are in
PARTS further files of each, so that the erasure of one writes few bytes. When a shopper is erased,
files are written anew, with hashes in their names, so that the former ones serve until the record
names the new ones.
"""

import hashlib
import io
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ranker.adapters.packing import (
    arrays_of,
    joined,
    model_of,
    part_of,
    split,
    unpack_texts,
    without_shoppers,
    words_of,
)
from ranker.domain.arrays import AnyArray
from ranker.domain.errors import ModelCorrupt, StoreUnwritable
from ranker.domain.model import Model
from servicekit.artefacts.store import Store

FORMAT, SPLIT_FORMAT = 2, 3
READABLE = (1, FORMAT, SPLIT_FORMAT)
"""Formats that can be read. Format 1 has vectors only, without the parts added by format 2; format
3 has shoppers in files of their own."""
SPLIT_SHOPPERS, PARTS = 20_000, 64
ARRAYS, STATE, MANIFEST = "model.npz", "state.npz", "manifest.json"
UNLEARNED = "unlearned_micros"
"""The manifest's entry of a model from which erased shoppers were subtracted: the time of the
newest erasure among them, microseconds since 1970 (UTC)."""


class ModelStore:
    """Storage of models. Blocking: call it from an executor."""

    def __init__(self, url: str) -> None:
        """`url` is a folder or any URL that fsspec knows, such as s3://bucket/models."""
        self.store = Store(url)

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
        parts = PARTS if len(model.actor_rows) > SPLIT_SHOPPERS else 0
        blobs = dict(_files_of(ARRAYS, arrays_of(model), parts))
        if state is not None:
            blobs |= _files_of(STATE, state, parts)
        manifest = _manifest_of(
            {
                "format": SPLIT_FORMAT if parts else FORMAT,
                **({"shopper_parts": parts} if parts else {}),
                "catalog_id": catalog_id,
                "model_version": model.version,
                "files": {name: hashlib.sha256(blob).hexdigest() for name, blob in blobs.items()},
                **words_of(model),
                **about,
            }
        )
        self._put_all(catalog_id, model.version, {**blobs, MANIFEST: manifest})
        return hashlib.sha256(manifest).hexdigest()

    def _put_all(self, catalog_id: str, version: str, files: Mapping[str, bytes]) -> None:
        """Write the files in this order. Raise StoreUnwritable."""
        try:
            for name, blob in files.items():
                self.put(catalog_id, version, name, blob)
        except OSError as error:
            why = error.strerror or "the store does not answer"
            raise StoreUnwritable(f"the model can't be written: {why}") from error

    def read(self, catalog_id: str, version: str, manifest_sha256: str) -> Model:
        """Return the model after checking its hashes; ModelCorrupt."""
        manifest, arrays = self._opened(catalog_id, version, manifest_sha256, ARRAYS)
        with _well_formed(version):
            return replace(model_of(arrays, manifest, version), manifest_sha256=manifest_sha256)

    def manifest(self, catalog_id: str, version: str, manifest_sha256: str) -> Mapping[str, Any]:
        """Return the model's manifest; ModelCorrupt."""
        content = self._manifest(catalog_id, version, manifest_sha256)
        with _well_formed(version):
            manifest: Mapping[str, Any] = json.loads(content)
            known = manifest["format"] in READABLE
        if not known:
            raise ModelCorrupt(
                f"model {version} has a format that this release can't read: train a new model"
            )
        return manifest

    def _manifest(self, catalog_id: str, version: str, manifest_sha256: str) -> bytes:
        """Return the manifest with this hash; ModelCorrupt. That of a rewritten model has the
        hash in its name."""
        for name in (MANIFEST, edition(MANIFEST, manifest_sha256)):
            with suppress(FileNotFoundError):
                content = self._get(catalog_id, version, name)
                if hashlib.sha256(content).hexdigest() == manifest_sha256:
                    return content
        raise ModelCorrupt(f"the manifest of model {version} does not match the recorded one")

    def read_state(
        self, catalog_id: str, version: str, manifest_sha256: str
    ) -> tuple[Mapping[str, Any], Mapping[str, AnyArray]]:
        """Return the manifest and the state that a training can continue from; ModelCorrupt, also
        without a state."""
        return self._opened(catalog_id, version, manifest_sha256, STATE)

    def _opened(
        self, catalog_id: str, version: str, manifest_sha256: str, name: str
    ) -> tuple[Mapping[str, Any], Mapping[str, AnyArray]]:
        """Return the manifest and the arrays of the files that it names for `name`;
        ModelCorrupt."""
        manifest = self.manifest(catalog_id, version, manifest_sha256)
        found = list(self._arrays(catalog_id, version, manifest, name))
        if not found:
            raise ModelCorrupt(f"model {version} has no {name}")
        with _well_formed(version):
            return manifest, joined([arrays for _, arrays in found])

    def _arrays(
        self,
        catalog_id: str,
        version: str,
        manifest: Mapping[str, Any],
        name: str,
        among: Collection[str] | None = None,
    ) -> Iterator[tuple[str, dict[str, AnyArray]]]:
        """Yield the files that a manifest names for `name`, that without shoppers first, each by
        its name without hash. `among`: those that may have rows of these shoppers. Raise
        ModelCorrupt."""
        with _well_formed(version):
            parts = int(manifest.get("shopper_parts", 0))
            stems = {_stem(each): each for each in manifest["files"]}
        wanted = {_part(name, part_of(one, parts)) for one in among or () if parts}
        for stem in sorted(stems, key=lambda each: (each != name, each)):
            if stem != name and not stem.startswith(f"{name.removesuffix('.npz')}-"):
                continue
            if parts and among is not None and stem not in wanted:
                continue
            blob = self._checked(catalog_id, version, stems[stem], manifest["files"][stems[stem]])
            with _well_formed(version):
                yield stem, load_arrays(blob)

    def _checked(self, catalog_id: str, version: str, name: str, sha256: str) -> bytes:
        """Return a file of this hash; ModelCorrupt."""
        try:
            blob = self._get(catalog_id, version, name)
        except FileNotFoundError as error:
            raise ModelCorrupt(f"{name} can't be read") from error
        if hashlib.sha256(blob).hexdigest() != sha256:
            raise ModelCorrupt(f"{name} of model {version} has another hash than recorded")
        return blob

    def files(
        self, catalog_id: str, version: str, manifest_sha256: str
    ) -> Iterator[tuple[str, bytes]]:
        """Yield all files of the model, the manifest last; ModelCorrupt."""
        manifest = self.manifest(catalog_id, version, manifest_sha256)
        for name, sha256 in manifest["files"].items():
            yield name, self._checked(catalog_id, version, name, sha256)
        content = self._manifest(catalog_id, version, manifest_sha256)
        yield _manifest_name(manifest, manifest_sha256), content

    def vectors_of(
        self, catalog_id: str, version: str, manifest_sha256: str, actors: Collection[str]
    ) -> dict[str, list[float]]:
        """Return the vectors of these pseudonyms, of those that have one; ModelCorrupt."""
        manifest = self.manifest(catalog_id, version, manifest_sha256)
        found = dict[str, list[float]]()
        for _, arrays in self._arrays(catalog_id, version, manifest, ARRAYS, actors):
            with _well_formed(version):
                rows = {name: row for row, name in enumerate(unpack_texts("actors", arrays))}
                vectors = arrays["actor_vectors"]
                found |= {name: vectors[rows[name]].tolist() for name in actors if name in rows}
        return found

    def without(
        self,
        catalog_id: str,
        version: str,
        manifest_sha256: str,
        is_erased: Callable[[str], bool],
        among: Collection[str] | None = None,
    ) -> str | None:
        """Write the model again without the vectors of erased shoppers, beside its present files.
        Return the new manifest's SHA-256; None if it has none of them. `is_erased` is given a
        pseudonym. `among`: the erased shoppers, if they are known: only their files are read.

        The new files serve once the record names the new manifest; then `tidy` deletes the others.
        Raise ModelCorrupt, StoreUnwritable.
        """
        manifest = self.manifest(catalog_id, version, manifest_sha256)
        files = dict[str, bytes]()
        for name in (ARRAYS, STATE):
            for stem, arrays in self._arrays(catalog_id, version, manifest, name, among):
                with _well_formed(version):
                    kept = without_shoppers(arrays, is_erased)
                if kept is not None:
                    files[stem] = dump_arrays(kept)
        return self._rewrite(catalog_id, version, manifest, files) if files else None

    def unlearned(
        self, catalog_id: str, model: Model, manifest_sha256: str, unlearned_micros: int
    ) -> str:
        """Write a model with other arrays beside its present files, as `without` does, and return
        the new manifest's SHA-256. `unlearned_micros`: shoppers erased until then are not in it.
        Raise ModelCorrupt, StoreUnwritable."""
        manifest = self.manifest(catalog_id, model.version, manifest_sha256)
        about = {**manifest, UNLEARNED: unlearned_micros}
        parts = int(manifest.get("shopper_parts", 0))
        files = dict(_files_of(ARRAYS, arrays_of(model), parts))
        return self._rewrite(catalog_id, model.version, about, files)

    def _rewrite(
        self,
        catalog_id: str,
        version: str,
        manifest: Mapping[str, Any],
        changed: Mapping[str, bytes],
    ) -> str:
        """Write files of a model anew, by names that hold their hashes; the others stay. Return the
        new manifest's SHA-256."""
        hashes = {stem: hashlib.sha256(blob).hexdigest() for stem, blob in changed.items()}
        named = {edition(stem, hashes[stem]): blob for stem, blob in changed.items()}
        stay = {name: sha256 for name, sha256 in manifest["files"].items()
                if _stem(name) not in changed}  # fmt: skip
        new = {edition(stem, sha256): sha256 for stem, sha256 in hashes.items()}
        content = _manifest_of({**manifest, "files": {**stay, **new}})
        digest = hashlib.sha256(content).hexdigest()
        self._put_all(catalog_id, version, {**named, edition(MANIFEST, digest): content})
        return digest

    def tidy(self, catalog_id: str, version: str, manifest_sha256: str) -> None:
        """Delete the files that this manifest does not name. Raise ModelCorrupt, OSError."""
        manifest = self.manifest(catalog_id, version, manifest_sha256)
        current = {*manifest["files"], _manifest_name(manifest, manifest_sha256)}
        for name in self.store.names(f"{catalog_id}/{version}"):
            if name not in current:
                self.store.remove(f"{catalog_id}/{version}/{name}")

    def put(self, catalog_id: str, version: str, name: str, content: bytes) -> None:
        """Write a file of a model. Raise OSError."""
        self.store.write(f"{catalog_id}/{version}/{name}", content)

    def delete(self, catalog_id: str, version: str) -> bool:
        """Delete the model's files. Return whether any existed."""
        return self.store.delete(f"{catalog_id}/{version}")

    def delete_all(self, catalog_id: str) -> None:
        """Delete the files of all models of a catalog. Raise OSError."""
        self.store.delete(catalog_id)

    def _get(self, catalog_id: str, version: str, name: str) -> bytes:
        try:
            return self.store.read(f"{catalog_id}/{version}/{name}")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ModelCorrupt(f"{name} can't be read") from error


@contextmanager
def _well_formed(version: str) -> Iterator[None]:
    """Raise ModelCorrupt for any error in the block: JSON, zip and npy raise many types."""
    try:
        yield
    except Exception as error:
        raise ModelCorrupt(f"model {version} is malformed") from error


def edition(name: str, sha256: str) -> str:
    """Return the name of a file of a rewritten model, which differs with its content."""
    return f"{sha256[:16]}-{name}"


def _stem(name: str) -> str:
    """Return the name of a file without the hash of a rewritten model."""
    return re.sub("^[0-9a-f]{16}-", "", name)


def _part(name: str, number: int) -> str:
    """Return the name of a file of shoppers."""
    return f"{name.removesuffix('.npz')}-shoppers-{number:02}.npz"


def _files_of(name: str, arrays: Mapping[str, AnyArray], parts: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of some arrays, with shoppers in `parts` of their own unless it is 0."""
    first, *others = split(arrays, parts) if parts else [arrays]
    yield name, dump_arrays(first)
    for number, each in enumerate(others):
        yield _part(name, number), dump_arrays(each)


def _manifest_name(manifest: Mapping[str, Any], manifest_sha256: str) -> str:
    """Return the file of a manifest: that of a rewritten model has a hash in its name."""
    is_first = all(_stem(name) == name for name in manifest["files"])
    return MANIFEST if is_first else edition(MANIFEST, manifest_sha256)


def _manifest_of(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False).encode()


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
