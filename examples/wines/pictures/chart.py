"""Lines over time as SVG paths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#f2495c", "#b877d9", "#8ab8ff", "#c4a484")
_STEPS = (1, 2, 2.5, 5, 10)

Points = Sequence[tuple[float, float]]
"""Time or place, and value."""


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a chart."""

    label: str
    colour: str
    path: str
    last: float


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high` on `pixels`, with ticks at round numbers."""

    low: float
    high: float
    pixels: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return the pixel of a value, from the low end."""
        return (value - self.low) / (self.high - self.low) * self.pixels


def axis(values: Sequence[float], pixels: float, ticks: int = 4, low: float | None = 0) -> Axis:
    """Return an axis that holds all values, from `low` or the smallest."""
    bottom = min(values, default=0.0) if low is None else low
    top = max([*values, bottom])
    top = top if top > bottom else bottom + 1
    raw = (top - bottom) / ticks
    power = 10 ** math.floor(math.log10(raw))
    step = next(each * power for each in _STEPS if each * power >= raw)
    first, last = math.floor(bottom / step), math.ceil(top / step)
    marks = tuple(place * step for place in range(first, last + 1))
    return Axis(marks[0], marks[-1], pixels, marks)


def path(points: Points, across: Axis, up: Axis) -> str:
    """Return the SVG path of a line; NaN breaks it."""
    words, pen = [], "M"
    for x, y in points:
        if math.isnan(y):
            pen = "M"
            continue
        words.append(f"{pen}{across.at(x):.1f} {up.pixels - up.at(y):.1f}")
        pen = "L"
    return " ".join(words)
