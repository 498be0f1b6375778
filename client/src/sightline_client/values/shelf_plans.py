"""Plans of shelves, comparisons of photos with them, and quantities to reorder, as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from enum import StrEnum

from sightline_client.values.signals import Box


@dataclass(frozen=True, slots=True)
class StockOptions:
    """Request for quantities to reorder."""

    lead_time_days: float = 7.0
    """Time in days until a reorder stands on the shelf, above 0, at most 365. Default: 7."""
    service_level: float = 0.95
    """Probability, 0.5 to 0.999, that the stock lasts until then. Default: 0.95."""
    history_days: int = 56
    """Number of last whole days (UTC) whose purchases are read, 14 to 366. Default: 56."""


class PlanFindingKind(StrEnum):
    """Outcome of the comparison."""

    UNSPECIFIED = "UNSPECIFIED"
    """Not set, or a value that this client is too old to know."""
    PRESENT = "PRESENT"
    """The product stands where it is planned."""
    MISSING = "MISSING"
    """No detection fills the planned facing."""
    SURPLUS = "SURPLUS"
    """More facings of the product than are planned, or a product that is not planned."""
    MISPLACED = "MISPLACED"
    """The product is planned in another row, or outside of this part of the photo, where one is
    missing."""
    OUT_OF_ORDER = "OUT_OF_ORDER"
    """The product stands in its row, but not between the neighbours that are planned: it is not
    part of the longest sequence that row and plan have in common."""
    UNIDENTIFIED = "UNIDENTIFIED"
    """The detection has no product: an object that is not in the catalog, or that can't be told
    from other products."""


@dataclass(frozen=True, slots=True)
class PlanCount:
    """Facings of a product, counted by the outcome of the comparison. ``planned`` is the sum of
    ``present``, ``misplaced``, ``out_of_order`` and ``missing``; the number of detections is the
    sum of all but ``missing``."""

    product_id: str
    planned: int
    """Number of planned facings."""
    present: int
    """Number of facings that stand where they are planned."""
    missing: int
    """Number of planned facings without a detection."""
    surplus: int
    """Number of detections beyond the planned facings."""
    misplaced: int
    """Number of facings in another row, or outside of the planned part of the photo."""
    out_of_order: int
    """Number of facings in their row, but not in the planned order."""


class StockLack(StrEnum):
    """Reason why there is no quantity."""

    DAYS = "DAYS"
    """Events of fewer than 14 days are known since the product exists."""
    SALES = "SALES"
    """Fewer than 5 units were sold."""
    UNAVAILABLE = "UNAVAILABLE"
    """The ranker, which counts sales, did not answer."""


@dataclass(frozen=True, slots=True)
class PlanFinding:
    """A detection or a planned facing, compared."""

    kind: PlanFindingKind
    """Outcome."""
    product_id: str
    """The product. Empty for UNIDENTIFIED."""
    detection: int | None
    """Index in ``detections``, from 0. None for MISSING."""
    box: Box | None
    """The detection's rectangle; for MISSING the one where the facing is expected: that of the
    plan, or the gap between its neighbours. None if unknown."""
    row: int
    """Row of the photo in which it stands or is expected, from 1. 0 if unknown."""
    planned: int | None
    """Index in the plan's ``products``, from 0, of the entry that it fills, or whose facing is
    missing here. None for SURPLUS and UNIDENTIFIED."""


@dataclass(frozen=True, slots=True)
class StockSuggestion:
    """Quantity of a product to reorder: the demand that is not exceeded with the requested
    probability until the reorder arrives, less the units on the photo. Sales are counted as
    recommenders count them, see docs/integrate/shelf-plans.md; units behind one another are not
    seen."""

    product_id: str
    on_shelf: int
    """Number of units on the photo: its detections."""
    quantity: int | None
    """Suggested quantity, at least 0. None if there are not enough data."""
    quantity_low: int | None
    """Quantities for the lowest and the highest rate of sales of the 95% credible interval. None
    without a quantity."""
    quantity_high: int | None
    """See ``quantity_low``."""
    expected_demand: float
    """Expected number of units sold until the reorder arrives. 0 without a quantity."""
    safety_stock: float
    """Units beyond the expected demand, for the requested service level. 0 without a quantity."""
    sold_units: int
    """Number of units sold in the days below."""
    observed_days: int
    """Number of days with events since the product exists, of those requested."""
    lack: StockLack | None
    """Reason why there is no quantity."""
    text: str
    """The calculation with its numbers, in English; or what is missing."""


@dataclass(frozen=True, slots=True)
class PlanComparison:
    """A photo compared with a plan. Each detection and each planned facing has one finding, except
    that a facing and the detection which fills it share one."""

    findings: tuple[PlanFinding, ...]
    """Detections in the order of ``detections``, then missing facings in the order of the plan."""
    counts: tuple[PlanCount, ...]
    """Numbers by product: those of the plan in its order, then others, most first."""
    row_count: int
    """Number of rows that were found in the photo."""
    compliance: float
    """Share of planned facings that are present, 0 to 1."""
