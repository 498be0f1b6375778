"""What a request is about, beside what it wants: parts of photos, and what is not wanted."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sightline_client.values.photos import Photo

AWAY_WEIGHT = 0.5
"""How much what is not wanted counts unless said otherwise: docs/integrate/signals.md says why."""


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
class Unlike:
    """Photos, texts and products to be far from: ``Unlike(texts="leather")``."""

    images: "Iterable[Photo]" = ()
    texts: str | Iterable[str] = ()
    products: str | Iterable[str] = ()
    weight: float = AWAY_WEIGHT
    """Weight of each against what is wanted, which has 1; up to 100."""
