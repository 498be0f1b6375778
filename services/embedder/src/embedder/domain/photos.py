"""Photos, and views of them."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
import numpy.typing as npt

MAX_VIEWS = 4
CROPS = 2
"""Number of crops of a photo: views after these are their mirror images, in the same order."""
LEAST_BOX = 0.01
"""Minimum share of each of the photo's sides that a box covers."""

Pixels = npt.NDArray[np.uint8]


class PartView(StrEnum):
    """A view of one of several boxes of a photo."""

    WHOLE = "whole"
    """The box in the middle of a white square."""
    MIDDLE = "middle"
    """The middle of the box, cut as a photo of its own."""


PART_VIEWS = tuple(PartView)
"""Views of each box, unless some are chosen."""


class Camera(IntEnum):
    """The camera of a photo, as the number that fitted models take."""

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
class PhotoView:
    """The part of a photo to embed, and the number of views."""

    views: int = 1
    """1 to MAX_VIEWS: a wide crop, a narrow crop, and the mirror image of each."""
    box: Box = WHOLE
    camera: Camera = Camera.SHOPPER
    """The photo's camera, which its limits depend on."""
    parts: tuple[Box, ...] = ()
    """Boxes to show instead, each in `part_views`."""
    part_views: tuple[PartView, ...] = PART_VIEWS
    """Views of each of `parts`, in the order of PartView; at least one."""


@dataclass(frozen=True, slots=True)
class PreparedPhoto:
    """A photo as a model takes it."""

    pixels: Pixels
    """uint8 RGB [views, side, side, 3]."""
    ratio: float = 1.0
    """Width of the upright photo divided by its height."""
