"""Signals of a request: parts of photos, and negative signals."""

from collections.abc import Iterable
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class AlternativeProduct:
    """Another product that a detection may show."""

    product_id: str
    similarity: float
    """Cosine, −1 to 1."""


@dataclass(frozen=True, slots=True)
class DetectionHeatMap:
    """Parts of a detection that make it similar to a photo of its product."""

    png: bytes = field(repr=False)
    """The picture: the detection above, whole on white and its middle; the product's photo below.
    Orange regions increase the similarity, blue ones decrease it."""
    similarity: float
    """Cosine of the detection and the photo, −1 to 1: the sum of ``unplaced`` and the contributions
    of the detection's regions."""
    unplaced: float
    """Part of the similarity without a position in the detection, such as overall colour."""


@dataclass(frozen=True, slots=True)
class ProductDetection:
    """A place of a photo that shows a product."""

    box: Box
    product_id: str
    """"" = none is probable enough: an object that is not in the catalog, or that can't be told
    from other products."""
    probability: float
    """Probability, 0 to 1, that it shows the nearest product."""
    similarity: float
    """Cosine to the nearest product, −1 to 1."""
    alternatives: tuple[AlternativeProduct, ...]
    """The next products, nearest first, at most 3; without a ``product_id`` they begin with the
    nearest."""
    matched_image_id: str
    """Photo of the nearest product that matched best."""
    objectness: float
    """Score, 0 to 1, by which the box shows one object."""
    heat_map: DetectionHeatMap | None
    """`None` if none was requested for it, or drawn."""
