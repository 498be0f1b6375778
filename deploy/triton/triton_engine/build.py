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
from typing import TYPE_CHECKING, Final

from triton_engine import quantize, repository
from triton_engine.backbone import BACKBONES, Backbone, Network, read_all
from triton_engine.manifest import BuildError, Downloaded, Local, Packaged, Weights
from triton_engine.photo_models import LiteModel, ObjectModel
from triton_engine.text_models import SECOND, BertModel, PairModel, SentenceEncoderModel, TextModel

if TYPE_CHECKING:
    import onnx

FETCH_SECONDS: Final = 60
"""Seconds without data after which a download fails."""
MAX_BYTES: Final = 2**31
"""Maximum bytes of a protobuf message."""

ZEROS: Final = "0" * 64
"""Hash of a graph in a manifest, until it is known."""
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
        graph = _graph_of(backbone, manifests)
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


def pin(backbones: Path = BACKBONES) -> None:
    """Write the hashes of graphs into the manifests that have ZEROS for them. Raises BuildError."""
    for backbone in read_all(backbones):
        if backbone.graph.sha256 == ZEROS:
            path = backbones / f"{backbone.name}.toml"
            made = sha256(_graph_of(backbone, backbones))
            replace(path, path.read_text().replace(ZEROS, made).encode())


def _beside(backbone: Backbone, manifests: Path) -> dict[str, bytes]:
    """Return every other file of the model by its path in the folder."""
    files = {name: text.encode() for name, text in repository.texts(backbone).items()}
    parts = backbone.parts if isinstance(backbone, PairModel) else (backbone,)
    for part, prefix in zip(parts, ("", SECOND), strict=False):
        if isinstance(part, TextModel):
            files[prefix + repository.TOKENIZER] = _tokenizer(part, manifests)
    return files


def _tokenizer(model: TextModel, manifests: Path) -> bytes:
    """Return the JSON of a text model's tokenizer after checking its hash."""
    words, weights = model.input, model.weights
    folder = _in_package(weights) if isinstance(weights, Packaged) else manifests
    path = folder / words.tokenizer
    if path.suffix != ".model":
        return _pinned(path, words.tokenizer_sha256)
    from triton_engine import sentencepiece_json

    return _checked(sentencepiece_json.convert(_read(path)), path.name, words.tokenizer_sha256)


def _graph_of(backbone: Backbone, manifests: Path) -> bytes:
    """Return the serialised graph of a model, of a pair by those of its parts."""
    if not isinstance(backbone, PairModel):
        weights = weights_bytes(backbone.weights, manifests)
        if isinstance(backbone, ObjectModel):
            return _objects(weights, backbone, manifests)
        return graph_bytes(weights, backbone)
    import onnx

    from triton_engine import pair

    first, second = (onnx.load_from_string(_graph_of(part, manifests)) for part in backbone.parts)
    return pair.build(first, second, backbone).SerializeToString(deterministic=True)


def _objects(weights: bytes, backbone: ObjectModel, manifests: Path) -> bytes:
    from triton_engine import objects
    from triton_engine import weights as reader

    head = _pinned(manifests / backbone.network.head, backbone.network.head_sha256)
    graph = objects.build(reader.read(weights), head, backbone)
    return graph.SerializeToString(deterministic=True)


def graph_bytes(weights: bytes, backbone: Network) -> bytes:
    """Return the serialised graph; the same weights give the same bytes."""
    return _graph(weights, backbone).SerializeToString(deterministic=True)


def _graph(weights: bytes, backbone: Network) -> "onnx.ModelProto":
    if isinstance(backbone, LiteModel):
        from triton_engine import efficientnet
        from triton_engine import weights as reader

        model = efficientnet.build(reader.read(weights), backbone)
        if backbone.quantization:
            model = quantize.quantise(model, backbone.quantization.ranges)
        return model
    if isinstance(backbone, BertModel):
        import safetensors.numpy

        from triton_engine import bert

        return bert.build(safetensors.numpy.load(weights), backbone)
    if isinstance(backbone, SentenceEncoderModel):
        from triton_engine import sentence_encoder

        return sentence_encoder.build(sentence_encoder.read(weights), backbone)
    from triton_engine import onnx_file

    return onnx_file.wrap(weights, backbone)


def weights_bytes(weights: Weights, manifests: Path = BACKBONES) -> bytes:
    """Return the file of weights after checking its hash."""
    match weights:
        case Packaged():
            return _pinned(_in_package(weights) / weights.file, weights.sha256)
        case Local():
            return _pinned(manifests / weights.path, weights.sha256)
        case Downloaded():
            return _checked(_fetched(weights.url), weights.url, weights.sha256)


def _in_package(weights: Packaged) -> Path:
    """Return the folder of an installed package; its code is not run."""
    folder = weights.folder or weights.package
    spec = importlib.util.find_spec(folder)
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"{weights.package} is not installed: run `uv sync` in deploy/triton")
    return Path(spec.submodule_search_locations[0])


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise BuildError(f"there is no file {path}: fix the manifest")
    return path.read_bytes()


def _pinned(path: Path, pinned: str) -> bytes:
    return _checked(_read(path), path.name, pinned)


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
    parser.add_argument(
        "--backbones", type=Path, default=BACKBONES, help="the folder of the manifests"
    )
    parser.add_argument(
        "--pin", action="store_true", help="write the hashes of graphs in place of zeros"
    )
    said = parser.parse_args(arguments)
    try:
        if said.pin:
            pin(said.backbones)
        print(*ensure(said.models, said.backbones), sep="\n")
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
