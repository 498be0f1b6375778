"""Make an ONNX file and its manifest from CLIP's or SigLIP's weights, without torch:
``python -m triton_engine.export CHECKPOINT --name NAME --licence SPDX --trained-on WHAT``.

CHECKPOINT is a folder in Hugging Face's layout. It writes NAME.onnx and NAME.toml, which the build
accepts like any ONNX file. It needs the packages of the build, and up to eight times the weights'
size in memory, as the check of the graph copies it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from triton_engine import build, checkpoint, vision
from triton_engine.backbone import BACKBONES
from triton_engine.checkpoint import Seen
from triton_engine.manifest import BuildError, Graph, Local, ManifestError
from triton_engine.photo_models import OnnxPhotoModel, OnnxPhotos, Pixels
from triton_engine.vision import Tower


@dataclass(frozen=True, slots=True)
class Named:
    """Fields of the manifest that the weights do not contain."""

    name: str
    title: str
    space: str
    licence: str
    trained_on: str


def export(folder: Path, output: Path, named: Named) -> Path:
    """Return the path of the manifest, with the ONNX file beside it in `output`.

    The same weights give the same bytes. Raises CheckpointError for an invalid folder,
    ManifestError for invalid fields, and BuildError if another manifest of that name exists.
    """
    tower, seen, file = _made(folder)
    model = _model(tower, seen, file, named)
    graph = Graph(sha256=build.sha256(build.graph_bytes(file, model)))
    text = manifest(model.model_copy(update={"graph": graph}), seen.notes).encode()
    path = output / f"{model.name}.toml"
    if path.exists() and path.read_bytes() != text:
        raise BuildError(
            f"{path} exists and is different. A changed graph is another backbone: give it another "
            "name"
        )
    build.replace(output / f"{model.name}.onnx", file)
    build.replace(path, text)
    return path


def _made(folder: Path) -> tuple[Tower, Seen, bytes]:
    """Return the tower, its preprocessing, and the ONNX file. The weights are freed."""
    found = checkpoint.read(folder)
    made = vision.build(found.weights, found.tower, "tower")
    return found.tower, found.seen, made.SerializeToString(deterministic=True)


def _model(tower: Tower, seen: Seen, file: bytes, named: Named) -> OnnxPhotoModel:
    """Return the manifest's values without the graph's hash."""
    try:
        return OnnxPhotoModel(
            name=named.name,
            title=named.title,
            space=named.space,
            weights=Local(
                path=f"{named.name}.onnx",
                sha256=build.sha256(file),
                licence=named.licence,
                trained_on=named.trained_on,
            ),
            network=OnnxPhotos(
                family="onnx",
                input=vision.INPUT,
                layout="NCHW",
                output=vision.OUTPUT,
                dimension=tower.dimension,
            ),
            input=Pixels(size=tower.size, crop=seen.crop, mean=seen.mean, scale=seen.scale),
            graph=Graph(sha256=build.ZEROS),
        )
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ManifestError("; ".join(wrong)) from error


def manifest(model: OnnxPhotoModel, notes: Sequence[str]) -> str:
    """Return the manifest's text, with the notes as comments before it."""
    weights, network, pixels = model.weights, model.network, model.input
    stated = {
        "": {"title": model.title, "space": model.space},
        "weights": weights.model_dump(),
        "network": network.model_dump(),
        "input": pixels.model_dump(exclude_none=True),
        "graph": model.graph.model_dump(),
    }
    lines = [f"# {line}" for line in ("Written by triton_engine.export.", *notes)]
    for table, values in stated.items():
        lines += ["", f"[{table}]"] if table else []
        # A text, a number or a list of numbers is written equally in JSON and TOML.
        lines += [f"{key} = {json.dumps(v, ensure_ascii=False)}" for key, v in values.items()]
    return "\n".join(lines) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m triton_engine.export", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a folder in Hugging Face's layout")
    parser.add_argument("--name", required=True, help="name of the model in Triton")
    parser.add_argument("--licence", required=True, help="license of the weights (SPDX)")
    parser.add_argument("--trained-on", required=True, help="training data of the weights")
    parser.add_argument("--title", help="display name; default: its name")
    parser.add_argument("--space", default="visual", help="the space of its vectors")
    parser.add_argument("--output", type=Path, default=BACKBONES, help="folder of the manifest")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Export, and print the manifest."""
    said = _parser().parse_args(arguments)
    named = Named(said.name, said.title or said.name, said.space, said.licence, said.trained_on)
    try:
        path = export(said.checkpoint, said.output, named)
    except (BuildError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(path, path.read_text(), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
