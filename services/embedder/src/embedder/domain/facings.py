"""Facings of one product: boxes of about the same size in one row whose pixels, or then vectors,
agree. Pure.

Each box is compared by a small picture of its middle, in which differences of light are removed,
at the shifts that inexact boxes cause. Boxes that look alike have one product, almost always: see
lab/research/detect.md.
"""

from collections.abc import Collection, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from embedder.domain.items import Vectors
from embedder.domain.photos import Box, Pixels

ALIKE: Final = 0.7
"""Correlation from which two boxes look alike."""
SAME_SIZE: Final = 0.3
"""Difference of the logarithms of their widths, and of their heights, at most."""
SAME_ROW: Final = 0.25
"""Distance of the heights of their middles, at most, in heights of the lower box."""
SQUARE: Final = 0.9
"""Shorter side of a box by its longer one from which its whole and its middle show nearly the same:
one view is enough."""
AGREEING: Final = 0.85
"""Cosine from which the first views of two boxes show one product."""
GRID: Final = 28
"""Pixels of a side of a small picture."""
SHIFT: Final = 3
"""Pixels by which pictures are shifted, at most, in each direction."""
_NEAR: Final = 4.0
"""Standard deviation, in pixels, of the surroundings that light is removed by."""
_LEAST_CONTRAST: Final = 6.0
"""Contrast, of 255, below which differences are noise."""
_TINY: Final = 1e-3
_SAMPLES: Final = 2
"""Pixels of a whole that are read for a side of each pixel of a small picture."""
_BLOCK: Final = 16
"""Pictures of one product of matrices, small enough for one thread: others would spin beside it."""
_Floats: TypeAlias = npt.NDArray[np.float32]


def like(boxes: Sequence[Box], middles: Pixels) -> list[int]:
    """Return for each box the place of the first box that it looks like, or its own.

    `middles`: the boxes' middles, uint8 [n, side, side, 3].
    """
    first = list(range(len(boxes)))
    if not boxes:
        return first
    beside = _beside(boxes)
    some = np.flatnonzero(beside.sum(axis=0) > 1)  # each box is beside itself
    if not len(some):
        return first
    alike = beside & False
    alike[np.ix_(some, some)] = _agreement(_flat_light(_small(middles[some]))) >= ALIKE
    return _firsts(alike & beside)


def joined(boxes: Sequence[Box], first: Sequence[int], vectors: Vectors) -> list[int]:
    """Return `first`, as `like` does, with one place for boxes whose vectors agree too.

    `vectors`: float32 [groups, d] of unit length, of the first boxes in their order. They tell more
    pairs of one product than pictures do, but only after an inference.
    """
    heads = [*dict.fromkeys(first)]
    if not heads:
        return []
    near = _beside([boxes[place] for place in heads]) & (vectors @ vectors.T >= AGREEING)
    to = {head: heads[place] for head, place in zip(heads, _firsts(near), strict=True)}
    return [to[place] for place in first]


def second_views(first: Sequence[int], square: Collection[int]) -> dict[int, int]:
    """Return by first box the box whose second view stands for it: another one, so that a fault of
    one box counts less. None for boxes in `square`."""
    other = {place: box for box, place in reversed([*enumerate(first)]) if box != place}
    heads = [place for place in dict.fromkeys(first) if place not in square]
    return {place: other.get(place, place) for place in heads}


def middles_of(wholes: Pixels, boxes: Sequence[Box], ratio: float, crop: float) -> Pixels:
    """Return the middles of boxes, cut from their views on white, uint8 [n, side, side, 3].

    `wholes`: these views, uint8 [n, side, side, 3]; `ratio`: the photo's width divided by its
    height; `crop`: share of a box's shorter side that its middle has.
    """
    side, fine = wholes.shape[1], _SAMPLES * GRID
    middles = np.empty((len(boxes), fine, fine, 3), np.uint8)
    for place, box in enumerate(boxes):
        wide, high = (box.right - box.left) * ratio, box.bottom - box.top
        half = crop * side * min(wide, high) / max(wide, high) / 2
        at = np.linspace(-half, half, fine, endpoint=False) + half / fine + side / 2
        rows = at.astype(int).clip(0, side - 1)
        middles[place] = wholes[place][np.ix_(rows, rows)]
    return middles


