"""Products found in a photo, as plain values."""

from dataclasses import dataclass, field

from sightline_client.values.answers import Degradation, SpaceVersion, StageTiming
from sightline_client.values.products import Product
from sightline_client.values.shelf_plans import PlanComparison, StockSuggestion
from sightline_client.values.signals import Box


@dataclass(frozen=True, slots=True)
class AlternativeProduct:
    """Another product that a detection may show."""

    product_id: str
    similarity: float
    """Cosine, −1 to 1."""


@dataclass(frozen=True, slots=True)
class HeatMapOptions:
    """Detections that get a heat map."""

    product_ids: tuple[str, ...] = ()
    """Their products, up to 20; () = all."""
    max_heat_maps: int = 0
    """Maximum number of heat maps, 1 to 20; 0 = 20. The first detections get them."""


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


@dataclass(frozen=True, slots=True)
class ProductCount:
    """Number of detections of a product."""

    product_id: str
    count: int


@dataclass(frozen=True, slots=True)
class Detections:
    """The products in a photo."""

    detections: tuple[ProductDetection, ...]
    """In reading order."""
    counts: tuple[ProductCount, ...]
    """Products with their numbers of detections, most first."""
    unknown_count: int
    """Number of detections without a product."""
    products: tuple[Product, ...]
    """The products of ``counts``, in their order, then those of the plan that were not found."""
    space: SpaceVersion | None
    """Space in which the detections were searched; `None` if nothing was found."""
    degradations: tuple[Degradation, ...]
    stage_timings: tuple[StageTiming, ...]
    truncated: bool
    """True if the photo shows more products than were asked for."""
    plan_comparison: PlanComparison | None
    """Comparison with the request's plan; None without one."""
    stock_suggestions: tuple[StockSuggestion, ...]
    """Quantities to reorder, if requested, in the order of the plan, then of ``counts``."""
    request_id: str
