"""Products found in a photo, as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass

from sightline_client.values.answers import Degradation, SpaceVersion, StageTiming
from sightline_client.values.catalog import Product
from sightline_client.values.shelf_plans import PlanComparison, StockSuggestion
from sightline_client.values.signals import ProductDetection


@dataclass(frozen=True, slots=True)
class ProductCount:
    """Number of detections of a product."""

    product_id: str
    count: int
    """Number of detections, at least 1."""


@dataclass(frozen=True, slots=True)
class Detections:
    """The products in a photo."""

    detections: tuple[ProductDetection, ...]
    """Detections in reading order: from the top, those beside one another from the left. Empty if
    the photo shows none."""
    counts: tuple[ProductCount, ...]
    """Number of detections of each product, most first."""
    unknown_count: int
    """Number of detections without a product."""
    products: tuple[Product, ...]
    """The products of ``counts``, as currently stored, in their order; then those of the plan that
    were not found."""
    space: SpaceVersion | None
    """Space in which the detections were searched, with the index generation."""
    degradations: tuple[Degradation, ...]
    """Degradations. Empty if there are none."""
    stage_timings: tuple[StageTiming, ...]
    """Durations of the stages: "embed", "retrieve", "hydrate" and "heat_maps"."""
    truncated: bool
    """True if the photo shows more than ``max_detections``: the most probable ones are returned,
    and counts are too low."""
    small_objects: bool
    """True if half of the objects found have a shorter side below 1/16 of the photo's longer side:
    the built-in model misses some of this size, so counts may be too low. Send photos of parts of
    the shelf."""
    plan_comparison: PlanComparison | None
    """Comparison with the request's ``plan``. None without one."""
    stock_suggestions: tuple[StockSuggestion, ...]
    """If the request has ``stock``, a suggestion for each product that was planned or found, in the
    order of the plan, then of ``counts``."""
    request_id: str
    """Id of this request in logs."""
