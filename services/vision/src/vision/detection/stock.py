"""Quantities to reorder, from units on the shelf and units sold.

Units sold on a day are taken as Poisson with an unknown rate; the rate's posterior after `days`
days with `sold` units is Gamma(sold + 1/2, days), by Jeffreys' prior. The demand until a reorder
arrives is then negative binomial (Gelman et al. 2013, "Bayesian Data Analysis", 2.6). Where the
units of single days vary more than Poisson counts, by a factor above 1, counts are divided by it
first (quasi-likelihood, McCullagh and Nelder 1989), which makes the demand's variance as much
larger.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import NormalDist, fmean, variance

from servicekit.rpc.requests import RequestInvalid
from vision.domain.detections import CountedSales, ProductSales

LEAST_DAYS, LEAST_SOLD = 14, 5
"""Two weekends, and units from which on the interval says something."""
MOST_LEAD_DAYS, MOST_HISTORY_DAYS = 365.0, 366
INTERVAL = 0.95
"""Probability of the credible interval of the rate."""
MOST_SUMMED = 200.0
"""Mean demand up to which its distribution is summed up; beyond, it is expanded around a normal
distribution, whose quantiles then differ by less than a unit."""


@dataclass(frozen=True, slots=True)
class StockRequest:
    """Request for quantities to reorder."""

    lead_time_days: float = 7.0
    service_level: float = 0.95
    """Probability that the stock lasts until the reorder arrives."""
    history_days: int = 56
    """Last whole days whose sales are read."""


class StockLack(StrEnum):
    """Reason why there is no quantity, as StockSuggestion.Lack without its prefix."""

    NOTHING = "UNSPECIFIED"
    DAYS = "DAYS"
    SALES = "SALES"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class ReorderQuantity:
    """Units to reorder, and how they were calculated."""

    units: int
    low: int
    high: int
    expected: float
    safety: float


@dataclass(frozen=True, slots=True)
class StockSuggestion:
    """A quantity to reorder, or why there is none."""

    product_id: str
    on_shelf: int
    text: str
    sold: int = 0
    days: int = 0
    lack: StockLack = StockLack.NOTHING
    quantity: ReorderQuantity | None = None


@dataclass(frozen=True, slots=True)
class ShelfStock:
    """Products on a shelf whose quantities are asked for."""

    on_shelf: Mapping[str, int]
    """Units by product, in the order of the answer."""
    known_days: Mapping[str, int] = field(default_factory=dict)
    """Day on which the catalog first stored each product, in days since 1970 (UTC)."""


def checked(asked: StockRequest) -> StockRequest:
    """Return the request. Raise RequestInvalid; NaN is out of every range."""
    if not 0 < asked.lead_time_days <= MOST_LEAD_DAYS:
        problem = f"must be above 0, at most {MOST_LEAD_DAYS:g}"
        raise RequestInvalid.at("stock.lead_time_days", problem)
    if not 0.5 <= asked.service_level <= 0.999:
        raise RequestInvalid.at("stock.service_level", "must be 0.5 to 0.999")
    if not LEAST_DAYS <= asked.history_days <= MOST_HISTORY_DAYS:
        problem = f"must be {LEAST_DAYS} to {MOST_HISTORY_DAYS}"
        raise RequestInvalid.at("stock.history_days", problem)
    return asked


def suggest(
    asked: StockRequest, shelf: ShelfStock, sales: CountedSales | None
) -> Sequence[StockSuggestion]:
    """Return a suggestion for each product. `sales`: None if they can't be read."""
    return [
        _suggestion(asked, product_id, count, _daily(product_id, shelf, sales))
        if sales is not None
        else _none(product_id, count, StockLack.UNAVAILABLE, "sales are not available now")
        for product_id, count in shelf.on_shelf.items()
    ]


def _daily(product_id: str, shelf: ShelfStock, sales: CountedSales | None) -> Sequence[int]:
    """Return the units sold on each observed day: those with events since the product exists."""
    if sales is None or not sales.last_day:
        return ()
    known = sales.products.get(product_id, ProductSales())
    exists = [day for day in (known.first_day, shelf.known_days.get(product_id)) if day]
    first = max(sales.first_day, min(exists, default=sales.last_day + 1))
    return [known.units.get(day, 0) for day in range(first, sales.last_day + 1)]


