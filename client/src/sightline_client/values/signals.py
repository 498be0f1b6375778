"""Signals of a request: parts of photos, and negative signals.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in an upright photo (after its orientation is applied), in fractions of the
    photo's width and height: 0 ≤ left < right ≤ 1 from the left edge, 0 ≤ top < bottom ≤ 1 from the
    top edge."""

    left: float
    """Left edge, 0 to 1."""
    top: float
    """Top edge, 0 to 1."""
    right: float
    """Right edge, 0 to 1, greater than ``left``."""
    bottom: float
    """Bottom edge, 0 to 1, greater than ``top``."""


@dataclass(frozen=True, slots=True)
class PhotoPoint:
    """A point in an upright photo, in fractions of the photo's width and height from its top
    left."""

    x: float
    """From the left edge, 0 to 1."""
    y: float
    """From the top edge, 0 to 1."""


@dataclass(frozen=True, slots=True)
class AlternativeProduct:
    """Another product that a detection may show."""

    product_id: str
    similarity: float
    """Similarity: cosine, −1 to 1."""


@dataclass(frozen=True, slots=True)
class DetectionHeatMap:
    """Parts of a detection that make it similar to a photo of its product."""

    png: bytes = field(repr=False)
    """The picture (PNG). The detection is above, whole on white and its middle; the product's photo
    ``matched_image_id`` is below, as the model sees it. Orange regions increase the similarity,
    blue ones decrease it; the intensity shows how much. In each photo the contributions of the
    regions sum to the similarity, less those without a position."""
    similarity: float
    """Cosine of the detection and the product's photo, −1 to 1. It may differ a little from the
    detection's ``similarity``, as of facings that look alike one is searched for all."""
    unplaced: float
    """Part of the similarity that has no position in the detection, such as overall colour. In the
    unit of the similarity; may be negative."""


@dataclass(frozen=True, slots=True)
class LabelLine:
    """A line of text that was read in a photo."""

    text: str
    """The text, at most 128 bytes of UTF-8. It may have errors: small, blurred and ornate letters
    are misread."""
    confidence: float
    """Mean probability of its characters, by the model: at least 0.6, at most 1."""
    corners: tuple[PhotoPoint, ...]
    """The line's corners, always 4: top left, top right, bottom right, bottom left."""


@dataclass(frozen=True, slots=True)
class ProductDetection:
    """A place of a photo that shows a product."""

    box: Box
    """The rectangle."""
    product_id: str
    """Product of the catalog. Empty: none is probable enough, so the detection is an object that is
    not in the catalog, or that can't be told from other products."""
    probability: float
    """Probability, 0 to 1, that the detection shows the nearest product, which is ``product_id`` or
    the first of the alternatives. Calibrated on composites of groceries; see
    docs/integrate/detect.md."""
    similarity: float
    """Similarity to the nearest product: cosine, −1 to 1."""
    alternatives: tuple[AlternativeProduct, ...]
    """The next products, nearest first, at most 3. Without a ``product_id`` they begin with the
    nearest."""
    matched_image_id: str
    """Photo of the nearest product that matched best."""
    objectness: float
    """Score, 0 to 1, by which the rectangle shows one object, without knowledge of products."""
    heat_map: DetectionHeatMap | None
    """Heat map of the detection, if the request has ``heat_maps``. None for a detection without a
    product or beyond the maximum number, if the product's photo was deleted meanwhile, and if it
    could not be drawn, which ``degradations`` reports."""
