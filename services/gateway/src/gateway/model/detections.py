"""Products found in a photo: request, detections, answer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.model.filters import CallersFilter
from gateway.model.peers import HeatMap
from gateway.model.query import AnswerScope, Signal
from sightline_core.degradations import Degradation
from sightline_core.opaque_messages import Box, ProductRow
from sightline_core.versions import SpaceVersion, StageTiming

MOST_DETECTIONS = 300
DEFAULT_DETECTIONS = 100
MIN_PROBABILITY = 0.5
"""Default probability that a detection needs for a product."""
MOST_ALTERNATIVES = 3
MOST_HEAT_MAPS = 20
"""Maximum and default number of heat maps, and of products that are named for them."""


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
    """Request of DetectProducts. Limits are those of the message; see detect/validate.py."""

    catalog_id: str
    photo: Signal
    filter: CallersFilter | None = None
    min_probability: float = MIN_PROBABILITY
    max_detections: int = 0
    """Maximum number of detections, as given; 0: DEFAULT_DETECTIONS."""
    priority: int = 0
    heat_maps: HeatMapChoice | None = None
    """Heat maps to draw; None: none."""

    @property
    def most_heat_maps(self) -> int:
        """Maximum number of heat maps."""
        return 0 if self.heat_maps is None else min(self.heat_maps.most, self.most)

    @property
    def most(self) -> int:
        """Maximum number of detections."""
        return self.max_detections or DEFAULT_DETECTIONS

    @property
    def scope(self) -> AnswerScope:
        """Conditions on the products."""
        return AnswerScope(
            filter=self.filter, market_id="" if self.filter is None else self.filter.market_id
        )


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another product that a detection may show."""

    product_id: str
    similarity: float
    """Cosine."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A place of a photo that shows a product."""

    box: Box
    objectness: float
    product_id: str = ""
    """Empty: none is probable enough."""
    probability: float = 0.0
    """Probability that it shows the nearest product."""
    similarity: float = 0.0
    """Cosine to the nearest product."""
    alternatives: tuple[Alternative, ...] = ()
    """The next products; without a `product_id` they begin with the nearest."""
    matched_image_id: str = ""
    """Photo of the nearest product that matched best."""
    heat_map: HeatMap | None = None
    """`None` if it was not requested, or not drawn."""


@dataclass(frozen=True, slots=True)
class DetectionAnswer:
    """Response of DetectProducts."""

    detections: Sequence[Detection]
    """In reading order."""
    counts: Sequence[tuple[str, int]]
    """Products with their numbers of detections, most first."""
    rows: Sequence[ProductRow] = ()
    """The products of `counts`."""
    space: SpaceVersion | None = None
    degradations: Sequence[Degradation] = ()
    timings: Sequence[StageTiming] = ()
    truncated: bool = False
    small: bool = False
    """True if the objects are so small that others were probably missed."""

    @property
    def unknown_count(self) -> int:
        """Number of detections without a product."""
        return sum(not each.product_id for each in self.detections)


def counted(detections: Sequence[Detection]) -> list[tuple[str, int]]:
    """Return the products with their numbers of detections, most first, then by id."""
    counts = Counter(each.product_id for each in detections if each.product_id)
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))
