"""Revenue and margin of an experiment's units. Pure.

Purchases of one unit depend on each other, and on its impressions: money is summed by unit, and the
variance is that between units. A ratio to impressions has the variance of its linear approximation
(delta method): that of the units' `money − ratio × impressions`, ÷ the squared mean of impressions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ranker.domain.experiments import (
    IMPRESSION_MARGIN,
    IMPRESSION_REVENUE,
    MARGIN,
    REVENUE,
    MetricSample,
)
from ranker.domain.online import Moments


@dataclass(frozen=True, slots=True)
class KnownOffer:
    """Current price and cost of a product in an experiment's currency; `None` if unknown."""

    price: float | None
    cost: float | None


NO_OFFER = KnownOffer(None, None)


@dataclass(frozen=True, slots=True)
class UnitPurchase:
    """Pieces of a product that a unit bought at one price."""

    actor: str
    arm: str
    impressions: int
    """Impressions of the unit, the same in all of its purchases."""
    product_id: str
    price: float | None
    """Price of the events in the experiment's currency; `None`: none, or in another currency."""
    priced: bool
    """True if the events have a price, in any currency."""
    pieces: int


@dataclass(frozen=True, slots=True)
class RatioMoments:
    """Moments of pairs of values, for the ratio of their sums."""

    count: int
    total: float
    squares: float
    """Sum of the squares of the numerators."""
    below: Moments
    """Denominators."""
    products: float
    """Sum of numerator × denominator."""

    @property
    def mean(self) -> float:
        """The ratio; 0 without a denominator."""
        return self.total / self.below.total if self.below.total else 0.0

    @property
    def variance(self) -> float:
        """Variance of a unit by the delta method; 0 of fewer than two units."""
        if self.count < 2 or not self.below.total:
            return 0.0
        ratio = self.mean
        rest = self.squares - 2 * ratio * self.products + ratio * ratio * self.below.squares
        return max(rest, 0.0) / (self.count - 1) / self.below.mean**2


@dataclass(slots=True)
class _UnitMoney:
    impressions: int
    revenue: float = 0.0
    margin: float = 0.0


@dataclass(slots=True)
class ArmMoney:
    """Money of an arm's units."""

    units: dict[str, _UnitMoney] = field(default_factory=dict)
    """Money by unit, of units that bought anything."""
    unpriced: int = 0
    """Pieces without a known price, which count 0 in revenue."""
    uncosted: int = 0
    """Pieces without a known price or cost, which count 0 in margin."""

    def add(self, bought: UnitPurchase, offer: KnownOffer) -> None:
        """Add a purchase."""
        unit = self.units.setdefault(bought.actor, _UnitMoney(bought.impressions))
        price = bought.price if bought.priced else offer.price
        if price is None:
            self.unpriced += bought.pieces
        else:
            unit.revenue += price * bought.pieces
        if price is None or offer.cost is None:
            self.uncosted += bought.pieces
        else:
            unit.margin += (price - offer.cost) * bought.pieces

    def samples(self, impressions: Moments, *, costed: bool) -> Mapping[str, MetricSample]:
        """Return the metrics of money; `impressions`: of all units of the arm. `costed`: costs of
        some products are known."""
        names = {REVENUE: IMPRESSION_REVENUE} | ({MARGIN: IMPRESSION_MARGIN} if costed else {})
        found: dict[str, MetricSample] = {}
        for name, ratio in names.items():
            pairs = [(getattr(unit, name), unit.impressions) for unit in self.units.values()]
            total = sum(value for value, _ in pairs)
            squares = sum(value * value for value, _ in pairs)
            found[name] = Moments(impressions.count, total, squares)
            products = sum(value * shown for value, shown in pairs)
            found[ratio] = RatioMoments(impressions.count, total, squares, impressions, products)
        return found


def money_by_arm(
    purchases: Iterable[UnitPurchase], offers: Mapping[str, KnownOffer]
) -> Mapping[str, ArmMoney]:
    """Return the money of each arm whose units bought anything."""
    found: dict[str, ArmMoney] = {}
    for bought in purchases:
        offer = offers.get(bought.product_id, NO_OFFER)
        found.setdefault(bought.arm, ArmMoney()).add(bought, offer)
    return found
