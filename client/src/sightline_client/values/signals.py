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
    """A rectangle within a photo that stands upright, in fractions of its width and height."""

    left: float
    """0 to 1, as are all."""
    top: float
    right: float
    """Above ``left``."""
    bottom: float
    """Above ``top``."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Main subject of a photo."""

    box: Box
    """What was looked at."""
    alternatives: tuple[Box, ...]
    """What else may be meant, the most salient first: ask again with one of them as the box."""


@dataclass(frozen=True, slots=True)
class Unlike:
    """Photos, texts and products to be far from: ``Unlike(texts="leather")``."""

    images: "Iterable[Photo]" = ()
    texts: str | Iterable[str] = ()
    products: str | Iterable[str] = ()
    weight: float = AWAY_WEIGHT
    """How much each counts against what is wanted, which counts 1; up to 100."""
