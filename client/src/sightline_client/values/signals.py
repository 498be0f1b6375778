"""Signals of a request: parts of photos, and negative signals."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sightline_client.values.photos import Photo

AWAY_WEIGHT = 0.5
"""Default weight of negative signals; docs/integrate/signals.md gives the reason."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in an upright photo, in fractions of its width and height."""

    left: float
    """Left edge, 0 to 1, as are all edges."""
    top: float
    right: float
    """Above ``left``."""
    bottom: float
    """Above ``top``."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Main subject of a photo."""

    box: Box
    """Rectangle that was embedded."""
    alternatives: tuple[Box, ...]
    """Other candidate rectangles, most salient first: to use one, repeat the request with it as the
    box."""


@dataclass(frozen=True, slots=True)
class PhotoPoint:
    """A point in an upright photo, as fractions of its width and height from the top left."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class LabelLine:
    """A line of text that was read in a photo."""

    text: str
    confidence: float
    """Mean probability of its characters, 0.6 to 1."""
    corners: tuple[PhotoPoint, ...]
    """Top left, top right, bottom right, bottom left."""


@dataclass(frozen=True, slots=True)
class Unlike:
    """Photos, texts and products to be far from: ``Unlike(texts="leather")``."""

    images: "Iterable[Photo]" = ()
    texts: str | Iterable[str] = ()
    products: str | Iterable[str] = ()
    weight: float = AWAY_WEIGHT
    """Weight of each, relative to 1 for positive signals; up to 100."""