def _none(
    product_id: str, on_shelf: int, lack: StockLack, text: str, daily: Sequence[int] = ()
) -> StockSuggestion:
    return StockSuggestion(
        product_id, on_shelf, f"no quantity: {text}", sum(daily), len(daily), lack
    )


def _suggestion(
    asked: StockRequest, product_id: str, on_shelf: int, daily: Sequence[int]
) -> StockSuggestion:
    if len(daily) < LEAST_DAYS:
        text = f"not enough data: {len(daily)} days with events, of at least {LEAST_DAYS}"
        return _none(product_id, on_shelf, StockLack.DAYS, text, daily)
    if sum(daily) < LEAST_SOLD:
        text = (
            f"not enough data: {sum(daily)} units sold in {len(daily)} days,"
            f" of at least {LEAST_SOLD}"
        )
        return _none(product_id, on_shelf, StockLack.SALES, text, daily)
    spread = max(1.0, variance(daily) / fmean(daily))
    found = quantity(asked, on_shelf, sold=sum(daily), days=len(daily), spread=spread)
    text = (
        f"{found.units} = {found.expected:.1f} expected in {asked.lead_time_days:g} days"
        f" + {found.safety:.1f} safety stock for a service level of {asked.service_level:g}"
        f" - {on_shelf} on the shelf"
        f"{', at least 0' if found.expected + found.safety < on_shelf else ''};"
        f" {found.low} to {found.high} for rates of the {INTERVAL:.0%} credible interval"
        f" (gamma-Poisson; {sum(daily)} units in {len(daily)} days,"
        f" variance {spread:.1f} times that of Poisson)"
    )
    return StockSuggestion(product_id, on_shelf, text, sum(daily), len(daily), quantity=found)


def quantity(
    asked: StockRequest, on_shelf: int, *, sold: int, days: int, spread: float
) -> ReorderQuantity:
    """Return the quantity for units sold in that many days, with their variance as a multiple of
    that of Poisson."""
    shape = sold / spread + 0.5
    mean = spread * shape / days * asked.lead_time_days
    demand = demand_quantile(asked.service_level, mean, spread - 1 + mean / shape)
    low, high = (
        demand_quantile(
            asked.service_level,
            spread * gamma_quantile(level, shape) / days * asked.lead_time_days,
            spread - 1,
        )
        for level in ((1 - INTERVAL) / 2, (1 + INTERVAL) / 2)
    )
    return ReorderQuantity(
        max(demand - on_shelf, 0),
        max(low - on_shelf, 0),
        max(high - on_shelf, 0),
        mean,
        demand - mean,
    )


def gamma_quantile(level: float, shape: float) -> float:
    """Return a quantile of the gamma distribution of rate 1, by Wilson and Hilferty (1931); within
    3% for a shape of 3 or more."""
    normal = NormalDist().inv_cdf(level)
    return shape * max(1 - 1 / (9 * shape) + normal / (3 * math.sqrt(shape)), 0.0) ** 3


def demand_quantile(level: float, mean: float, excess: float) -> int:
    """Return the smallest demand that is not exceeded with a probability of `level`.

    The demand is negative binomial, with a variance of mean × (1 + excess); Poisson if `excess` is
    0.
    """
    if mean > MOST_SUMMED:
        return _expanded(level, mean, excess)
    # The parameter p of the distribution, and its shape; Poisson is the limit of a large shape.
    shape = mean / max(excess, 1e-9)
    more = mean / (shape + mean)
    chance = math.exp(-shape * math.log1p(mean / shape))
    total, units = chance, 0
    while total < level:
        chance *= (shape + units) * more / (units + 1)
        units += 1
        total += chance
    return units


def _expanded(level: float, mean: float, excess: float) -> int:
    """Return the quantile by the expansion of Cornish and Fisher (1938) to the skewness."""
    deviation = math.sqrt(mean * (1 + excess))
    skewness = (1 + 2 * excess) / deviation
    normal = NormalDist().inv_cdf(level)
    return math.ceil(mean + deviation * (normal + skewness * (normal**2 - 1) / 6) - 0.5)
