"""Classical descriptors of texture and shape inside the graph; a features model may name them.

``python -m triton_engine.descriptors NAME SIDE`` writes one of them alone, as an ONNX graph.

None is on in the models that are shipped: docs/research/embedder.md has what each was worth. All
look at RGB in [0, 255], [N, 3, side, side], and give float32 [N, size], of the sizes in
`backbone.DESCRIPTORS`.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx

from triton_engine.features import DESCRIPTORS
from triton_engine.graph import Array, Graph, tensor

FLOAT: Final = 1
"""TensorProto.FLOAT."""
LUMINANCE: Final = (0.299, 0.587, 0.114)
"""ITU-R BT.601."""

RADII: Final = (1, 2, 4)
"""Pixels from the middle to its eight neighbours."""
RING: Final = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
"""Rows and columns of the neighbours, one after another round the middle (1, 1)."""

OCTAVES: Final = 4
ANGLES: Final = 6
WAVE: Final = 4.0
"""Pixels of a wave, on the plane of each octave."""
WIDTH: Final = 2.0
"""Standard deviation of the wave's envelope in pixels."""
KERNEL: Final = 9

BORDER: Final = 8
"""Pixels that count as border."""
APART: Final = 30.0
SOFT: Final = 2.0
"""Levels, as a distance in RGB, at which half a pixel belongs to the subject, and about it."""
LEAST: Final = 1e-6
"""A moment that counts."""


def add(graph: Graph, rgb: str, side: int, name: str) -> str:
    """Add the descriptor of this name, and return that: it is the output's too.

    KeyError when there is no such descriptor.
    """
    return _ADDED[name](graph, rgb, side, name)


def alone(name: str, side: int) -> onnx.ModelProto:
    """Return a graph of one descriptor: uint8 RGB [N, side, side, 3] to float32 [N, size]."""
    graph = Graph()
    image = graph.add("Cast", ["image"], "float", to=FLOAT)
    add(graph, graph.add("Transpose", [image], "rgb", perm=[0, 3, 1, 2]), side, name)
    pixels = tensor("image", onnx.TensorProto.UINT8, ["N", side, side, 3])
    return graph.model(name, [pixels], {name: (DESCRIPTORS[name],)})


def _lbp(graph: Graph, rgb: str, _side: int, name: str) -> str:
    """Local binary patterns that are uniform and do not mind rotation, at three radii.

    T. Ojala, M. Pietikäinen, T. Mäenpää, Multiresolution Gray-Scale and Rotation Invariant Texture
    Classification with Local Binary Patterns, IEEE TPAMI 24, 2002 (riu2, with the eight pixels of
    a square). The square roots of each radius' shares.
    """
    light = _luminance(graph, rgb, name)
    # The middle is taken from each neighbour by convolution; its own place stands for no bit.
    kernels = np.zeros((len(RING), 1, 3, 3), np.float32)
    kernels[:, 0, 1, 1] = -1
    for bit, (row, column) in enumerate(RING):
        kernels[bit, 0, row, column] = 1
    graph.constant(f"{name}.kernels", kernels)
    graph.constant(f"{name}.zero", np.float32(0))
    graph.constant(f"{name}.turns", np.float32(2))
    graph.constant(f"{name}.others", np.float32(len(RING) + 1))
    graph.constant(f"{name}.next", np.roll(np.arange(len(RING)), -1))
    shares = [_patterns(graph, light, name, radius) for radius in RADII]
    return graph.add("Sqrt", [graph.add("Concat", shares, f"{name}.shares", axis=1)], name)


def _patterns(graph: Graph, light: str, name: str, radius: int) -> str:
    """Add the shares of the ten patterns at one radius, [N, 10]."""
    at = f"{name}.{radius}"
    apart = graph.add("Conv", [light, f"{name}.kernels"], f"{at}.apart", dilations=[radius, radius])
    brighter = graph.add("GreaterOrEqual", [apart, f"{name}.zero"], f"{at}.brighter")
    bits = graph.add("Cast", [brighter], f"{at}.bits", to=FLOAT)
    following = graph.add("Gather", [bits, f"{name}.next"], f"{at}.following", axis=1)
    changes = graph.add("Abs", [graph.add("Sub", [bits, following], f"{at}.steps")], f"{at}.abs")
    turns = _summed(graph, changes, f"{at}.turns")
    uniform = graph.add("LessOrEqual", [turns, f"{name}.turns"], f"{at}.uniform")
    ones = _summed(graph, bits, f"{at}.ones")
    pattern = graph.add("Where", [uniform, ones, f"{name}.others"], f"{at}.pattern")
    numbers = np.arange(len(RING) + 2, dtype=np.float32).reshape(1, -1, 1, 1)
    same = graph.add("Equal", [pattern, graph.constant(f"{at}.numbers", numbers)], f"{at}.is")
    counted = graph.add("Cast", [same], f"{at}.one_hot", to=FLOAT)
    return graph.add("ReduceMean", [counted], f"{at}.shares", axes=[2, 3], keepdims=0)


