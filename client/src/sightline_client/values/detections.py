"""Products found in a photo, as plain values."""

from dataclasses import dataclass

from sightline_client.values.answers import Degradation, SpaceVersion, StageTiming
from sightline_client.values.products import Product
from sightline_client.values.shelf_plans import PlanComparison, StockSuggestion
from sightline_client.values.signals import ProductDetection


@dataclass(frozen=True, slots=True)
class HeatMapOptions:
    """Detections that get a heat map."""

    product_ids: tuple[str, ...] = ()
    """Their products, up to 20; () = all."""
    max_heat_maps: int = 0
    """Maximum number of heat maps, 1 to 20; 0 = 20. The first detections get them."""


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
    small_objects: bool
    """True if the objects are so small that others were probably missed."""
    plan_comparison: PlanComparison | None
    """Comparison with the request's plan; None without one."""
    stock_suggestions: tuple[StockSuggestion, ...]
    """Quantities to reorder, if requested, in the order of the plan, then of ``counts``."""
    request_id: str
