"""A color histogram inside the graph, over hue, saturation and value.

Swain and Ballard 1991, "Color indexing"; the square root of each share makes inner products those
of Bhattacharyya. Hue, saturation and value are those of Smith 1978, as in Python's colorsys.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from triton_engine.graph import Graph

SIDE: Final = 56
"""Side after averaging pixels in squares, which removes noise, JPEG's blocks and most of the work.
"""
SHADES: Final = 256
"""Number of levels of a byte: a bin of value is this number ÷ bins wide."""
SEXTANTS: Final = 6.0

Bins = tuple[int, int, int]
"""Numbers of bins of hue, of saturation and of value."""


def add(graph: Graph, x: str, side: int, bins: Bins, name: str) -> str:
    """Add the histogram of RGB in [0, 255], [N, 3, side, side], and return its name.

    The result is float32 [N, hues x saturations x values], the square roots of shares that sum to
    1; the bins of value are next to one another, then those of saturation.
    """
    hues, saturations, values = bins
    square = max(1, side // SIDE)
    sizes = {"kernel_shape": [square, square], "strides": [square, square]}
    x = graph.add("AveragePool", [x], "hsv.reduced", **sizes)
    rows = graph.constant("hsv.rows", np.array([0, 3, -1], np.int64))
    x = graph.add("Reshape", [x, rows], "hsv.rgb")
    planes = _Planes(graph).of(x)
    hue = _bin(graph, planes.hue, hues / SEXTANTS, hues)
    saturation = _bin(graph, planes.saturation, saturations, saturations)
    value = _bin(graph, planes.value, values / SHADES, values)
    step = graph.constant("hsv.step", np.float32(values))
    shade = graph.add("Mul", [saturation, step], "hsv.saturation.row")
    shade = graph.add("Add", [shade, value], "hsv.shade")
    shades = _one_hot(graph, shade, saturations * values)
    shades = graph.add("Transpose", [shades], "hsv.shade.turned", perm=[0, 2, 1])
    counts = graph.add("MatMul", [_one_hot(graph, hue, hues), shades], "hsv.counts")
    pixels = graph.constant("hsv.pixels", np.float32((side // square) ** 2))
    shares = graph.add("Div", [counts, pixels], "hsv.shares")
    return graph.add("Flatten", [graph.add("Sqrt", [shares], "hsv.roots")], name, axis=1)


@dataclass(frozen=True, slots=True)
class _Hsv:
    """Names of three planes, each [N, 1, P]."""

    hue: str
    """In sextants, [0, 6); of grey, 0."""
    saturation: str
    """[0, 1]."""
    value: str
    """[0, 255]."""


@dataclass(frozen=True, slots=True)
class _Planes:
    """Planes of RGB from which hue, saturation and value are computed."""

    graph: Graph

    def of(self, rgb: str) -> _Hsv:
        """Add the planes of `rgb`, [N, 3, P] in [0, 255]."""
        add = self.graph.add
        red, green, blue = (self._plane(rgb, place) for place in range(3))
        value = add("ReduceMax", [rgb], "hsv.value", axes=[1], keepdims=1)
        least = add("ReduceMin", [rgb], "hsv.least", axes=[1], keepdims=1)
        chroma = add("Sub", [value, least], "hsv.chroma")
        # Far below the minimum chroma of averages of bytes; it matters only where 0 is divided.
        self.graph.constant("hsv.tiny", np.float32(1e-6))
        divisor = add("Max", [value, "hsv.tiny"], "hsv.value.divisor")
        saturation = add("Div", [chroma, divisor], "hsv.saturation")
        divisor = add("Max", [chroma, "hsv.tiny"], "hsv.chroma.divisor")
        sextants = [
            self._sextant(f"hsv.sextant.{start}", first, second, divisor, start)
            for start, (first, second) in enumerate(((green, blue), (blue, red), (red, green)))
        ]
        is_red, is_green = (add("Equal", [value, plane], f"{plane}.most") for plane in (red, green))
        hue = add("Where", [is_green, sextants[1], sextants[2]], "hsv.hue.of_two")
        hue = add("Where", [is_red, sextants[0], hue], "hsv.hue.signed")
        zero = self.graph.constant("hsv.zero", np.float32(0))
        full = self.graph.constant("hsv.full", np.float32(SEXTANTS))
        below = add("Less", [hue, zero], "hsv.hue.below")
        return _Hsv(
            add("Where", [below, add("Add", [hue, full], "hsv.hue.turned"), hue], "hsv.hue"),
            saturation,
            value,
        )

    def _plane(self, rgb: str, place: int) -> str:
        where = self.graph.constant(f"hsv.place.{place}", np.array([place], np.int64))
        return self.graph.add("Gather", [rgb, where], f"hsv.plane.{place}", axis=1)

    def _sextant(self, name: str, first: str, second: str, divisor: str, start: int) -> str:
        """Add (first - second) / chroma + 2 x start: the hue where the third channel is the
        maximum.
        """
        x = self.graph.add("Sub", [first, second], f"{name}.difference")
        x = self.graph.add("Div", [x, divisor], f"{name}.share")
        offset = self.graph.constant(f"{name}.start", np.float32(2 * start))
        return self.graph.add("Add", [x, offset], name)


def _bin(graph: Graph, x: str, factor: float, count: int) -> str:
    """Add the number of each value's bin, floor(x x factor), below `count`."""
    scale = graph.constant(f"{x}.factor", np.float32(factor))
    last = graph.constant(f"{x}.last", np.float32(count - 1))
    number = graph.add("Floor", [graph.add("Mul", [x, scale], f"{x}.scaled")], f"{x}.floor")
    return graph.add("Min", [number, last], f"{x}.bin")


def _one_hot(graph: Graph, x: str, count: int) -> str:
    """Add float32 [N, count, P]: 1 where the bin's number is the row's, else 0."""
    numbers = np.arange(count, dtype=np.float32).reshape(1, count, 1)
    same = graph.add("Equal", [x, graph.constant(f"{x}.numbers", numbers)], f"{x}.is")
    return graph.add("Cast", [same], f"{x}.one_hot", to=1)  # TensorProto.FLOAT
