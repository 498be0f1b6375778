"""Expected values of ranked products, by the objective of a scene. NumPy only.

The expected value of product i, each time that a shopper examines its place, is ``chance_i ×
worth_i``::

    objective     chance           worth
    clicks        of a click       1
    conversion    of a purchase    1
    revenue       of a purchase    price_i
    margin        of a purchase    price_i − cost_i

Chances are those that the model learned from impressions (learning/training/learning.py), by the
raw score. Below the scores that shoppers saw they fall along a logistic trend of all: a constant
would overrate products of little relevance. Without enough purchases, the chance of a click times
the catalog's purchases for each click replaces that of a purchase; without enough events,
``10^(r_i − 1)``, where r_i is the raw score from 0 (least of the window) to 1 (largest).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np

from ranker.domain.arrays import Doubles, Flags, Ints
from ranker.domain.events import EventType
from ranker.domain.model import Calibration, Model

MICROS = 1e6
SPREAD = 10.0
"""Chance of the most relevant product of the window over that of the least relevant, by formula."""
LEAST_CHANCE = 1e-6
LEAST_SPREAD = 1e-12
OBJECTIVE = "objective"
"""Name of the part in notes."""


class ObjectiveGoal(StrEnum):
    """Kind of value; the names are those of Diversity.Objective without its prefix."""

    UNSPECIFIED = "UNSPECIFIED"
    CLICKS = "CLICKS"
    CONVERSION = "CONVERSION"
    REVENUE = "REVENUE"
    MARGIN = "MARGIN"

    @property
    def has_price(self) -> bool:
        """Return whether values are amounts of money."""
        return self in (ObjectiveGoal.REVENUE, ObjectiveGoal.MARGIN)


class NoteCause(StrEnum):
    """Cause of a note about a value; named as ScoreNote.Cause, without its prefix."""

    NUMBER_MISSING = "NUMBER_MISSING"
    OTHER_CURRENCY = "OTHER_CURRENCY"
    CHANCE_BY_CLICKS = "CHANCE_BY_CLICKS"
    CHANCE_BY_FORMULA = "CHANCE_BY_FORMULA"


@dataclass(frozen=True, slots=True)
class ScoreNote:
    """Data that the expected values lack."""

    cause: NoteCause
    count: int = 0
    """Number of products that it concerns; 0 if it concerns the answer."""


@dataclass(frozen=True)
class Offers:
    """Prices and costs of products; all columns have one entry a product."""

    price_micros: Ints
    """-1 if unknown."""
    currencies: Sequence[str]
    cost_micros: Ints
    """-1 if unknown."""
    cost_currencies: Sequence[str]

    def take(self, rows: Ints) -> "Offers":
        """Return only these products."""
        at = rows.tolist()
        return Offers(
            self.price_micros[rows],
            [self.currencies[row] for row in at],
            self.cost_micros[rows],
            [self.cost_currencies[row] for row in at],
        )

    @cached_property
    def currency(self) -> str:
        """Currency of most prices, the first in the alphabet of equals; empty if there are none."""
        pairs = zip(self.price_micros.tolist(), self.currencies, strict=True)
        known = Counter(currency for micros, currency in pairs if micros >= 0)
        return min(known, key=lambda one: (-known[one], one), default="")

    @cached_property
    def prices(self) -> Doubles:
        """Prices in units of `currency`; NaN if unknown or in another one."""
        return np.where(self._priced & _equal(self.currencies, self.currency), self._price, np.nan)

    @cached_property
    def margins(self) -> Doubles:
        """Prices less costs in units of `currency`; NaN if either is unknown or in another one."""
        known = (self.cost_micros >= 0) & _equal(self.cost_currencies, self.currency)
        return np.where(known, self.prices - self.cost_micros / MICROS, np.nan)

    def foreign(self, *, with_costs: bool) -> Flags:
        """Return which products have a price, or a cost, in another currency than `currency`."""
        found = self._priced & ~_equal(self.currencies, self.currency)
        if with_costs:
            costly = self._priced & (self.cost_micros >= 0)
            found |= costly & ~_equal(self.cost_currencies, self.currency)
        return found

    @property
    def _priced(self) -> Flags:
        return self.price_micros >= 0

    @property
    def _price(self) -> Doubles:
        return self.price_micros / MICROS


def _equal(names: Sequence[str], name: str) -> Flags:
    return np.array([one == name for one in names], bool)


@dataclass(frozen=True, slots=True)
class ExpectedValues:
    """Expected values of the products of a window, in its order."""

    values: Doubles
    """NaN: none."""
    notes: tuple[ScoreNote, ...] = ()


def expected(
    goal: ObjectiveGoal, raw_scores: Doubles, offers: Offers | None, model: Model | None
) -> ExpectedValues:
    """Return the expected values of products by their raw scores. `offers`: None if the products
    have neither prices nor costs."""
    chances, notes = _chances(goal, raw_scores, model)
    if not goal.has_price:
        return ExpectedValues(chances, notes)
    if offers is None:
        missing = ScoreNote(NoteCause.NUMBER_MISSING, len(raw_scores))
        return ExpectedValues(np.full(len(raw_scores), np.nan), (*notes, missing))
    with_costs = goal is ObjectiveGoal.MARGIN
    worth = offers.margins if with_costs else offers.prices
    foreign = offers.foreign(with_costs=with_costs)
    counted = (
        ScoreNote(NoteCause.NUMBER_MISSING, int((np.isnan(worth) & ~foreign).sum())),
        ScoreNote(NoteCause.OTHER_CURRENCY, int(foreign.sum())),
    )
    return ExpectedValues(chances * worth, (*notes, *(one for one in counted if one.count)))


def _chances(
    goal: ObjectiveGoal, raw_scores: Doubles, model: Model | None
) -> tuple[Doubles, tuple[ScoreNote, ...]]:
    notes: tuple[ScoreNote, ...] = ()
    if goal is ObjectiveGoal.CLICKS:
        found = click_chances(model, raw_scores)
    else:
        found, notes = purchase_chances(model, raw_scores)
    if found is not None:
        return found, notes
    formula: Doubles = SPREAD ** (scaled(raw_scores) - 1)
    return formula, (ScoreNote(NoteCause.CHANCE_BY_FORMULA),)


def click_chances(model: Model | None, raw_scores: Doubles) -> Doubles | None:
    """Return the probability of a click for each raw score; None if it was not learned."""
    known = model.calibration if model is not None else None
    return _by(known, raw_scores) if known and known.event is EventType.CLICK else None


def purchase_chances(
    model: Model | None, raw_scores: Doubles
) -> tuple[Doubles | None, tuple[ScoreNote, ...]]:
    """Return the probability of a purchase for each raw score, by that of a click if purchases are
    too few, which is noted; None if neither was learned."""
    if model is None:
        return None, ()
    if model.purchases is not None:
        return _by(model.purchases, raw_scores), ()
    if (known := model.calibration) is not None and known.event is EventType.PURCHASE:
        return _by(known, raw_scores), ()
    clicks, rate = click_chances(model, raw_scores), model.purchases_per_click
    if clicks is None or rate <= 0:
        return None, ()
    return clicks * rate, (ScoreNote(NoteCause.CHANCE_BY_CLICKS),)


def _by(calibration: Calibration, raw_scores: Doubles) -> Doubles:
    """Return the chance by each raw score; below the first knot along the trend of the logits."""
    first, lowest = calibration.raw_scores[0], float(calibration.chances[0])
    found = np.interp(raw_scores, calibration.raw_scores, calibration.chances)
    logits = _logit(calibration.chances)
    spread = calibration.raw_scores - calibration.raw_scores.mean()
    slope = float(spread @ logits / max(spread @ spread, LEAST_SPREAD))
    below = raw_scores < first
    found[below] = 1 / (1 + np.exp(slope * (first - raw_scores[below]) - _logit(lowest)))
    return found


def _logit(chances: Doubles | float) -> Doubles:
    clipped = np.clip(chances, LEAST_CHANCE, 1 - LEAST_CHANCE)
    found: Doubles = np.log(clipped / (1 - clipped))
    return found


def scaled(values: Doubles) -> Doubles:
    """Scale values from 0 (least) to 1 (largest); equal values give 0."""
    if not values.size:
        return np.zeros(0)
    least = np.minimum.reduce(values)
    spread = np.maximum.reduce(values) - least
    return (values - least) / spread if spread > 0 else np.zeros(values.size)


def toward(relevance: Doubles, values: Doubles, strength: float) -> Doubles:
    """Return (1 − strength) · relevance + strength · expected value, scaled to 0 to 1 over the
    products that have one; the others keep their relevance. Equal values change nothing."""
    known = np.isfinite(values)
    if not known.any() or np.ptp(values[known]) == 0:
        return relevance
    found = relevance.copy()
    found[known] = (1 - strength) * relevance[known] + strength * scaled(values[known])
    return found
