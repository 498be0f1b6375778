"""Faces in photos, and what a catalog does about them."""

from dataclasses import dataclass
from enum import StrEnum


class FacePolicy(StrEnum):
    """Treatment of a photo with faces before it is stored."""

    LEFT = "left"
    """It is stored as it is; faces are not searched."""
    BLURRED = "blurred"
    """Its faces are blurred."""
    REFUSED = "refused"
    """It is rejected with FACE_IN_PHOTO."""


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A rectangle as fractions of the sides of an upright photo, from the top left: 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float
