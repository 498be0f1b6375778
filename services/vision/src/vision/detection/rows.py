"""Rows of a shelf, found from the rectangles of its products.

Products of a row stand on one board, so the lower edges of their rectangles lie on one line,
however tall they are. In a photo from the side, or a tilted one, this line is not level: its slope
is estimated from neighbours and subtracted.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from sightline_rules.photo_areas import PhotoArea

ROW_GAP = 0.4
"""Distance of lower edges from which on two products stand in different rows, as a share of the
smaller one's height."""
NEIGHBOUR_OVERLAP = 0.5
"""Common height of neighbours in a row, as a share of the smaller one's."""

ShelfRows = Sequence[Sequence[int]]
"""Indexes of rectangles: rows from the top, the rectangles of a row from the left."""


def rows_of(boxes: Sequence[PhotoArea]) -> ShelfRows:
    """Group rectangles by row. Products that stand on others form a row of their own."""
    slope = _slope(boxes)
    edges = [box.bottom - slope * middle(box) for box in boxes]
    order = sorted(range(len(boxes)), key=lambda place: (edges[place], boxes[place].left, place))
    rows: list[list[int]] = [[place] for place in order[:1]]
    for former, place in pairwise(order):
        least = min(_height(boxes[former]), _height(boxes[place]))
        if edges[place] - edges[former] > ROW_GAP * least:
            rows.append([])
        rows[-1].append(place)
    return [sorted(row, key=lambda place: (middle(boxes[place]), place)) for row in rows]


def middle(box: PhotoArea) -> float:
    """Return the horizontal middle of a rectangle."""
    return (box.left + box.right) / 2


def _height(box: PhotoArea) -> float:
    return box.bottom - box.top


def _slope(boxes: Sequence[PhotoArea]) -> float:
    """Return by how much lower edges descend over the width of the photo; 0 if unknown."""
    found = [
        (other.bottom - one.bottom) / (middle(other) - middle(one))
        for one, other in _neighbours(boxes)
    ]
    return median(found) if found else 0.0


def _neighbours(boxes: Sequence[PhotoArea]) -> Iterator[tuple[PhotoArea, PhotoArea]]:
    """Yield each rectangle with the next one on its right at about the same height."""
    order = sorted(boxes, key=lambda box: (box.left, box.top))
    for place, one in enumerate(order):
        beside = (other for other in order[place + 1 :] if _beside(one, other))
        other = min(beside, key=middle, default=None)
        if other is not None:
            yield one, other


def _beside(one: PhotoArea, other: PhotoArea) -> bool:
    """Return whether another rectangle is right of one, at about the same height."""
    common = min(one.bottom, other.bottom) - max(one.top, other.top)
    least = min(_height(one), _height(other))
    return middle(other) > one.right and common >= NEIGHBOUR_OVERLAP * least
