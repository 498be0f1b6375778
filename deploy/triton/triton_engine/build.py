"""Make Triton's model repository from the manifests: ``python -m triton_engine.build``.

The weights come with locked packages; only files of manifests that name a URL are downloaded.
Each backbone's manifest pins both ends: the weights, and the graph that is built from them.
Existing files with the right hash are not changed.
"""

import argparse
import hashlib
import importlib.util
import os
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from triton_engine import quantize, repository
from triton_engine.backbone import (
    BACKBONES,
    Backbone,
    BertModel,
    BuildError,
    Downloaded,
    LiteModel,
    Local,
    Packaged,
    TextModel,
    Weights,
    read_all,
)

FETCH_SECONDS: Final = 60
"""Seconds without data after which a download fails."""
MAX_BYTES: Final = 2**31
"""Maximum bytes of a protobuf message."""

MODELS: Final = Path(__file__).resolve().parent.parent / "models"


def ensure(models: Path = MODELS, backbones: Path = BACKBONES) -> list[Path]:
    """Return the paths of the graphs in this repository folder, building missing ones. Raises
    BuildError, or ManifestError for an invalid manifest.
    """
    found = read_all(backbones)
    return [ensure_one(models / backbone.name, backbone, backbones) for backbone in found]


def ensure_one(folder: Path, backbone: Backbone, manifests: Path = BACKBONES) -> Path:
    """Return the path of one model's graph, building the model in `folder` if need be.

    `manifests`: the folder of local files' relative paths.
    """
    path = folder / repository.VERSION / "model.onnx"
    wanted = backbone.graph.sha256
    if not (path.is_file() and sha256(path.read_bytes()) == wanted):
        graph = graph_bytes(weights_bytes(backbone.weights, manifests), backbone)
        if sha256(graph) != wanted:
            raise BuildError(
                f"{backbone.name}: the built graph has sha256 {sha256(graph)}, graph.sha256 of the "
                f"manifest is {wanted}. A changed graph is another backbone: "
                "give it a manifest of its own"
            )
        replace(path, graph)
    for name, data in _beside(backbone, manifests).items():
        file = folder / name
        if not (file.is_file() and file.read_bytes() == data):
            replace(file, data)
    return path


def _beside(backbone: Backbone, manifests: Path) -> dict[str, bytes]:
    """Return every other file of the model by its path in the folder."""
    files = {name: text.encode() for name, text in repository.texts(backbone).items()}
    if isinstance(backbone, TextModel):
        words, weights = backbone.input, backbone.weights
        path = _in_package(weights.package) if isinstance(weights, Packaged) else manifests
        files[repository.TOKENIZER] = _pinned(path / words.tokenizer, words.tokenizer_sha256)
    return files


def graph_bytes(weights: bytes, backbone: Backbone) -> bytes:
    """Return the serialised graph; the same weights give the same bytes."""
    if isinstance(backbone, LiteModel):
        from triton_engine import efficientnet
        from triton_engine import weights as reader

        model = efficientnet.build(reader.read(weights), backbone)
        if backbone.quantization:
            model = quantize.quantise(model, backbone.quantization.ranges)
    elif isinstance(backbone, BertModel):
        import safetensors.numpy

        from triton_engine import bert

        model = bert.build(safetensors.numpy.load(weights), backbone)
    else:
        from triton_engine import onnx_file

        model = onnx_file.wrap(weights, backbone)
    return model.SerializeToString(deterministic=True)


def weights_bytes(weights: Weights, manifests: Path = BACKBONES) -> bytes:
    """Return the file of weights after checking its hash."""
    match weights:
        case Packaged():
            return _pinned(_in_package(weights.package) / weights.file, weights.sha256)
        case Local():
            return _pinned(manifests / weights.path, weights.sha256)
        case Downloaded():
            return _checked(_fetched(weights.url), weights.url, weights.sha256)


def _in_package(package: str) -> Path:
    """Return the folder of an installed package; its code is not run."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"{package} is not installed: run `uv sync` in deploy/triton")
    return Path(spec.submodule_search_locations[0])


def _pinned(path: Path, pinned: str) -> bytes:
    if not path.is_file():
        raise BuildError(f"there is no file {path}: fix the manifest")
    return _checked(path.read_bytes(), path.name, pinned)


def _fetched(url: str) -> bytes:
    request = urllib.request.Request(url)  # noqa: S310 # a manifest's, which takes https only
    try:
        with urllib.request.urlopen(request, timeout=FETCH_SECONDS) as answer:  # noqa: S310
            data: bytes = answer.read(MAX_BYTES + 1)
    except OSError as error:
        raise BuildError(f"{url} can't be fetched: {error}") from error
    if len(data) > MAX_BYTES:
        raise BuildError(f"{url} is larger than an ONNX file can be")
    return data


def _checked(data: bytes, name: str, pinned: str) -> bytes:
    if sha256(data) != pinned:
        raise BuildError(f"{name} has sha256 {sha256(data)}, pinned is {pinned}")
    return data


def sha256(data: bytes) -> str:
    """Return the SHA-256 of these bytes in hex."""
    return hashlib.sha256(data).hexdigest()


def replace(path: Path, data: bytes) -> None:
    """Write the file atomically: another suite may be loading the same repository."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".model-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, and print the models' paths."""
    parser = argparse.ArgumentParser(prog="python -m triton_engine.build", description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, help="the model repository")
    try:
        print(*ensure(parser.parse_args(arguments).models), sep="\n")
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
