"""Plans of shelves, comparisons of photos with them, and quantities to reorder, as plain values."""

from dataclasses import dataclass
from enum import StrEnum

from sightline_client.values.signals import Box


@dataclass(frozen=True, slots=True)
class PlannedProduct:
    """Facings of a product that belong together, in a plan of a shelf.

    They stand anywhere, in a row, or in a part of the photo.
    """

    product_id: str
    facings: int = 1
    """Number of units beside one another as seen from the front, 1 to 300."""
    row: int = 0
    """Row, 1 to 100, 1 = the topmost; 0 = not in a row."""
    position: int = 0
    """Position among the products of the row, 1 to 300, 1 = the leftmost; 0 = after the row's
    former entries."""
    box: Box | None = None
    """Part of the photo, for a camera that does not move; None = anywhere. Not with a row."""


@dataclass(frozen=True, slots=True)
class StockOptions:
    """Lead time, service level and history of quantities to reorder."""

    lead_time_days: float = 7.0
    """Days until a reorder stands on the shelf, above 0, at most 365."""
    service_level: float = 0.95
    """Probability that the stock lasts until then, 0.5 to 0.999."""
    history_days: int = 56
    """Number of last whole days whose purchases are read, 14 to 366."""


class PlanFindingKind(StrEnum):
    """Outcome for a detection or a planned facing."""

    UNSPECIFIED = "UNSPECIFIED"
    """An outcome of a newer gateway."""
    PRESENT = "PRESENT"
    """The product stands where it is planned."""
    MISSING = "MISSING"
    """No detection fills the planned facing."""
    SURPLUS = "SURPLUS"
    """More facings than planned, or a product that is not planned."""
    MISPLACED = "MISPLACED"
    """The product is planned elsewhere, where one is missing."""
    OUT_OF_ORDER = "OUT_OF_ORDER"
    """The product stands in its row, but not between the planned neighbours."""
    UNIDENTIFIED = "UNIDENTIFIED"
    """The detection has no product of the catalog."""


@dataclass(frozen=True, slots=True)
class PlanFinding:
    """A detection or a planned facing, compared."""

    kind: PlanFindingKind
    product_id: str
    """Empty if UNIDENTIFIED."""
    detection: int | None
    """Index of the detection, from 0; None if MISSING."""
    box: Box | None
    """The detection's rectangle, or the one in which a missing facing is expected; None if
    unknown."""
    row: int
    """Row of the photo, from 1; 0 = unknown."""
    planned: int | None
    """Index, from 0, of the plan's entry that it fills, or whose facing is missing; None if
    there is none."""


@dataclass(frozen=True, slots=True)
class PlanCount:
    """Facings of a product, by outcome."""

    product_id: str
    planned: int
    present: int
    missing: int
    surplus: int
    misplaced: int
    out_of_order: int


@dataclass(frozen=True, slots=True)
class PlanComparison:
    """A photo compared with a plan."""

    findings: tuple[PlanFinding, ...]
    """Detections in their order, then missing facings in the order of the plan."""
    counts: tuple[PlanCount, ...]
    """By product: the plan's in its order, then others, most first."""
    row_count: int
    """Number of rows in the photo."""
    compliance: float
    """Share of planned facings that are present, 0 to 1."""


class StockLack(StrEnum):
    """Reason why there is no quantity."""

    DAYS = "DAYS"
    """Events of fewer than 14 days are known since the product exists."""
    SALES = "SALES"
    """Fewer than 5 units were sold."""
    UNAVAILABLE = "UNAVAILABLE"
    """Sales could not be read."""


@dataclass(frozen=True, slots=True)
class StockSuggestion:
    """Quantity of a product to reorder."""

    product_id: str
    on_shelf: int
    """Number of units on the photo."""
    quantity: int | None
    """None if there are not enough data."""
    quantity_low: int | None
    """Quantity for the lowest rate of sales of the 95% credible interval."""
    quantity_high: int | None
    """Quantity for the highest rate."""
    expected_demand: float
    """Units expected to be sold until the reorder arrives."""
    safety_stock: float
    """Units beyond, for the service level."""
    sold_units: int
    observed_days: int
    lack: StockLack | None
    text: str
    """The calculation with its numbers, or what is missing."""