def _gabor(graph: Graph, rgb: str, _side: int, name: str) -> str:
    """Mean and deviation of the strength of waves, in six directions and four octaves.

    B. Manjunath, W. Ma, Texture Features for Browsing and Retrieval of Image Data, IEEE TPAMI 18,
    1996; each octave on a plane half as wide as the last.
    """
    plane = _luminance(graph, rgb, name)
    even, odd = gabor_kernels()
    graph.constant(f"{name}.even", even)
    graph.constant(f"{name}.odd", odd)
    parts = []
    for octave in range(OCTAVES):
        at = f"{name}.{octave}"
        plane = _pooled(graph, plane, 2, f"{at}.plane")
        halves = [
            graph.add("Conv", [plane, f"{name}.{half}"], f"{at}.{half}") for half in ("even", "odd")
        ]
        squares = [graph.add("Mul", [half, half], f"{half}.squared") for half in halves]
        power = graph.add("Add", squares, f"{at}.power")
        strength = graph.add("Sqrt", [power], f"{at}.strength")
        mean = graph.add("ReduceMean", [strength], f"{at}.mean", axes=[2, 3], keepdims=0)
        parts += [mean, _deviation(graph, power, mean, at)]
    return graph.add("Concat", parts, name, axis=1)


def gabor_kernels() -> tuple[Array, Array]:
    """Return the even and the odd waves, float32 [ANGLES, 1, KERNEL, KERNEL], each of mean 0."""
    middle = KERNEL // 2
    down, across = np.mgrid[-middle : middle + 1, -middle : middle + 1].astype(np.float64)
    envelope = np.exp(-(down**2 + across**2) / (2 * WIDTH**2))
    even, odd = [], []
    for angle in np.arange(ANGLES) * math.pi / ANGLES:
        phase = 2 * math.pi / WAVE * (across * math.cos(angle) + down * math.sin(angle))
        wave = envelope * np.cos(phase)
        even.append(wave - envelope * wave.sum() / envelope.sum())
        odd.append(envelope * np.sin(phase))
    # Rounded, so that another machine's cosine gives the same graph.
    share = envelope.sum()
    first, second = ((np.stack(waves)[:, None] / share).round(6) for waves in (even, odd))
    return first.astype(np.float32), second.astype(np.float32)


