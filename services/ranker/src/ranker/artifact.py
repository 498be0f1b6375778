"""A model as files: one npz of arrays and a JSON manifest, in a folder or bucket (fsspec).

Nothing is ever unpickled. The manifest names each array's dtype and shape and the SHA-256 of the
npz; the record in SQL holds the SHA-256 of the manifest, so that a changed file of either kind is
refused. Texts are stored as one UTF-8 blob and the offsets into it.

Files: ``<store>/<catalog>/<version>/model.npz`` and ``manifest.json``.
"""

import hashlib
import io
import json
import posixpath
import uuid
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt

from ranker.model import Model, ModelCorrupt

FORMAT = 1
ARRAYS, MANIFEST = "model.npz", "manifest.json"

AnyArray = npt.NDArray[Any]


class ModelStore:
    """Reads and writes models. Blocking: call it from an executor."""

    def __init__(self, url: str) -> None:
        """`url` is a folder or any URL that fsspec knows, such as s3://bucket/models."""
        self._files, self._root = fsspec.core.url_to_fs(url)

    def write(self, catalog_id: str, model: Model, about: Mapping[str, Any]) -> str:
        """Write the model, last of all its manifest; returns the manifest's SHA-256 (hex).

        `about` goes into the manifest as it is: data range, parameters, metrics. Written again,
        the same model is replaced by the same bytes.
        """
        blob = dump_arrays(arrays_of(model))
        manifest = json.dumps(
            {
                "format": FORMAT,
                "catalog_id": catalog_id,
                "model_version": model.version,
                "score_scale": model.score_scale,
                "attribute_keys": list(model.attribute_keys),
                "files": {ARRAYS: hashlib.sha256(blob).hexdigest()},
                **about,
            },
            indent=2,
            sort_keys=True,
            ensure_ascii=False,
        ).encode()
        folder = self._folder(catalog_id, model.version)
        self._files.makedirs(folder, exist_ok=True)
        self._put(posixpath.join(folder, ARRAYS), blob)
        self._put(posixpath.join(folder, MANIFEST), manifest)
        return hashlib.sha256(manifest).hexdigest()

    def read(self, catalog_id: str, version: str, manifest_sha256: str) -> Model:
        """The model, after all hashes were found right; ModelCorrupt otherwise."""
        folder = self._folder(catalog_id, version)
        manifest_bytes = self._get(posixpath.join(folder, MANIFEST))
        if hashlib.sha256(manifest_bytes).hexdigest() != manifest_sha256:
            raise ModelCorrupt(f"the manifest of model {version} is not the one that was recorded")
        blob = self._get(posixpath.join(folder, ARRAYS))
        try:
            return _opened(version, json.loads(manifest_bytes), blob)
        except ModelCorrupt:
            raise
        except Exception as error:  # JSON, zip and npy have many ways to be wrong, sizes among them
            raise ModelCorrupt(f"model {version} is malformed") from error

    def _folder(self, catalog_id: str, version: str) -> str:
        return posixpath.join(self._root, catalog_id, version)

    def _put(self, path: str, content: bytes) -> None:
        """Write to a name of its own and move it, so that no reader sees half a file.

        Two trainings whose claims changed hands may write the same model at once.
        """
        draft = f"{path}.{uuid.uuid4().hex[:16]}.tmp"
        self._files.pipe_file(draft, content)
        self._files.mv(draft, path)

    def _get(self, path: str) -> bytes:
        try:
            content: bytes = self._files.cat_file(path)
        except OSError as error:
            raise ModelCorrupt(f"{posixpath.basename(path)} can't be read") from error
        return content


def _opened(version: str, manifest: Any, blob: bytes) -> Model:
    if manifest["format"] != FORMAT:
        raise ModelCorrupt(f"model {version} has a format that this release can't read")
    if hashlib.sha256(blob).hexdigest() != manifest["files"][ARRAYS]:
        raise ModelCorrupt(f"the arrays of model {version} have another hash than recorded")
    return model_of(
        load_arrays(blob),
        version=version,
        score_scale=float(manifest["score_scale"]),
        attribute_keys=tuple(manifest["attribute_keys"]),
    )


