"""Rectangles in photos."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PhotoArea:
    """A rectangle as fractions of the sides of an upright photo, from the top left: 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the sides in pixels of a photo of this size, at least one pixel apart."""
        left = min(int(self.left * width), width - 1)
        top = min(int(self.top * height), height - 1)
        right = max(left + 1, min(round(self.right * width), width))
        return left, top, right, max(top + 1, min(round(self.bottom * height), height))
