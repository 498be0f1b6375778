"""Boxes of objects in a photo: which of them are one object, and their order. Pure.

Boxes are float arrays [n, 4] of left, top, right and bottom, in any unit; scores are arrays [n],
higher is better.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Boxes: TypeAlias = npt.NDArray[np.floating]
Scores: TypeAlias = npt.NDArray[np.floating]

MOST_SHARED: Final = 0.4
"""Share of the smaller of two boxes that both have, above which they are one object: a part of an
object is none of its own."""
AGREEING: Final = 0.6
"""Intersection by union from which a box adds to the position of a better one."""
SAME_PRODUCT: Final = 0.35
"""Like MOST_SHARED, of two boxes with the same product."""
_TINY: Final = 1e-9


def overlaps(first: Boxes, second: Boxes) -> Boxes:
    """Return the intersection by union of each pair, [n, m]."""
    shared = _shared(first, second)
    areas = _areas(first)[:, None] + _areas(second)[None]
    return shared / np.maximum(areas - shared, _TINY)


def merged(boxes: Boxes, scores: Scores, most: int) -> tuple[Boxes, Scores]:
    """Return one box and score for each object, best first, at most `most`.

    Non-maximum suppression: boxes that overlap a better one, or are a part of it, are dropped.
    Those that agree with it are averaged with it first, by the squares of their scores, which
    places it better than the best box alone.
    """
    left = np.argsort(-scores, kind="stable")
    kept, found = list[npt.NDArray[np.floating]](), list[float]()
    while len(left) and len(kept) < most:
        shares = overlaps(boxes[left[:1]], boxes[left])[0]
        agreeing = left[shares >= AGREEING]
        weights = np.square(scores[agreeing])[:, None] + _TINY
        kept.append((boxes[agreeing] * weights).sum(axis=0) / weights.sum())
        found.append(float(scores[left[0]]))
        apart = _shares_of_smaller(kept[-1][None], boxes[left]) <= MOST_SHARED
        apart[0] = False
        left = left[apart]
    shape = np.array(kept, boxes.dtype).reshape(-1, 4)
    return shape, np.array(found, scores.dtype)


def one_a_place(boxes: Boxes, scores: Scores, products: Sequence[str]) -> list[int]:
    """Return the places of detections that are not a part of a better one with the same product, in
    their order. Products without an id are compared with no other.

    Proposals of several sizes can show a product and its label: both are found as that product.
    """
    kept = list[int]()
    for place in np.argsort(-scores, kind="stable").tolist():
        same = [other for other in kept if products[place] and products[other] == products[place]]
        if same and (_shares_of_smaller(boxes[[place]], boxes[same]) > SAME_PRODUCT).any():
            continue
        kept.append(place)
    return sorted(kept)


def reading_order(boxes: Boxes) -> list[int]:
    """Return the places of the boxes row by row from the top, each row from the left.

    A box belongs to the row whose first box covers the height of its middle.
    """
    rows = list[list[int]]()
    spans = list[tuple[float, float]]()
    middles = boxes[:, [1, 3]].mean(axis=1)
    for place in np.argsort(middles, kind="stable").tolist():
        if spans and spans[-1][0] <= middles[place] <= spans[-1][1]:
            rows[-1].append(place)
            continue
        rows.append([place])
        spans.append((float(boxes[place, 1]), float(boxes[place, 3])))
    return [place for row in rows for place in sorted(row, key=lambda each: boxes[each, 0])]


def _shares_of_smaller(one: Boxes, others: Boxes) -> Scores:
    """Return the share of the smaller of two boxes that both have, [n], for a box [1, 4] and others
    [n, 4]."""
    smaller = np.minimum(_areas(one), _areas(others))
    return np.asarray(_shared(one, others)[0] / np.maximum(smaller, _TINY))


def _shared(first: Boxes, second: Boxes) -> Boxes:
    """Return the area of the intersection of each pair, [n, m]."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(high - low, 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def _areas(boxes: Boxes) -> Boxes:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
