"""Any ONNX file as a model of this repository, with a small graph before and after it.

CLIP's and SigLIP's towers are published in this form: normalized pixels, or tokens, to a vector.
The added graphs normalize bytes, scale vectors to unit length, and give inputs and outputs the
names that the embedder uses.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, version_converter
from onnx.compose import add_prefix
from onnx.utils import Extractor

from triton_engine.backbone import (
    FACES,
    BuildError,
    FaceModel,
    OnnxPhotoModel,
    OnnxTextModel,
    Pixels,
)
from triton_engine.graph import OPSET, Graph, tensor

IMAGE: Final = "image"
IDS: Final = "input_ids"
MASK: Final = "attention_mask"
OUTPUT: Final = "embedding"
PREFIX: Final = "file/"
"""Prefix of every name in the file, so that none equals one of ours."""
LEAST_OPSET: Final = 13
"""Minimum opset; older files are converted. Since then ReduceSum takes its axes as an input, as in
the graph after the file.
"""


def wrap(data: bytes, backbone: OnnxPhotoModel | OnnxTextModel | FaceModel) -> onnx.ModelProto:
    """Return the file's graph from bytes or tokens to float32 [N, dimension]: `embedding`, of unit
    length, or `faces`.

    Raises BuildError if the file is not ONNX, stores its weights in other files, or has no path
    from the manifest's inputs to its output.
    """
    if isinstance(backbone, OnnxPhotoModel | FaceModel):
        given = {backbone.network.input: "pixels"}
        size = backbone.input.size
        inputs = [tensor(IMAGE, onnx.TensorProto.UINT8, ["N", size, size, 3])]
        channels_last = isinstance(backbone, OnnxPhotoModel) and backbone.network.layout == "NHWC"
        before = _normalisation(backbone.input, channels_first=not channels_last)
    else:
        names = {backbone.network.ids: IDS, backbone.network.mask: MASK}
        given = {theirs: ours for theirs, ours in names.items() if theirs}
        inputs = [tensor(name, onnx.TensorProto.INT64, ["N", "T"]) for name in (IDS, MASK)]
        before = Graph()
    if isinstance(backbone, FaceModel):
        wanted = list(backbone.network.outputs)
        dimension = backbone.dimension
        after = _one_after_the_other([PREFIX + name for name in wanted])
    else:
        wanted = [backbone.network.output]
        dimension = backbone.network.dimension
        after = _unit_length(PREFIX + backbone.network.output)
    file = _cut(data, backbone.name, list(given), wanted)
    _rename(file, {PREFIX + theirs: ours for theirs, ours in given.items()})
    graph = helper.make_graph(
        [*before.nodes, *file.graph.node, *after.nodes],
        backbone.name,
        inputs,
        [tensor(backbone.output, onnx.TensorProto.FLOAT, ["N", dimension])],
        [*before.constants, *file.graph.initializer, *after.constants],
    )
    model = helper.make_model(
        graph,
        opset_imports=file.opset_import,
        ir_version=file.ir_version,
        functions=file.functions,
        producer_name="sightline",
    )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BuildError(f"{backbone.name}: the file does not fit the manifest: {error}") from error
    return model


def _cut(data: bytes, name: str, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    """Return the part of the file from the inputs to the outputs, every name with our prefix."""
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise BuildError(f"{name}: the weights are not an ONNX file") from error
    if any(constant.external_data for constant in model.graph.initializer):
        raise BuildError(f"{name}: the file stores its weights in other files: merge them first")
    known = [value.name for value in model.graph.input]
    if unknown := [i for i in inputs if i not in known]:
        raise BuildError(f"{name}: the file has no input {unknown[0]}; it has {', '.join(known)}")
    offered = [value.name for value in model.graph.output]
    if missing := [output for output in outputs if output not in offered]:
        raise BuildError(
            f"{name}: the file has no output {missing[0]}; it has {', '.join(offered)}"
        )
    try:
        cut = Extractor(_recent(model, name)).extract_model(list(inputs), list(outputs))
    except ValueError as error:
        reached = ", ".join(outputs)
        raise BuildError(f"{name}: the file can't be cut down to {reached}: {error}") from error
    del cut.graph.value_info[:]  # shapes of the exporter's example
    return add_prefix(cut, PREFIX)


def _recent(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Return a model of a supported opset, converted if need be."""
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset >= LEAST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except (RuntimeError, version_converter.ConvertError) as error:
        raise BuildError(
            f"{name}: the file of opset {opset} can't be converted: {error}"
        ) from error


def _rename(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Rename the file's inputs."""
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)


def _normalisation(pixels: Pixels, *, channels_first: bool) -> Graph:
    """Map uint8 `image` [N, size, size, 3] to float32 `pixels`."""
    part = Graph()
    x = part.add("Cast", [IMAGE], "float", to=onnx.TensorProto.FLOAT)
    x = part.add("Sub", [x, part.constant("mean", np.asarray(pixels.mean, np.float32))], "centred")
    scale = part.constant("scale", np.asarray(pixels.scale, np.float32))
    last = "normalised" if channels_first else "pixels"
    part.add("Div", [x, scale], last)
    if channels_first:
        part.add("Transpose", [last], "pixels", perm=[0, 3, 1, 2])
    return part


def _one_after_the_other(maps: list[str]) -> Graph:
    """Map `maps`, each [N, channels, height, width], to `faces` [N, all channels, all places]."""
    part = Graph()
    part.add("Flatten", [part.add("Concat", maps, "stacked", axis=1)], FACES, axis=1)
    return part


def _unit_length(x: str) -> Graph:
    """Map `x` [N, d] to `embedding` at unit length. A zero row stays zero."""
    part = Graph()
    axis = part.constant("row", np.array([1], np.int64))
    squares = part.add("Mul", [x, x], "squares")
    length = part.add("Sqrt", [part.add("ReduceSum", [squares, axis], "squared")], "length")
    floor = part.constant("length_floor", np.float32(1e-12))
    part.add("Div", [x, part.add("Max", [length, floor], "divisor")], OUTPUT)
    return part
