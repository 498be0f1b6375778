"""The EfficientNet-Lite networks without their classifier, as ONNX graphs.

Tan and Le 2019, https://arxiv.org/abs/1905.11946; the Lite variants drop squeeze-and-excitation and
use ReLU6: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
The weights were trained by TensorFlow: padding is TensorFlow's "same" (the extra row and column of
a stride of 2 at the bottom and right), batch normalisation's epsilon is 1e-3.

The networks differ in width (given by the weights' shapes), in the repetitions of their blocks, and
in the size of the input. The stem, the head and the first and last stage are the same in all.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import onnx

from triton_engine import histogram
from triton_engine.features import DEVIATION, HEAD, HISTOGRAM, MAP
from triton_engine.graph import Array, Graph, tensor
from triton_engine.manifest import BuildError
from triton_engine.photo_models import LiteModel, Pixels

INPUT: Final = "image"
BN_EPSILON: Final = 1e-3
NORM: Final = ("weight", "bias", "running_mean", "running_var")
COUNTER: Final = "num_batches_tracked"
"""Name of a tensor that counts training steps; not used in inference."""
NORMALISED: Final = "nchw"
"""Name of the normalised pixels."""
FIRST_STAGE: Final = 2
"""The paper's table counts the stem as stage 1."""

Weights = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Block:
    """One inverted residual block: expand (unless it is the first), depthwise, project."""

    index: int
    stage: int
    """Number in the paper's table: 2 to 8."""
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
            yield Block(
                index, FIRST_STAGE + stage, kernel, stride if first else 1, index > 0, not first
            )
            index += 1


def build(weights: Weights, backbone: LiteModel) -> onnx.ModelProto:
    """Return the graph: uint8 RGB [N, size, size, 3] to float32 [N, dimension].

    The same weights give the same bytes on every machine: batch normalisation is folded in float64
    by operations that IEEE 754 rounds correctly, and nothing else is computed here. Raises
    BuildError if the weights do not belong to the manifest's network.
    """
    size, depth = backbone.input.size, backbone.network.depth
    graph = Network(weights=weights, side=size)
    try:
        _connect(graph, backbone)
    except KeyError as error:
        raise BuildError(f"{backbone.name}: the weights have no {error.args[0]}") from error
    if unused := graph.unused():
        raise BuildError(
            f"{backbone.name}: the network makes no use of {unused[0]} and {len(unused) - 1} more "
            f"weights: fix network.depth, which is {depth:g}"
        )
    image = tensor(INPUT, onnx.TensorProto.UINT8, ["N", size, size, 3])
    outputs = {backbone.output: (backbone.dimension,), **backbone.maps}
    return graph.model(backbone.name, [image], outputs)


def stages(graph: "Network", pixels: Pixels, depth: float) -> dict[str, str]:
    """Add everything before the head. Return the names of the stages' maps, in order."""
    x = graph.normalise(INPUT, pixels)
    x = graph.convolve(x, "_conv_stem", "_bn0", kernel=3, stride=2)
    ends = {}
    for block in blocks(depth):
        x = graph.block(x, block)
        ends[f"stage_{block.stage}"] = x
    return ends


