"""Objects in photos, from the maps of a network that sees an object from its middle: score, and
distances to its four sides (Tian et al., FCOS: Fully Convolutional One-Stage Object Detection,
2019)."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from embedder.domain.items import Vectors
from embedder.domain.photos import LEAST_BOX, Box
from sightline_rules.detections import merged

MAPS: Final = 5
"""Maps of the model: score of a middle, logarithms of the distances to the left, top, right and
bottom side; the last four in steps of the maps."""
LEAST_SCORE: Final = 0.6
"""Score from which a place is an object (`python -m lab detect`)."""
MOST_OBJECTS: Final = 300
SMALL: Final = 1 / 16
"""Shorter side of an object, as a share of the photo's longer side, below which the built-in model
begins to miss some (lab/research/detect.md)."""
_MOST_PLACES: Final = 4_000
"""Places that are compared with one another, the best ones."""
_MOST_LOG: Final = 6.0


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object in a photo."""

    box: Box
    score: float
    """LEAST_SCORE to 1."""
    side: float = 1.0
    """Its shorter side, as a share of the photo's longer side. 1 for a given box."""


def objects(maps: Vectors, ratio: float) -> list[FoundObject]:
    """Return the objects in a photo, highest score first, at most one more than MOST_OBJECTS.

    `maps`: float32 [MAPS, side, side], finite, of the photo padded to a square. `ratio`: the
    photo's width divided by its height. Boxes are fractions of the photo's sides.
    """
    side = maps.shape[-1]
    scores, *logs = maps.reshape(MAPS, -1)
    places = np.flatnonzero(scores >= LEAST_SCORE)
    places = places[np.argsort(-scores[places], kind="stable")][:_MOST_PLACES]
    rows, columns = np.divmod(places, side)
    left, top, right, bottom = np.exp(np.clip(np.stack(logs)[:, places], -_MOST_LOG, _MOST_LOG))
    x, y = columns + 0.5, rows + 0.5
    corners = np.stack([x - left, y - top, x + right, y + bottom], axis=1) / side
    return _in_photo(corners, scores[places], ratio)


def are_small(found: Sequence[FoundObject]) -> bool:
    """Return whether half of the objects are so small that others were probably missed."""
    return bool(found) and median(each.side for each in found) < SMALL


def boxed_objects(rows: Vectors, ratio: float) -> list[FoundObject]:
    """Return the objects of a model that returns boxes, as `objects` does.

    `rows`: float32 [n, 5], finite: left, top, right and bottom as shares of the square, and the
    score; 0: no object.
    """
    there = rows[rows[:, 4] > 0]
    return _in_photo(there[:, :4], there[:, 4], ratio)


def _in_photo(corners: Vectors, scores: Vectors, ratio: float) -> list[FoundObject]:
    """Return boxes of the square, of several of one object the best, as shares of the photo."""
    boxes, found = merged(corners, scores.clip(0, 1), MOST_OBJECTS + 1)
    # What the photo covers of the square's sides.
    share = np.array([min(ratio, 1.0), min(1 / ratio, 1.0)] * 2)
    sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
    shown = ((boxes - (1 - share) / 2) / share).clip(0, 1)
    return [
        FoundObject(Box(*map(float, box)), float(score), float(side))
        for box, score, side in zip(shown, found, sides, strict=True)
        if min(box[2] - box[0], box[3] - box[1]) >= LEAST_BOX
    ]
