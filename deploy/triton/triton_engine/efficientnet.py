"""The EfficientNet-Lite networks without their classifier, as ONNX graphs.

Tan and Le 2019, https://arxiv.org/abs/1905.11946; the Lite variants drop squeeze-and-excitation and
use ReLU6: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
The weights were trained by TensorFlow: padding is TensorFlow's "same" (the extra row and column of
a stride of 2 at the bottom and right), batch normalisation's epsilon is 1e-3.

The networks differ in how wide they are, which the weights' shapes say, in how often the stages
repeat their blocks, and in the size of the input. The stem, the head and the first and last stage
are the same in all.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from triton_engine.backbone import Backbone, BuildError

INPUT: Final = "image"
OUTPUT: Final = "embedding"
BN_EPSILON: Final = 1e-3
NORM: Final = ("weight", "bias", "running_mean", "running_var")
COUNTER: Final = "num_batches_tracked"
"""Counts training steps; inference has no use for it."""
# Opset 17 and IR 8 are read by every onnxruntime since 1.12, so by any Triton since 22.08.
OPSET: Final = 17
IR_VERSION: Final = 8

Array = npt.NDArray[Any]
Weights = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Block:
    """One inverted residual block: expand (unless it is the first), depthwise, project."""

    index: int
    kernel: int
    stride: int
    expands: bool
    residual: bool

    @property
    def prefix(self) -> str:
        """The start of the names of this block's weights."""
        return f"_blocks.{self.index}."


def blocks(depth: float) -> Iterator[Block]:
    """Yield the blocks in order: sixteen at a depth of 1."""
    # (blocks at depth 1, kernel, stride of the first)
    stages = ((1, 3, 1), (2, 3, 2), (2, 5, 2), (3, 3, 2), (3, 5, 1), (4, 5, 2), (1, 3, 1))
    index = 0
    for stage, (count, kernel, stride) in enumerate(stages):
        inner = 0 < stage < len(stages) - 1
        for position in range(math.ceil(depth * count) if inner else count):
            first = position == 0
            yield Block(index, kernel, stride if first else 1, index > 0, not first)
            index += 1


def build(weights: Weights, backbone: Backbone) -> onnx.ModelProto:
    """Return the graph: uint8 RGB [N, size, size, 3] to unit float32 vectors [N, dimension].

    The same weights give the same bytes on every machine: batch normalisation is folded in float64
    by operations that IEEE 754 rounds correctly, and nothing else is computed here. Raises
    BuildError when the weights are those of another network than the manifest says.
    """
    graph = _Graph(weights, side=backbone.size)
    try:
        _connect(graph, backbone)
    except KeyError as error:
        raise BuildError(f"{backbone.name}: the weights have no {error.args[0]}") from error
    if unused := graph.unused():
        raise BuildError(
            f"{backbone.name}: the network makes no use of {unused[0]} and {len(unused) - 1} more "
            f"weights: mend network.depth, which is {backbone.depth:g}"
        )
    size = backbone.size
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            backbone.name,
            [helper.make_tensor_value_info(INPUT, onnx.TensorProto.UINT8, ["N", size, size, 3])],
            [
                helper.make_tensor_value_info(
                    OUTPUT, onnx.TensorProto.FLOAT, ["N", backbone.dimension]
                )
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="sightline",
    )
    _check(model, backbone)
    return model


def _connect(graph: "_Graph", backbone: Backbone) -> None:
    x = graph.normalise(INPUT, backbone.mean, backbone.scale)
    x = graph.convolve(x, "_conv_stem", "_bn0", kernel=3, stride=2)
    for block in blocks(backbone.depth):
        x = graph.block(x, block)
    x = graph.convolve(x, "_conv_head", "_bn1", kernel=1)
    graph.pool(x, OUTPUT)


def _check(model: onnx.ModelProto, backbone: Backbone) -> None:
    """Raise BuildError unless the shapes fit from the input to the output."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BuildError(
            f"{backbone.name}: the weights do not fit the manifest: {error}"
        ) from error


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's "same" padding of one side: (before, after)."""
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@dataclass(slots=True)
class _Graph:
    """Nodes and constants as they are added, and the side length of the current feature map."""

    weights: Weights
    side: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def normalise(self, x: str, mean: float, scale: float) -> str:
        """Bytes to (x - mean) / scale in NCHW, on which the weights were trained."""
        x = self._add("Cast", [x], "float", to=onnx.TensorProto.FLOAT)
        x = self._add("Sub", [x, self._constant("mean", np.float32(mean))], "centred")
        x = self._add("Div", [x, self._constant("scale", np.float32(scale))], "normalised")
        self._constant("relu6_min", np.float32(0))
        self._constant("relu6_max", np.float32(6))
        return self._add("Transpose", [x], "nchw", perm=[0, 3, 1, 2])

    def block(self, x: str, block: Block) -> str:
        """Add one inverted residual block."""
        start, p = x, block.prefix
        if block.expands:
            x = self.convolve(x, p + "_expand_conv", p + "_bn0", kernel=1)
        x = self.convolve(
            x, p + "_depthwise_conv", p + "_bn1", kernel=block.kernel, stride=block.stride
        )
        x = self.convolve(x, p + "_project_conv", p + "_bn2", kernel=1, relu=False)
        return self._add("Add", [start, x], p + "sum") if block.residual else x

    def convolve(
        self, x: str, conv: str, norm: str, *, kernel: int, stride: int = 1, relu: bool = True
    ) -> str:
        """Add a convolution with its folded batch normalisation; depthwise by the weight's shape.

        A weight of [C, 1, k, k] with C > 1 is depthwise: EfficientNet has no other grouping.
        """
        weight, bias = fold(self.weights, conv, norm)
        self.used |= {f"{conv}.weight", *(f"{norm}.{part}" for part in NORM)}
        depthwise = weight.shape[1] == 1
        before, after = same_padding(self.side, kernel, stride)
        self.side = -(-self.side // stride)
        x = self._add(
            "Conv",
            [x, self._constant(conv + ".weight", weight), self._constant(conv + ".bias", bias)],
            conv,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=weight.shape[0] if depthwise else 1,
        )
        return self._add("Clip", [x, "relu6_min", "relu6_max"], conv + ".relu6") if relu else x

    def pool(self, x: str, name: str) -> None:
        """Average over the plane, then bring to unit length (a zero vector stays zero)."""
        x = self._add("GlobalAveragePool", [x], "pooled")
        x = self._add("Flatten", [x], "features", axis=1)
        length = self._add("ReduceL2", [x], "length", axes=[1], keepdims=1)
        floor = self._constant("length_floor", np.float32(1e-12))
        self._add("Div", [x, self._add("Max", [length, floor], "divisor")], name)

    def unused(self) -> list[str]:
        """Return the names of the weights that no convolution took, the classifier's left out."""
        spare = (name for name in self.weights if name not in self.used)
        return [n for n in spare if not n.startswith("_fc.") and not n.endswith(COUNTER)]

    def _add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, value: Array | np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def fold(weights: Weights, conv: str, norm: str) -> tuple[Array, Array]:
    """Return a convolution's float32 weight and bias with its batch normalisation folded in."""
    weight, gamma, beta, mean, variance = (
        weights[name].astype(np.float64)
        for name in (f"{conv}.weight", *(f"{norm}.{part}" for part in NORM))
    )
    scale = gamma / np.sqrt(variance + BN_EPSILON)
    folded = weight * scale[:, None, None, None]
    return folded.astype(np.float32), (beta - mean * scale).astype(np.float32)
