"""The network that finds objects: EfficientNet-Lite without its last layer, and a head on the maps
of four of its stages.

The head is a small network that sees one place of the finest grid at a time, with what the coarser
stages know about its surroundings: two layers, and for each place the score of an object's middle
and logarithms of the distances to its four sides (Tian et al., FCOS, 2019).
`python -m lab.objects.fit` fits it on made photos.
"""

import io
from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx

from triton_engine import efficientnet
from triton_engine.efficientnet import Weights
from triton_engine.graph import Array, Graph, tensor
from triton_engine.manifest import BuildError
from triton_engine.photo_models import OBJECTS, ObjectModel

STAGES: Final[Mapping[str, int]] = {"stage_3": 2, "stage_4": 1, "stage_6": 2, "stage_8": 4}
"""Stages that the head sees, with the steps of their grids: stage_3's is finer than the head's."""
SURROUNDINGS: Final = "surroundings"
"""Averages of stage_8 over the places around each."""
AROUND: Final = 5
"""Places of a side of these surroundings."""
GRID: Final = 8
"""Pixels between two places of the head's grid."""


def build(weights: Weights, head: bytes, model: ObjectModel) -> onnx.ModelProto:
    """Return the graph: uint8 RGB [N, size, size, 3] to float32 `objects` [N, 5 · places]. Raises
    BuildError unless weights and head belong to the manifest's network."""
    size = model.input.size
    graph = efficientnet.Network(weights=weights, side=size)
    layers = read(head)
    try:
        ends = efficientnet.stages(graph, model.input, model.network.depth)
        _head(graph, ends, layers)
    except KeyError as error:
        raise BuildError(f"{model.name}: weights or head have no {error.args[0]}") from error
    image = tensor(efficientnet.INPUT, onnx.TensorProto.UINT8, ["N", size, size, 3])
    return graph.model(model.name, [image], {OBJECTS: (model.dimension,)})


def read(head: bytes) -> dict[str, Array]:
    """Return a head's arrays from an .npz file. Raises BuildError."""
    try:
        with np.load(io.BytesIO(head), allow_pickle=False) as arrays:
            return {name: arrays[name].astype(np.float32) for name in arrays.files}
    except (OSError, ValueError) as error:
        raise BuildError(f"the head of objects is not an .npz file: {error}") from error


def _head(graph: Graph, ends: Mapping[str, str], layers: Mapping[str, Array]) -> None:
    around = graph.add(
        "AveragePool",
        [ends["stage_8"]],
        SURROUNDINGS,
        kernel_shape=[AROUND, AROUND],
        strides=[1, 1],
        pads=[AROUND // 2] * 4,
        count_include_pad=0,
    )
    maps = {**{name: ends[name] for name in STAGES}, SURROUNDINGS: around}
    parts = [_to_grid(graph, name, source, layers[name]) for name, source in maps.items()]
    x = graph.add("Sum", parts, "head.sum")
    bias = graph.constant("head.bias_1", layers["bias_1"].reshape(1, -1, 1, 1))
    x = graph.add("Relu", [graph.add("Add", [x, bias], "head.biased")], "head.layer_1")
    x = graph.add("Relu", [_layer(graph, x, layers, 2)], "head.layer_2")
    x = _layer(graph, x, layers, 3)
    ends_at = [graph.constant(f"head.cut_{at}", np.array([at], np.int64)) for at in (0, 1, 5)]
    axis = graph.constant("head.channels", np.array([1], np.int64))
    score = graph.add("Slice", [x, ends_at[0], ends_at[1], axis], "head.logit")
    sides = graph.add("Slice", [x, ends_at[1], ends_at[2], axis], "head.sides")
    score = graph.add("Sigmoid", [score], "head.score")
    maps_of = graph.add("Concat", [score, sides], "head.maps", axis=1)
    graph.add("Flatten", [maps_of], OBJECTS, axis=1)


def _to_grid(graph: Graph, name: str, source: str, kernel: Array) -> str:
    """Return a stage's part of the first layer in the head's grid."""
    weight = graph.constant(f"head.{name}", kernel)
    side = kernel.shape[-1]
    fine = name == "stage_3"
    step, padding = (2, 0) if fine else (1, side // 2)
    part = graph.add(
        "Conv",
        [source, weight],
        f"head.{name}.part",
        kernel_shape=[side, side],
        strides=[step, step],
        pads=[padding] * 4,
    )
    times = 4 if name == SURROUNDINGS else STAGES[name]
    if fine or times == 1:
        return part
    scales = graph.constant(f"head.{name}.scales", np.array([1, 1, times, times], np.float32))
    return graph.add(
        "Resize",
        [part, "", scales],
        f"head.{name}.grid",
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )


def _layer(graph: Graph, x: str, layers: Mapping[str, Array], number: int) -> str:
    weight = layers[f"weight_{number}"]
    names = [
        graph.constant(f"head.weight_{number}", weight[:, :, None, None]),
        graph.constant(f"head.bias_{number}", layers[f"bias_{number}"]),
    ]
    return graph.add("Conv", [x, *names], f"head.sum_{number}", kernel_shape=[1, 1])
