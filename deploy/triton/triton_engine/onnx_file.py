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

from triton_engine.backbone import OnnxModel
from triton_engine.features import FEATURES
from triton_engine.graph import OPSET, Graph, tensor
from triton_engine.manifest import BuildError
from triton_engine.photo_models import (
    BOXES,
    FACES,
    MOST_BOXES,
    FaceModel,
    Normalised,
    OnnxObjectModel,
    OnnxPhotoModel,
    ReaderModel,
    TextMapModel,
)
from triton_engine.text_models import OnnxTextModel

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


_LAID_OUT: Final = (OnnxPhotoModel, OnnxObjectModel)
"""Models whose manifest says in which order the file takes the dimensions."""


def wrap(data: bytes, backbone: OnnxModel) -> onnx.ModelProto:
    """Return the file's graph from bytes or tokens to its model's output, float32 [N, …]: vectors
    `embedding` of unit length, maps `faces` or `texts`, `boxes`, or characters `lines`.

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
    chosen = backbone.network.layout if isinstance(backbone, _LAID_OUT) else "NCHW"
    before = _normalisation(backbone.input, channels_first=chosen == "NCHW")
    image = tensor(IMAGE, onnx.TensorProto.UINT8, ["N", *sides, 3])
    return [image], {backbone.network.input: "pixels"}, before


def _end(data: bytes, backbone: OnnxModel) -> tuple[list[str], list[int | str], Graph]:
    """Return the file's outputs, the shape of a row of ours, and the graph between them."""
    if isinstance(backbone, FaceModel):
        wanted = list(backbone.network.outputs)
        after = _one_after_the_other([PREFIX + name for name in wanted])
        return wanted, [backbone.dimension], after
    if isinstance(backbone, OnnxObjectModel):
        names = [name for name in (backbone.network.boxes, backbone.network.scores) if name]
        return names, [backbone.dimension], _best_boxes(backbone)
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
    if backbone.output == FEATURES:
        after = Graph()
        after.add("Identity", [PREFIX + network.output], FEATURES)
    else:
        after = _unit_length(PREFIX + network.output)
    return [network.output], [network.dimension], after


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


def _best_boxes(backbone: OnnxObjectModel) -> Graph:
    """Map a detector's outputs to `boxes` [N, 5 · MOST_BOXES], the boxes with the highest scores:
    left, top, right and bottom as shares of the input, and the score; all 0 below the least score.
    """
    part, network = Graph(), backbone.network
    numbers = part.add("Slice", [PREFIX + network.boxes, *_range(part, "four", 0, 4)], "numbers")
    scores = _scores(part, backbone)
    least = part.constant("least_score", np.float32(network.least_score))
    unsure = part.add("Less", [scores, least], "unsure")
    nothing = part.constant("nothing", np.float32(0))
    scores = part.add("Where", [unsure, nothing, scores], "kept_scores")  # [N, K, 1]
    corners = _corners(part, backbone, numbers)
    rows = part.add("Concat", [corners, scores], "rows", axis=2)  # [N, K, 5]
    pads = part.constant("pads", np.array([0, 0, 0, 0, MOST_BOXES, 0], np.int64))
    rows = part.add("Pad", [rows, pads], "enough_rows")
    score = part.add("Slice", [rows, *_range(part, "fifth", 4, 5)], "score")
    most = part.constant("most", np.array([MOST_BOXES], np.int64))
    part.nodes.append(
        helper.make_node("TopK", [score, most], ["highest", "places"], name="best", axis=1)
    )
    five = part.constant("five", np.array([1, 1, 5], np.int64))
    at = part.add("Tile", ["places", five], "at")
    chosen = part.add("GatherElements", [rows, at], "chosen", axis=1)
    part.add("Flatten", [chosen], BOXES, axis=1)
    return part


def _scores(part: Graph, backbone: OnnxObjectModel) -> str:
    """Return the name of the places' scores, [N, K, 1]."""
    network = backbone.network
    if network.scores is None:
        ends = _range(part, "objectness", 4, 5)
        return part.add("Slice", [PREFIX + network.boxes, *ends], "scores")
    # [N, K] or [N, K, classes]: a row a place either way.
    whole = part.add("Shape", [PREFIX + network.boxes], "boxes_shape")
    first = [part.constant(f"two_{each}", np.array([each], np.int64)) for each in (0, 2)]
    places = part.add("Slice", [whole, *first], "places_shape")
    rest = part.constant("rest", np.array([-1], np.int64))
    shape = part.add("Concat", [places, rest], "scores_shape", axis=0)
    rows = part.add("Reshape", [PREFIX + network.scores, shape], "all_scores")
    one = part.constant("one", np.array([1], np.int64))
    best = helper.make_node("TopK", [rows, one], ["scores", "class"], name="likeliest", axis=2)
    part.nodes.append(best)
    return "scores"


def _corners(part: Graph, backbone: OnnxObjectModel, numbers: str) -> str:
    """Return the name of the boxes' corners as shares of the input, [N, K, 4]."""
    network = backbone.network
    if network.unit == "pixels":
        size = part.constant("size", np.float32(backbone.input.size))
        numbers = part.add("Div", [numbers, size], "shares")
    if network.form == "corners":
        return numbers
    middle = part.add("Slice", [numbers, *_range(part, "middle_at", 0, 2)], "middle")
    sides = part.add("Slice", [numbers, *_range(part, "sides_at", 2, 4)], "sides")
    half = part.add("Mul", [sides, part.constant("half", np.float32(0.5))], "half_sides")
    ends = [part.add("Sub", [middle, half], "begin"), part.add("Add", [middle, half], "end")]
    return part.add("Concat", ends, "corners", axis=2)


def _range(part: Graph, name: str, start: int, end: int) -> list[str]:
    """Return the inputs of a Slice over the last of three axes."""
    ends = {"from": start, "to": end, "axis": 2}
    return [
        part.constant(f"{name}_{each}", np.array([value], np.int64)) for each, value in ends.items()
    ]


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