def version_of(model: Model, about: Mapping[str, Any]) -> str:
    """A name that follows from the arrays and from all that the manifest says (`about`).

    So the files of a version never change: one that serves is not replaced under its name.
    """
    digest = hashlib.sha256(dump_arrays(arrays_of(model)))
    digest.update(json.dumps(about, sort_keys=True).encode())
    return f"lfm-{digest.hexdigest()[:16]}"


def arrays_of(model: Model) -> dict[str, AnyArray]:
    """All arrays of a model by name."""
    actors = sorted(model.actor_rows, key=lambda actor: model.actor_rows[actor])
    return {
        "item_vectors": model.item_vectors,
        "item_biases": model.item_biases,
        "actor_vectors": model.actor_vectors,
        "feature_vectors": model.feature_vectors,
        "feature_biases": model.feature_biases,
        **_pack("item_ids", model.item_ids),
        **_pack("actors", actors),
        **_pack("feature_names", model.feature_names),
    }


def model_of(
    arrays: Mapping[str, AnyArray],
    *,
    version: str,
    score_scale: float,
    attribute_keys: tuple[str, ...],
) -> Model:
    """The model of these arrays; ValueError or KeyError when they do not fit together."""
    item_ids = _unpack("item_ids", arrays)
    actors = _unpack("actors", arrays)
    feature_names = _unpack("feature_names", arrays)
    dimension = arrays["item_vectors"].shape[1]
    for name, shape in {
        "item_vectors": (len(item_ids), dimension),
        "item_biases": (len(item_ids),),
        "actor_vectors": (len(actors), dimension),
        "feature_vectors": (len(feature_names), dimension),
        "feature_biases": (len(feature_names),),
    }.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.float32:
            raise ValueError(f"{name} is not float32 of shape {shape}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} holds values that are not finite")
    if not (np.isfinite(score_scale) and score_scale > 0):
        raise ValueError("score_scale is not positive")
    return Model(
        version=version,
        item_ids=item_ids,
        item_rows={item: row for row, item in enumerate(item_ids)},
        item_vectors=_frozen(arrays["item_vectors"]),
        item_biases=_frozen(arrays["item_biases"]),
        actor_rows={actor: row for row, actor in enumerate(actors)},
        actor_vectors=_frozen(arrays["actor_vectors"]),
        feature_names=feature_names,
        feature_rows={name: row for row, name in enumerate(feature_names)},
        feature_vectors=_frozen(arrays["feature_vectors"]),
        feature_biases=_frozen(arrays["feature_biases"]),
        score_scale=score_scale,
        attribute_keys=attribute_keys,
    )


def dump_arrays(arrays: Mapping[str, AnyArray]) -> bytes:
    """An npz; the same arrays give the same bytes."""
    out = io.BytesIO()
    np.savez(out, **dict(arrays))
    return out.getvalue()


def load_arrays(blob: bytes) -> dict[str, AnyArray]:
    """The arrays of an npz; ValueError when it is none or holds pickled objects."""
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError) as error:
        raise ValueError("not an npz") from error


def _pack(name: str, texts: Sequence[str]) -> dict[str, AnyArray]:
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return {
        name: np.frombuffer(b"".join(encoded), dtype=np.uint8),
        f"{name}_offsets": offsets,
    }


def _unpack(name: str, arrays: Mapping[str, AnyArray]) -> tuple[str, ...]:
    blob = arrays[name].tobytes()
    offsets = arrays[f"{name}_offsets"].tolist()
    if offsets[0] != 0 or offsets[-1] != len(blob) or offsets != sorted(offsets):
        raise ValueError(f"the offsets of {name} do not fit")
    texts = tuple(blob[a:b].decode() for a, b in pairwise(offsets))
    if len(set(texts)) != len(texts):
        raise ValueError(f"{name} holds an entry twice")
    return texts


def _frozen(array: AnyArray) -> AnyArray:
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array
