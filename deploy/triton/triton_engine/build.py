"""Make Triton's model repository from the manifests: ``python -m triton_engine.build``.

Nothing is downloaded: the weights come with locked packages. Each backbone's manifest pins both
ends: the weights, and the graph that is built from them. What is already there as it should be is
left alone.
"""

import argparse
import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from triton_engine import repository
from triton_engine.backbone import BACKBONES, Backbone, BuildError, Weights, read_all

MODELS: Final = Path(__file__).resolve().parent.parent / "models"


def ensure(models: Path = MODELS, backbones: Path = BACKBONES) -> list[Path]:
    """Return the paths of the graphs in this repository folder, building what is missing.

    Raises BuildError; ManifestError when a manifest is at fault.
    """
    return [ensure_one(models / backbone.name, backbone) for backbone in read_all(backbones)]


def ensure_one(folder: Path, backbone: Backbone) -> Path:
    """Return the path of one model's graph, building the model in `folder` if need be."""
    path = folder / repository.VERSION / "model.onnx"
    if not (path.is_file() and sha256(path.read_bytes()) == backbone.graph_sha256):
        graph = graph_bytes(weights_bytes(backbone.weights), backbone)
        if sha256(graph) != backbone.graph_sha256:
            raise BuildError(
                f"{backbone.name}: the built graph has sha256 {sha256(graph)}, graph.sha256 of the "
                f"manifest is {backbone.graph_sha256}. A changed graph is another backbone: "
                "give it a manifest of its own"
            )
        _replace(path, graph)
    for name, text in repository.texts(backbone).items():
        file = folder / name
        if not (file.is_file() and file.read_text() == text):
            _replace(file, text.encode())
    return path


def graph_bytes(weights: bytes, backbone: Backbone) -> bytes:
    """Return the serialised graph; the same weights give the same bytes."""
    from triton_engine import efficientnet
    from triton_engine import weights as reader

    model = efficientnet.build(reader.read(weights), backbone)
    return model.SerializeToString(deterministic=True)


def weights_bytes(weights: Weights) -> bytes:
    """Return the packaged weights file after checking its hash; the package's code is not run."""
    spec = importlib.util.find_spec(weights.package)
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"{weights.package} is not installed: run `uv sync` in deploy/triton")
    path = Path(spec.submodule_search_locations[0]) / weights.file
    if not path.is_file():
        raise BuildError(f"{weights.package} has no file {weights.file}: mend weights.file")
    data = path.read_bytes()
    if sha256(data) != weights.sha256:
        raise BuildError(
            f"the weights {path.name} have sha256 {sha256(data)}, pinned is {weights.sha256}"
        )
    return data


def sha256(data: bytes) -> str:
    """Return the SHA-256 of these bytes in hex."""
    return hashlib.sha256(data).hexdigest()


def _replace(path: Path, data: bytes) -> None:
    """Write whole or not at all: another suite may be loading the same repository."""
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
    """Build, and print where the models are."""
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