def _shape(graph: Graph, rgb: str, side: int, name: str) -> str:
    """Hu's seven moments of what is unlike the photo's border, as signed logarithms.

    M.-K. Hu, Visual Pattern Recognition by Moment Invariants, IRE Trans. IT 8, 1962: they do not
    mind where the subject is, how large, or how it is turned. By complex moments: J. Flusser, On
    the Independence of Rotation Moment Invariants, Pattern Recognition 33, 2000.
    """
    steps = _Steps(graph, name)
    mask = _mask(steps, rgb, side)
    line = (np.arange(side // 2, dtype=np.float32) + 0.5) / (side // 2)
    mass = steps.sum(mask)
    x, y = (
        steps.centred(np.asarray(plane.reshape(1, -1)), mask, mass)
        for plane in np.meshgrid(line, line)
    )
    z = x, y
    square, length = steps.times(z, z), steps.length(z)
    second = steps.number(2.0), [steps.op("Mul", mask, part) for part in (length, *square)]
    cube, bent = steps.times(square, z), [steps.op("Mul", part, length) for part in z]
    third = steps.number(2.5), [steps.op("Mul", mask, part) for part in (*cube, *bent)]
    c11, c20_re, c20_im, c30_re, c30_im, c21_re, c21_im = (
        steps.op("Div", steps.sum(part), steps.op("Pow", mass, order))
        for order, parts in (second, third)
        for part in parts
    )
    c20, c30, c12 = (c20_re, c20_im), (c30_re, c30_im), (c21_re, steps.op("Neg", c21_im))
    c12_squared = steps.times(c12, c12)
    bends = steps.times(c30, steps.times(c12, c12_squared))
    hu = [
        *(c11, steps.length(c20), steps.length(c30), steps.length(c12)),
        *(bends[0], steps.times(c20, c12_squared)[0], bends[1]),
    ]
    return _logarithms(steps, steps.joined(hu), name)


def _logarithms(steps: "_Steps", values: str, name: str) -> str:
    """Add sign(v) x log(1 + |v| / least): moments lie many orders of magnitude apart."""
    size = steps.op("Div", steps.op("Abs", values), steps.number(LEAST))
    log = steps.op("Log", steps.op("Add", size, steps.number(1)))
    return steps.graph.add("Mul", [steps.op("Sign", values), log], name)


def _mask(steps: "_Steps", rgb: str, side: int) -> str:
    """Add how much of each pixel of a half as wide plane is subject, 0 to 1 / P, [N, P]: areas
    are then in the units of coordinates from 0 to 1."""
    half, border = side // 2, BORDER // 2
    ring = np.ones((half, half), np.float32)
    ring[border:-border, border:-border] = 0
    flat = steps.reshaped(_pooled(steps.graph, rgb, 2, f"{steps.name}.small"), (-1, 3, half * half))
    ground = steps.op("MatMul", flat, steps.number(ring.reshape(-1, 1) / ring.sum()))
    squares = steps.op("Mul", *[steps.op("Sub", flat, ground)] * 2)
    distance = steps.op("Sqrt", _summed(steps.graph, squares, f"{steps.name}.squares", keep=0))
    above = steps.op("Sub", distance, steps.number(APART))
    share = steps.op("Sigmoid", steps.op("Div", above, steps.number(SOFT)))
    return steps.op("Div", share, steps.number(half * half))


Complex = tuple[str, str]
"""Names of the real and the imaginary part."""


@dataclass(slots=True)
class _Steps:
    """A graph whose further nodes are numbered instead of named."""

    graph: Graph
    name: str
    count: int = 0

    def op(self, kind: str, *inputs: str) -> str:
        """Add a node and return its name."""
        return self.graph.add(kind, list(inputs), self._numbered())

    def number(self, value: float | Array) -> str:
        """Add a float32 constant and return its name."""
        return self.graph.constant(self._numbered(), np.asarray(value, np.float32))

    def reshaped(self, x: str, shape: Sequence[int]) -> str:
        """Add `x` in another shape."""
        rows = self.graph.constant(self._numbered(), np.array(shape, np.int64))
        return self.op("Reshape", x, rows)

    def sum(self, x: str) -> str:
        """Add the sum of each row of [N, P], [N, 1]."""
        return _summed(self.graph, x, self._numbered())

    def centred(self, plane: Array, mask: str, mass: str) -> str:
        """Add the coordinates [1, P] less the mask's centre of mass, [N, P]."""
        places = self.number(plane)
        middle = self.op("Div", self.sum(self.op("Mul", mask, places)), mass)
        return self.op("Sub", places, middle)

    def times(self, one: Complex, other: Complex) -> Complex:
        """Add the product."""
        ac, bd = self.op("Mul", one[0], other[0]), self.op("Mul", one[1], other[1])
        ad, bc = self.op("Mul", one[0], other[1]), self.op("Mul", one[1], other[0])
        return self.op("Sub", ac, bd), self.op("Add", ad, bc)

    def length(self, z: Complex) -> str:
        """Add the squared absolute value."""
        return self.op("Add", self.op("Mul", z[0], z[0]), self.op("Mul", z[1], z[1]))

    def joined(self, columns: Sequence[str]) -> str:
        """Add columns [N, 1] side by side."""
        return self.graph.add("Concat", list(columns), self._numbered(), axis=1)

    def _numbered(self) -> str:
        self.count += 1
        return f"{self.name}.{self.count}"


def _luminance(graph: Graph, rgb: str, name: str) -> str:
    weights = np.array(LUMINANCE, np.float32).reshape(1, 3, 1, 1)
    return graph.add("Conv", [rgb, graph.constant(f"{name}.weights", weights)], f"{name}.light")


def _pooled(graph: Graph, x: str, factor: int, name: str) -> str:
    sizes = {"kernel_shape": [factor, factor], "strides": [factor, factor]}
    return graph.add("AveragePool", [x], name, **sizes)


def _summed(graph: Graph, x: str, name: str, keep: int = 1) -> str:
    """Add the sum over the second axis."""
    axes = graph.constant(f"{name}.axes", np.array([1], np.int64))
    return graph.add("ReduceSum", [x, axes], name, keepdims=keep)


def _deviation(graph: Graph, power: str, mean: str, at: str) -> str:
    """Add the standard deviation of roots, whose squares are `power` and whose mean is `mean`."""
    squares = graph.add("ReduceMean", [power], f"{at}.squares", axes=[2, 3], keepdims=0)
    squared = graph.add("Mul", [mean, mean], f"{at}.mean.squared")
    variance = graph.add("Sub", [squares, squared], f"{at}.variance")
    return graph.add("Sqrt", [graph.add("Relu", [variance], f"{at}.not_below")], f"{at}.deviation")


_ADDED: Final[Mapping[str, Callable[[Graph, str, int, str], str]]] = {
    "lbp": _lbp,
    "gabor": _gabor,
    "shape": _shape,
}


if __name__ == "__main__":
    sys.stdout.buffer.write(alone(sys.argv[1], int(sys.argv[2])).SerializeToString())
