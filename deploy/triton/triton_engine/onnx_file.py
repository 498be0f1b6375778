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
    Normalised,
    OnnxModel,
    OnnxPhotoModel,
    OnnxTextModel,
    ReaderModel,
    TextMapModel,
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


def wrap(data: bytes, backbone: OnnxModel) -> onnx.ModelProto:
    """Return the file's graph from bytes or tokens to its model's output, float32 [N, …]: vectors
    `embedding` of unit length, maps `faces` or `texts`, or characters `lines`.

    Raises BuildError if the file is not ONNX, stores its weights in other files, or has no path
    from the manifest's inputs to its output.
    """
    inputs, given, before = _start(backbone)
    outputs, shape, after = _end(data, backbone)
    file = _cut(data, backbone.name, list(given), outputs)
    _rename(file, {PREFIX + theirs: ours for theirs, ours in given.items()})
    graph = helper.make_graph(
        [*before.nodes, *file.graph.node, *after.nodes],
        backbone.name,
        inputs,
        [tensor(backbone.output, onnx.TensorProto.FLOAT, ["N", *shape])],
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


def _start(backbone: OnnxModel) -> tuple[list[onnx.ValueInfoProto], dict[str, str], Graph]:
    """Return the model's inputs, our names of the file's inputs, and the graph between them."""
    if isinstance(backbone, OnnxTextModel):
        names = {backbone.network.ids: IDS, backbone.network.mask: MASK}
        given = {theirs: ours for theirs, ours in names.items() if theirs}
        inputs = [tensor(name, onnx.TensorProto.INT64, ["N", "T"]) for name in (IDS, MASK)]
        return inputs, given, Graph()
    if isinstance(backbone, ReaderModel):
        sides: list[int | str] = [backbone.input.height, "W"]
    elif isinstance(backbone, TextMapModel):
        sides = ["H", "W"]
    else:
        sides = [backbone.input.size, backbone.input.size]
    channels_last = isinstance(backbone, OnnxPhotoModel) and backbone.network.layout == "NHWC"
    before = _normalisation(backbone.input, channels_first=not channels_last)
    image = tensor(IMAGE, onnx.TensorProto.UINT8, ["N", *sides, 3])
    return [image], {backbone.network.input: "pixels"}, before


def _end(data: bytes, backbone: OnnxModel) -> tuple[list[str], list[int | str], Graph]:
    """Return the file's outputs, the shape of a row of ours, and the graph between them."""
    if isinstance(backbone, FaceModel):
        wanted = list(backbone.network.outputs)
        after = _one_after_the_other([PREFIX + name for name in wanted])
        return wanted, [backbone.dimension], after
    if isinstance(backbone, TextMapModel):
        after = Graph()
        rows = after.constant("a_row_a_pixel", np.array([0, -1, 1], np.int64))
        after.add("Reshape", [PREFIX + backbone.network.output, rows], backbone.output)
        return [backbone.network.output], ["P", 1], after
    if isinstance(backbone, ReaderModel):
        codes = _code_points(data, backbone)
        after = _likeliest(PREFIX + backbone.network.output, codes, backbone.output)
        return [backbone.network.output], ["T", 2], after
    network = backbone.network
    return [network.output], [network.dimension], _unit_length(PREFIX + network.output)


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


def _normalisation(pixels: Normalised, *, channels_first: bool) -> Graph:
    """Map uint8 `image` [N, height, width, 3] to float32 `pixels`."""
    part = Graph()
    x = part.add("Cast", [IMAGE], "float", to=onnx.TensorProto.FLOAT)
    if pixels.channels == "BGR":
        backwards = part.constant("backwards", np.array([2, 1, 0], np.int64))
        x = part.add("Gather", [x, backwards], "reversed", axis=3)
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


def _code_points(data: bytes, backbone: ReaderModel) -> list[int]:
    """Return the code point of each of a reader's characters, 0 for none. Raises BuildError."""
    model = onnx.load_model_from_string(data)
    stated = {each.key: each.value for each in model.metadata_props}
    characters = [*stated.get(backbone.network.characters, "").splitlines(), " "]
    if len(characters) == 1 or any(len(each) != 1 for each in characters):
        raise BuildError(
            f"{backbone.name}: the metadata {backbone.network.characters} of the file must have "
            "one character a line"
        )
    return [0, *map(ord, characters)]


def _likeliest(x: str, codes: list[int], output: str) -> Graph:
    """Map probabilities `x` [N, T, characters] to `output` [N, T, 2]: code point of the likeliest
    character, which float32 holds exactly, and its probability."""
    part = Graph()
    one = part.constant("one", np.array([1], np.int64))
    table = part.constant("code_points", np.array(codes, np.float32))
    part.nodes.append(helper.make_node("TopK", [x, one], ["highest", "place"], name="best", axis=2))
    code = part.add("Gather", [table, "place"], "code")
    part.add("Concat", [code, "highest"], output, axis=2)
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
