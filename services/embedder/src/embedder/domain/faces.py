"""Faces in photos, from the maps of a detector that sees a face as its centre (Xu et al.,
CenterFace: Joint Face Detection and Alignment Using Face as Point, 2019)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from embedder.domain.items import Vectors
from embedder.domain.photos import Box

MAPS: Final = 5
"""Maps of the model: probability of a centre, logarithms of height and width, offsets down and
right; the last four in steps of the maps."""
LEAST_SCORE: Final = 0.35
"""Probability from which a place is a face (`python -m lab faces`)."""
MOST_OVERLAP: Final = 0.3
"""Intersection by union of two faces, above which they are one: that of the paper's evaluation."""
MOST_FACES: Final = 200
_MOST_PLACES: Final = 2_000
"""Places that are compared with one another, the most probable ones."""
_MOST_LOG: Final = 10.0


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a photo."""

    box: Box
    score: float
    """Probability that it is a face, above LEAST_SCORE, at most 1."""


def faces(maps: Vectors, ratio: float) -> list[Face]:
    """Return the faces in a photo, the most probable first, at most MOST_FACES.

    `maps`: float32 [MAPS, side, side], finite, of the photo padded to a square. `ratio`: the
    photo's width divided by its height. Boxes are fractions of the photo's sides.
    """
    side = maps.shape[-1]
    heat, heights, widths, down, right = maps.reshape(MAPS, -1)
    places = np.flatnonzero(heat > LEAST_SCORE)
    places = places[np.argsort(-heat[places], kind="stable")][:_MOST_PLACES]
    rows, columns = np.divmod(places, side)
    centres = np.stack([columns + right[places], rows + down[places]], axis=1) + 0.5
    sizes = np.exp(np.minimum(np.stack([widths[places], heights[places]], axis=1), _MOST_LOG))
    corners = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1) / side
    kept = _apart(corners)
    shown = _in_photo(corners[kept], ratio)
    return [
        Face(Box(*map(float, box)), float(heat[places[place]]))
        for place, box in zip(kept, shown, strict=True)
        if box[0] < box[2] and box[1] < box[3]
    ]


def _apart(corners: npt.NDArray[np.float64]) -> list[int]:
    """Return the places of boxes that overlap no earlier one, by greedy suppression."""
    kept = list[int]()
    areas = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    left = np.arange(len(corners))
    while len(left) and len(kept) < MOST_FACES:
        first, left = left[0], left[1:]
        kept.append(int(first))
        low = np.maximum(corners[left, :2], corners[first, :2])
        high = np.minimum(corners[left, 2:], corners[first, 2:])
        both = np.prod(np.maximum(high - low, 0), axis=1)
        left = left[both <= MOST_OVERLAP * (areas[left] + areas[first] - both)]
    return kept


def _in_photo(corners: npt.NDArray[np.float64], ratio: float) -> npt.NDArray[np.float64]:
    """Return boxes in a square as boxes in the photo in its middle, cut off at its edges."""
    # What the photo covers of the square's sides.
    share = np.array([min(ratio, 1.0), min(1 / ratio, 1.0)] * 2)
    shown: npt.NDArray[np.float64] = (corners - (1 - share) / 2) / share
    return shown.clip(0, 1)
