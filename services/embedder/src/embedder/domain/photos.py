"""Photos, and which part of one is looked at."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

MAX_VIEWS = 4
LEAST_BOX = 0.01
"""Fraction of each of the photo's sides that a box has at least."""

Pixels = npt.NDArray[np.uint8]


class Camera(IntEnum):
    """Which camera a photo is from; the number that fitted models take."""

    SHOPPER = 0
    CATALOGUE = 1


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in a photo that stands upright, as fractions of its width and height:
    0 ≤ left < right ≤ 1 from the left edge, 0 ≤ top < bottom ≤ 1 from the top edge."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE = Box(0.0, 0.0, 1.0, 1.0)
"""All of a photo."""


@dataclass(frozen=True, slots=True)
class PhotoSubject:
    """What a photo shows most of, as found without knowing any product."""

    box: Box
    alternatives: tuple[Box, ...] = ()
    """Other rectangles that may be meant, the most salient first; at most 3."""


@dataclass(frozen=True, slots=True)
class PhotoView:
    """Which part of a photo is looked at, and how often."""

    views: int = 1
    """1 to MAX_VIEWS: a wide crop, its mirror image, a narrow crop, its mirror image."""
    box: Box = WHOLE
    find: bool = False
    """Whether to look for the subject, and at that."""


@dataclass(frozen=True, slots=True)
class PreparedPhoto:
    """A photo as a model takes it."""

    pixels: Pixels
    """uint8 RGB [views, side, side, 3]."""
    subject: PhotoSubject | None = None
    """What was found, if it was looked for."""