def _connect(graph: "Network", backbone: LiteModel) -> None:
    ends = stages(graph, backbone.input, backbone.network.depth)
    x = graph.convolve([*ends.values()][-1], "_conv_head", "_bn1", kernel=1)
    if backbone.features is None:
        graph.unit(graph.pool(x, "pooled", "features"), backbone.output)
        return
    for stage in backbone.features.stages:
        graph.pool(ends[stage], f"{stage}.pooled", stage)
        graph.deviate(ends[stage], stage, stage + DEVIATION)
    graph.add("Sqrt", [graph.pool(x, "pooled", "averages")], HEAD)
    bins, rgb = backbone.features.histogram, graph.shades(NORMALISED)
    histogram.add(graph, rgb, backbone.input.size, bins, HISTOGRAM)
    names = list(backbone.blocks)
    graph.add("Concat", names, backbone.output, axis=1)
    maps = ends | {HEAD: x}
    for output in backbone.maps:
        graph.add("Identity", [maps[output.removesuffix(MAP)]], output)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's "same" padding of one side: (before, after)."""
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@dataclass(slots=True)
class Network(Graph):
    """A graph of convolutions over the given weights, and the current feature map's side."""

    weights: Weights = field(kw_only=True)
    side: int = field(kw_only=True)
    used: set[str] = field(default_factory=set)

    def normalise(self, x: str, pixels: Pixels) -> str:
        """Map bytes to (x - mean) / scale in NCHW, on which the weights were trained."""
        mean, scale = (np.asarray(value, np.float32) for value in (pixels.mean, pixels.scale))
        x = self.add("Cast", [x], "float", to=onnx.TensorProto.FLOAT)
        x = self.add("Sub", [x, self.constant("mean", mean)], "centred")
        x = self.add("Div", [x, self.constant("scale", scale)], "normalised")
        self.constant("relu6_min", np.float32(0))
        self.constant("relu6_max", np.float32(6))
        return self.add("Transpose", [x], NORMALISED, perm=[0, 3, 1, 2])

    def block(self, x: str, block: Block) -> str:
        """Add one inverted residual block."""
        start, p = x, block.prefix
        if block.expands:
            x = self.convolve(x, p + "_expand_conv", p + "_bn0", kernel=1)
        x = self.convolve(
            x, p + "_depthwise_conv", p + "_bn1", kernel=block.kernel, stride=block.stride
        )
        x = self.convolve(x, p + "_project_conv", p + "_bn2", kernel=1, relu=False)
        return self.add("Add", [start, x], p + "sum") if block.residual else x

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
        x = self.add(
            "Conv",
            [x, self.constant(conv + ".weight", weight), self.constant(conv + ".bias", bias)],
            conv,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=weight.shape[0] if depthwise else 1,
        )
        return self.add("Clip", [x, "relu6_min", "relu6_max"], conv + ".relu6") if relu else x

    def shades(self, x: str) -> str:
        """Undo `normalise`, except for the order of dimensions: NCHW of 0 to 255."""
        x = self.add("Mul", [x, "scale"], "rescaled")
        return self.add("Add", [x, "mean"], "rgb")

    def pool(self, x: str, pooled: str, name: str) -> str:
        """Average over the plane: [N, channels]."""
        return self.add("Flatten", [self.add("GlobalAveragePool", [x], pooled)], name, axis=1)

    def deviate(self, x: str, average: str, name: str) -> str:
        """Add the standard deviation over the plane, given its average: [N, channels]."""
        square = self.pool(self.add("Mul", [x, x], f"{name}.of"), f"{name}.pooled", f"{name}.all")
        mean = self.add("Mul", [average, average], f"{name}.mean")
        variance = self.add("Sub", [square, mean], f"{name}.variance")
        return self.add("Sqrt", [self.add("Relu", [variance], f"{name}.sound")], name)

    def unused(self) -> list[str]:
        """Return the names of weights that no convolution uses, without the classifier's."""
        spare = (name for name in self.weights if name not in self.used)
        return [n for n in spare if not n.startswith("_fc.") and not n.endswith(COUNTER)]


def fold(weights: Weights, conv: str, norm: str) -> tuple[Array, Array]:
    """Return a convolution's float32 weight and bias with its batch normalisation folded in."""
    weight, gamma, beta, mean, variance = (
        weights[name].astype(np.float64)
        for name in (f"{conv}.weight", *(f"{norm}.{part}" for part in NORM))
    )
    scale = gamma / np.sqrt(variance + BN_EPSILON)
    folded = weight * scale[:, None, None, None]
    return folded.astype(np.float32), (beta - mean * scale).astype(np.float32)
