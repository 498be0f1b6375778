"""Counts of what answers led to, as rates with intervals. Pure."""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field, fields, replace
from functools import reduce

from ranker.domain.events import DAY_MICROS
from sightline_rules.shares import wilson


@dataclass(frozen=True, slots=True)
class Period:
    """Period of the answers, and time in which purchases count."""

    start_micros: int
    """Start of the period, inclusive, microseconds since 1970 (UTC)."""
    end_micros: int
    """End of the period, exclusive, microseconds since 1970 (UTC)."""
    conversion_micros: int
    """Time after a click, otherwise an impression, in which a purchase counts, in microseconds."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the impressions with an event, with w = 1 / the share of impressions that were
    stored. They are grouped by shopper: n is the Σw of all of a shopper's impressions, c that of
    those with the event."""

    count: int = 0
    weight: float = 0.0
    """Σ c"""
    squares: float = 0.0
    """Σ c²"""
    products: float = 0.0
    """Σ n c"""

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*map(operator.add, astuple(self), astuple(other)))


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """Outcomes of a group of answers; a product of an answer counts once."""

    model_version: str
    scene: str
    arms: str
    """Names of experiment arms, one a line; `by_arm` leaves at most one."""
    answers: int = 0
    shown_answers: int = 0
    """Number of answers with a reported impression."""
    shoppers: int = 0
    """Number of shoppers with an impression; an answer without a shopper counts as a separate one.
    """
    weight_squares: float = 0.0
    """Σ w² of the impressions."""
    shown: Sums = Sums()
    clicked: Sums = Sums()
    bought: Sums = Sums()
    hidden: Sums = Sums()
    clicks_without_impression: int = 0
    conversions_without_impression: int = 0


@dataclass(frozen=True, slots=True)
class ImpressionRate:
    """A share of impressions with its 95% interval, all 0 to 1."""

    count: int
    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class JoinCounts:
    """Number of events attributed to answers."""

    tokens: int
    """Events with a token."""
    named: int
    """Events whose token named an answer."""
    joined: int
    """Events whose answer is still recorded."""


@dataclass(frozen=True, slots=True)
class Revenue:
    """Money that products of answers brought."""

    currency_code: str
    amount: float
    """In units of the currency."""


@dataclass(frozen=True, slots=True)
class SceneDay:
    """Answers of a scene in 24 hours, and what they led to; a product of an answer counts once."""

    scene: str
    start_micros: int
    """Start of the 24 hours, microseconds since 1970 (UTC)."""
    answers: int = 0
    empty: int = 0
    """Answers without a product, of those of which this is known."""
    degraded: int = 0
    causes: Mapping[int, int] = field(default_factory=dict)
    """Degraded answers by the number of a cause; one with several counts in each."""
    shown: int = 0
    """Products with an impression."""
    shown_weight: float = 0.0
    """Their Σ w, with w = 1 / the share of impressions that were stored."""
    clicked: int = 0
    bought: int = 0
    revenues: tuple[Revenue, ...] = ()
    """Σ w × price of the pieces bought, by currency."""
    unpriced: int = 0
    """Pieces bought without a price."""


def cause_bits(causes: Iterable[int]) -> int:
    """Return causes of degradations as one number: bit n stands for cause n."""
    return reduce(operator.or_, (1 << cause for cause in causes), 0)


def causes_of(bits: int) -> list[int]:
    """Return the causes of `cause_bits`."""
    return [cause for cause in range(bits.bit_length()) if bits >> cause & 1]


@dataclass(frozen=True, slots=True)
class Online:
    tallies: tuple[OutcomeCounts, ...]
    """By model version, scene and arm, sorted."""
    joined: JoinCounts


_COUNTS = [each.name for each in fields(OutcomeCounts)][3:]


def by_arm(tallies: Iterable[OutcomeCounts]) -> tuple[OutcomeCounts, ...]:
    """Return the counts by model version, scene and arm: an answer of several arms counts in
    each."""
    found: dict[tuple[str, str, str], OutcomeCounts] = {}
    for tally in tallies:
        for arm in tally.arms.split("\n"):
            key = (tally.model_version, tally.scene, arm)
            known = found.get(key, OutcomeCounts(*key))
            sums = {name: getattr(known, name) + getattr(tally, name) for name in _COUNTS}
            found[key] = replace(known, **sums)
    return tuple(found[key] for key in sorted(found))


def rates(tally: OutcomeCounts) -> tuple[ImpressionRate, ImpressionRate, ImpressionRate]:
    """Return click-through, conversion and hide rate of the impressions."""
    clicked, bought, hidden = (
        _rate(tally, sums) for sums in (tally.clicked, tally.bought, tally.hidden)
    )
    return clicked, bought, hidden


def _rate(tally: OutcomeCounts, sums: Sums) -> ImpressionRate:
    total = tally.shown.weight
    share = sums.weight / total if total else 0.0
    return ImpressionRate(sums.count, share, *wilson(share, _size(tally, sums, share)))


def _size(tally: OutcomeCounts, sums: Sums, share: float) -> float:
    """Return the number of independent impressions that would make the share as certain. A
    shopper's reactions depend on each other, so the variance is that of a ratio of sums over
    shoppers (linearisation of a cluster sample; Cochran 1977, ch. 6)."""
    total, people = tally.shown.weight, tally.shoppers
    if not total:
        return 0.0
    alone = total**2 / tally.weight_squares
    if people < 2 or not 0 < share < 1:
        return min(alone, people) if people < 2 else alone
    spread = sums.squares - 2 * share * sums.products + share**2 * tally.shown.squares
    variance = max(spread, 0.0) / total**2 * people / (people - 1)
    return min(alone, share * (1 - share) / variance) if variance else alone


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of a set of values."""

    count: int
    total: float
    squares: float
    """Sum of the squares."""

    @property
    def mean(self) -> float:
        """0 without values."""
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        """Unbiased; 0 of fewer than two values."""
        if self.count < 2:
            return 0.0
        return max(self.squares - self.total * self.mean, 0.0) / (self.count - 1)


@dataclass(frozen=True, slots=True)
class DayWindow:
    """Days from one midnight (UTC) until before another; microseconds since 1970."""

    start_micros: int
    end_micros: int

    @property
    def days(self) -> range:
        """Whole days since 1970."""
        return range(self.start_micros // DAY_MICROS, self.end_micros // DAY_MICROS)


@dataclass(frozen=True, slots=True)
class CatalogActivity:
    types: Mapping[tuple[int, str], int]
    """Events by day since 1970 and type."""
    shoppers: int
    """Number of shoppers with events."""
    new_shoppers: int
    """Number of them without events before the window."""
    ratings: Moments
    products: Mapping[str, int]
    """Number of shoppers with interest in each product."""
