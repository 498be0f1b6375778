"""Products found in a photo: request, objects, answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from sightline_rules.photo_products import (
    DEFAULT_DETECTIONS,
    MIN_PROBABILITY,
    MOST_HEAT_MAPS,
    Detection,
    RegionMatches,
)


class CallersFilter(Protocol):
    """A filter of a caller, as its message: the retriever checks and evaluates it."""

    def SerializeToString(self) -> bytes:  # noqa: N802
        """Return it as bytes."""


class FoundRow(Protocol):
    """A product as currently stored, as its message."""

    product_id: str


@dataclass(frozen=True, slots=True)
class SentPhoto:
    """A photo, or its address: one of the two. Never logged."""

    image: bytes = field(default=b"", repr=False)
    uri: str = field(default="", repr=False)
    name: str = "image"
    """Name of the request's field: image, image_uri or, where neither is given, photo."""


@dataclass(frozen=True, slots=True)
class HeatMapChoice:
    """Detections that get a heat map."""

    product_ids: tuple[str, ...] = ()
    """Their products; empty: all."""
    max_heat_maps: int = 0
    """Maximum number of heat maps, as given; 0: MOST_HEAT_MAPS."""

    @property
    def most(self) -> int:
        """Maximum number of heat maps."""
        return self.max_heat_maps or MOST_HEAT_MAPS


@dataclass(frozen=True, slots=True)
class DetectionQuery:
    """Request of DetectProducts. Limits are those of the message; see detection/validate.py."""

    catalog_id: str
    photo: SentPhoto
    filter: CallersFilter | None = None
    min_probability: float = MIN_PROBABILITY
    max_detections: int = 0
    """Maximum number of detections, as given; 0: DEFAULT_DETECTIONS."""
    priority: int = 0
    heat_maps: HeatMapChoice | None = None
    """Heat maps to draw; None: none."""

    @property
    def most(self) -> int:
        """Maximum number of detections."""
        return self.max_detections or DEFAULT_DETECTIONS


class DegradationCause(StrEnum):
    """Cause of a degradation, as in Degradation.Cause without its prefix."""

    EMBEDDER_UNAVAILABLE = "EMBEDDER_UNAVAILABLE"
    INDEX_UNAVAILABLE = "INDEX_UNAVAILABLE"
    RETRIEVER_UNAVAILABLE = "RETRIEVER_UNAVAILABLE"
    RANKER_UNAVAILABLE = "RANKER_UNAVAILABLE"
    SPACE_UNAVAILABLE = "SPACE_UNAVAILABLE"
    STAGE_DEADLINE = "STAGE_DEADLINE"


@dataclass(frozen=True, slots=True)
class Degradation:
    """A part that the answer lacks, and its substitute."""

    stage: str
    cause: DegradationCause
    substitute: str = ""


@dataclass(frozen=True, slots=True)
class IndexedSpace:
    """A version of the visual space in the index."""

    space: str
    version: str
    generation: str


@dataclass(frozen=True, slots=True)
class SearchedRegion:
    """The products nearest to an object."""

    matches: RegionMatches
    space: IndexedSpace
    degradations: tuple[Degradation, ...] = ()
    """Degradations that the retriever reports."""


@dataclass(frozen=True, slots=True)
class PlannedProducts:
    """Products of a plan that detections can show, and why others can't be shown."""

    created_days: Mapping[str, int]
    """By product: the day on which the catalog first stored it, in days since 1970 (UTC)."""
    missing: frozenset[str] = frozenset()
    """Products that are not in the catalog."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """By product that does not pass the filter: the condition that it fails, in words."""


@dataclass(frozen=True, slots=True)
class StoredProduct:
    """A product as currently stored."""

    product_id: str
    created_day: int
    """Day on which the catalog first stored it, in days since 1970 (UTC)."""
    row: FoundRow


@dataclass(frozen=True, slots=True)
class DrawnHeatMap:
    """Similarity of a detection and a photo of its product, by region."""

    png: bytes
    similarity: float
    """Cosine."""
    unplaced: float
    """Part of the similarity without a position in the detection."""
    decoding_seconds: float = 0.0
    """Processor time of decoding the two photos."""


@dataclass(frozen=True, slots=True)
class ProductSales:
    """Units of a product that were sold. Days are numbered since 1970 (UTC)."""

    first_day: int = 0
    """First day with any event of interest; 0: none."""
    units: Mapping[int, int] = field(default_factory=dict)
    """By day, of the requested ones."""


@dataclass(frozen=True, slots=True)
class CountedSales:
    """Units of products that were sold on the last days."""

    first_day: int
    """First of the requested days on which the catalog has events; 0: none."""
    last_day: int
    products: Mapping[str, ProductSales]


@dataclass(frozen=True, slots=True)
class DetectionAnswer:
    """Response of DetectProducts, without its comparison with a plan."""

    detections: Sequence[Detection]
    """In reading order."""
    counts: Sequence[tuple[str, int]]
    """Products with their numbers of detections, most first."""
    products: Sequence[StoredProduct] = ()
    """The products of `counts`."""
    heat_maps: Mapping[int, DrawnHeatMap] = field(default_factory=dict)
    """By place of the detection."""
    space: IndexedSpace | None = None
    degradations: tuple[Degradation, ...] = ()
    embedded_views: int = 0
    truncated: bool = False
    small: bool = False
    """True if the objects are so small that others were probably missed."""

    @property
    def unknown_count(self) -> int:
        """Number of detections without a product."""
        return sum(not each.product_id for each in self.detections)
