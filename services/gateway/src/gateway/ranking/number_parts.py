"""Parts of scores that the gateway computes: followed attributes, and numbers of a product. Pure.

Each is 0 to 1, and NaN for a product without the number::

    freshness       0.5 ^ (age in the catalog ÷ half life)
    rating          mean of the rating and `ratings` more of `rating`, ÷ 5
    stock           min(1, stock ÷ plenty)
    margin          (price − cost) ÷ price; 0 if the cost is above the price
    low_price       share of the other candidates that cost more; equal prices count half
    attribute.NAME  (value − least) ÷ (most − least), at least 0 and at most 1
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from gateway.model.scene import ATTRIBUTE, AttributeScale, NumberScales
from sightline_core.branch import BITS, Branch
from sightline_core.candidates import FusedCandidates
from sightline_core.columns import ProductColumns
from sightline_core.parts import FRESHNESS, LOW_PRICE, MARGIN, RATING, STOCK
from sightline_core.score_notes import NoteCause, ScoreNote
from sightline_rules.fast_dataclass import fast_dataclass

HOUR_MICROS = 3_600_000_000
MOST_TENTHS = 50
"""The best rating, in tenths."""


@fast_dataclass(slots=True)
class PartColumn:
    """Values of a part, and the number of products by what they lack."""

    values: Sequence[float]
    lacks: Mapping[NoteCause, int] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """True if a product has a value."""
        return not all(map(math.isnan, self.values))


@fast_dataclass(frozen=True, slots=True)
class ComputedParts:
    """Parts of all candidates."""

    values: Mapping[str, Sequence[float]]
    """By part: one value for each candidate. Parts that no candidate has are left out."""
    notes: Sequence[ScoreNote] = ()


def computed_parts(
    candidates: FusedCandidates,
    weights: Mapping[str, float],
    scales: NumberScales,
    half_life_hours: float,
    now_micros: int,
) -> ComputedParts:
    """Return the parts that have a weight.

    A product's freshness is 1 when the catalog first stores it, and halves each half-life.
    """
    values: dict[str, Sequence[float]] = {}
    created = candidates.columns.create_time_micros
    if weights.get(FRESHNESS) and len(created):
        half = half_life_hours * HOUR_MICROS
        ages = [max(now_micros - micros, 0) if micros else math.inf for micros in created]
        values[FRESHNESS] = [0.5 ** (age / half) for age in ages]
    if weights.get(Branch.FOLLOWED):
        bit = BITS[Branch.FOLLOWED]
        values[Branch.FOLLOWED] = [1.0 if bits & bit else math.nan for bits in candidates.branches]
    if not scales.attributes and _COMPUTED.keys().isdisjoint(weights):
        return ComputedParts(values, [])
    columns = {
        part: compute(candidates.columns, scales)
        for part, compute in _COMPUTED.items()
        if weights.get(part)
    } | {
        f"{ATTRIBUTE}{name}": attributes(candidates.columns, name, scale)
        for name, scale in scales.attributes.items()
        if weights.get(f"{ATTRIBUTE}{name}")
    }
    return ComputedParts(
        values | {part: column.values for part, column in columns.items() if column.known},
        [
            ScoreNote(part, cause, count)
            for part, column in columns.items()
            for cause, count in column.lacks.items()
            if count
        ],
    )


def ratings(columns: ProductColumns, scales: NumberScales) -> PartColumn:
    """Return the Bayesian means of ratings; a rating without a count counts as a single one."""
    prior, weight = scales.usual_rating, scales.usual_rating_count
    values, uncounted = list[float](), 0
    pairs = zip(columns.read("rating_tenths", -1), columns.read("rating_counts", -1), strict=True)
    for tenths, count in pairs:
        if tenths < 0:
            values.append(math.nan)
            continue
        uncounted += count < 0
        number = 1 if count < 0 else count
        total = number + weight
        mean = (tenths / 10 * number + prior * weight) / total if total else prior
        values.append(mean * 10 / MOST_TENTHS)
    return PartColumn(
        values,
        {
            NoteCause.NUMBER_MISSING: sum(map(math.isnan, values)),
            NoteCause.RATING_WITHOUT_COUNT: uncounted,
        },
    )


def stocks(columns: ProductColumns, scales: NumberScales) -> PartColumn:
    """Return stocks as shares of a plentiful one, at most 1."""
    plenty = scales.plenty_of_stock
    values = [
        math.nan if stock < 0 else min(stock / plenty, 1.0) for stock in columns.read("stocks", -1)
    ]
    return PartColumn(values, {NoteCause.NUMBER_MISSING: sum(map(math.isnan, values))})


def margins(columns: ProductColumns, _: NumberScales) -> PartColumn:
    """Return margins as shares of the price, 0 if the cost is above it."""
    values, foreign, losses = list[float](), 0, 0
    rows = zip(
        columns.read("price_micros", -1),
        columns.read("currencies", ""),
        columns.read("cost_micros", -1),
        columns.read("cost_currencies", ""),
        strict=True,
    )
    for price, currency, cost, cost_currency in rows:
        known = price > 0 and cost >= 0
        if known and currency == cost_currency:
            losses += cost > price
            values.append(max(price - cost, 0) / price)
        else:
            foreign += known
            values.append(math.nan)
    missing = sum(map(math.isnan, values)) - foreign
    return PartColumn(
        values,
        {
            NoteCause.NUMBER_MISSING: missing,
            NoteCause.OTHER_CURRENCY: foreign,
            NoteCause.COST_ABOVE_PRICE: losses,
        },
    )


def low_prices(columns: ProductColumns, _: NumberScales) -> PartColumn:
    """Return the shares of the other candidates that cost more, among those whose price is in the
    currency of most; 1 for a single one."""
    currencies = columns.read("currencies", "")
    priced = [*zip(columns.read("price_micros", -1), currencies, strict=True)]
    counts = Counter(currency for price, currency in priced if price >= 0)
    usual = max(counts, key=lambda currency: (counts[currency], currency), default="")
    ordered = sorted(price for price, currency in priced if price >= 0 and currency == usual)
    count = len(ordered)

    def dearer(price: int) -> float:
        rank = (bisect_left(ordered, price) + bisect_right(ordered, price) - 1) / 2
        return 1 - rank / (count - 1) if count > 1 else 1.0

    return PartColumn(
        [
            dearer(price) if price >= 0 and currency == usual else math.nan
            for price, currency in priced
        ],
        {
            NoteCause.NUMBER_MISSING: len(priced) - sum(counts.values()),
            NoteCause.OTHER_CURRENCY: sum(counts.values()) - count,
        },
    )


_COMPUTED: Mapping[str, Callable[[ProductColumns, NumberScales], PartColumn]] = {
    RATING: ratings,
    STOCK: stocks,
    MARGIN: margins,
    LOW_PRICE: low_prices,
}
"""Computation of each of NUMBERS but freshness, which needs the time."""


def attributes(columns: ProductColumns, name: str, scale: AttributeScale) -> PartColumn:
    """Return an attribute's numbers by their scale; texts and flags are none."""
    width = scale.most - scale.least
    numbers = (_number(each, name) for each in columns.read("attributes", None))
    # NaN stays NaN, as it is the first argument.
    values = [min(max((number - scale.least) / width, 0.0), 1.0) for number in numbers]
    return PartColumn(values, {NoteCause.NUMBER_MISSING: sum(map(math.isnan, values))})


def _number(attributes: Any, name: str) -> float:
    for each in attributes.values if attributes else ():
        if each.key == name and each.WhichOneof("value") == "number":
            return float(each.number)
    return math.nan