def square_ones(boxes: Sequence[Box], ratio: float) -> set[int]:
    """Return the places of boxes for which one view is enough. `ratio`: the photo's width divided
    by its height."""
    found = set[int]()
    for place, box in enumerate(boxes):
        shorter, longer = sorted(((box.right - box.left) * ratio, box.bottom - box.top))
        if shorter >= SQUARE * longer:
            found.add(place)
    return found


def _firsts(alike: npt.NDArray[np.bool_]) -> list[int]:
    """Return for each box the place of the first box that it is like, or its own, by the pairs that
    are alike, [n, n]."""
    first = list(range(len(alike)))
    for place in range(len(alike)):
        if first[place] == place:
            for other in (np.flatnonzero(alike[place, place + 1 :]) + place + 1).tolist():
                if first[other] == other:
                    first[other] = place
    return first


def _beside(boxes: Sequence[Box]) -> npt.NDArray[np.bool_]:
    """Return the pairs of boxes that have about the same size and stand in one row, [n, n]."""
    sides = np.array([(box.right - box.left, box.bottom - box.top) for box in boxes])
    middles = np.array([(box.top + box.bottom) / 2 for box in boxes])
    logs, heights = np.log(sides), sides[:, 1]
    same_size = (np.abs(logs[:, None] - logs[None]) <= SAME_SIZE).all(axis=-1)
    lower = np.minimum(heights[:, None], heights[None])
    same_row = np.abs(middles[:, None] - middles[None]) <= SAME_ROW * lower
    return np.asarray(same_size & same_row)


def _small(pixels: Pixels) -> _Floats:
    """Return the pixels' averages in GRID × GRID blocks, without what is left of each side."""
    times = -(-GRID // pixels.shape[1])
    pixels = pixels.repeat(times, axis=1).repeat(times, axis=2)
    count, side = pixels.shape[:2]
    step = side // GRID
    start = (side - step * GRID) // 2
    kept = slice(start, start + step * GRID)
    cut = np.ascontiguousarray(pixels[:, kept, kept])
    # In two steps, each along whole rows of memory: ten times faster than one.
    rows = cut.reshape(count, GRID, step, -1).sum(axis=2, dtype=np.uint32)
    sums = rows.reshape(count, GRID, GRID, step, 3).sum(axis=3, dtype=np.uint32)
    return np.asarray(sums / step**2, np.float32)


def _flat_light(pictures: _Floats) -> _Floats:
    """Return each pixel's difference from its surroundings, divided by their contrast."""
    places = np.arange(GRID)
    near = np.exp(-np.square(places[:, None] - places[None]) / (2 * _NEAR**2)).astype(np.float32)
    near /= near.sum(axis=1, keepdims=True)

    def around(values: _Floats) -> _Floats:
        across = np.einsum("ij,nrjc->nric", near, values)
        return np.asarray(np.einsum("ij,njkc->nikc", near, across))

    raised = pictures - around(pictures)
    contrast = np.sqrt(around(np.square(raised).mean(axis=-1, keepdims=True)))
    return np.asarray(raised / (contrast + _LEAST_CONTRAST))


def _agreement(pictures: _Floats) -> _Floats:
    """Return the correlation of each pair at its best shift, [n, n]."""
    middle = _correlated(pictures, SHIFT, SHIFT)
    best = np.full((len(pictures), len(pictures)), -1, np.float32)
    for row in range(2 * SHIFT + 1):
        for column in range(2 * SHIFT + 1):
            moved = _correlated(pictures, row, column).T
            for start in range(0, len(pictures), _BLOCK):
                block = slice(start, start + _BLOCK)
                np.maximum(best[block], middle[block] @ moved, out=best[block])
    return np.asarray((best + best.T) / 2)


def _correlated(pictures: _Floats, row: int, column: int) -> _Floats:
    """Return the pictures' parts that begin at a pixel, with mean 0 and length 1, [n, values]."""
    side = GRID - 2 * SHIFT
    parts = pictures[:, row : row + side, column : column + side].reshape(len(pictures), -1)
    parts = parts - parts.mean(axis=1, keepdims=True)
    return np.asarray(parts / (np.linalg.norm(parts, axis=1, keepdims=True) + _TINY))
