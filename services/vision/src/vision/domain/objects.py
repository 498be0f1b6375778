"""Objects in photos and frames, without knowledge of products."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sightline_rules.photo_areas import PhotoArea

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SeenObject:
    """An object in a photo."""

    box: PhotoArea
    vector: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    """Vector of unit length, float32 [D]; [0] if it is not needed."""
    objectness: float = 0.0
    """Score, 0 to 1, by which the box shows one object."""

    def is_in(self, box: PhotoArea | None) -> bool:
        """Return whether its middle lies in a box; None: the whole photo."""
        across, down = (self.box.left + self.box.right) / 2, (self.box.top + self.box.bottom) / 2
        return box is None or (box.left <= across < box.right and box.top <= down < box.bottom)


@dataclass(frozen=True, slots=True)
class FoundObjects:
    """The objects that were found in a photo, those with the best scores first."""

    version: str
    """Version of the visual space."""
    objects: Sequence[SeenObject]
    views: int
    """Views of them that were embedded."""
    truncated: bool = False
    """True if the photo shows more."""
    small: bool = False
    """True if they are so small that others were probably missed."""
    decoding_seconds: float = 0.0
    """Processor time of decoding the photo."""
