"""Counts of events for the recommenders that need no model.

The unit of counting is a shopper's day (UTC): within it a pair of products counts once, and so does
interest in a product. The content of a day is a function of its events in whole numbers, so counts
are sums over days from which a day can be subtracted exactly.

- Viewed together: products viewed or clicked in one visit, which is one session id, otherwise
events without a gap (signals.sessions).

- Bought together: products of one order; without an order id, products bought or put into the cart
on the day. A product put into the cart and bought counts as bought only.

- The last 50 products of a visit or a basket count, because pairs grow with their square.

- Up to 10 units of a product count per shopper and day.

- Days of robots (signals.robots) do not count.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product

import numpy as np

from ranker.domain.arrays import Doubles, Flags, Ints
from ranker.domain.events import DAY_MICROS, EventType, Interaction
from ranker.domain.features import CATEGORY_KIND, PRICE_KIND, Product, feature_names
from ranker.domain.log import TYPES, UNKNOWN, EventColumns, log_of
from ranker.domain.signals import Signals, event_weights, robots, sessions

VIEWED, BOUGHT = "view", "order"
"""Kinds of pairs: viewed and bought together."""
MOST_TOGETHER = 50
MOST_PIECES = 10
MOST_GAPS = 10
"""Number of newest intervals between purchases of one product by one shopper."""
HABITS = -10_000_000
"""Used as a day, before all others: totals over all days of a shopper."""
ALL = ""
"""Used as a product, a segment or a group: all of them."""

ORIGIN_DAY = 18_262
"""2020-01-01. Reference day of decayed counts; any fixed day would do."""
SHORT_DAYS, LONG_DAYS, SOLD_DAYS = 2.0, 28.0, 28.0
"""Half-lives, in days."""

Unit = tuple[str, int]
"""A shopper's pseudonym and a day since 1970."""
Groups = Sequence[Sequence[str]]
"""Products that belong together, in the order of each group."""
NOTHING = ""
"""Content of a unit without counts."""


@dataclass(frozen=True, slots=True)
class Day:
    """Counts of one shopper's day."""

    visits: Groups = ()
    baskets: Groups = ()
    liked: Sequence[str] = ()
    """Products in which the shopper showed interest."""
    bought: Mapping[str, int] = field(default_factory=dict)
    """Units by product."""


def unit(said: Interaction) -> Unit:
    return said.actor, said.time_micros // DAY_MICROS


def days(said: Iterable[Interaction], signals: Signals) -> dict[Unit, Day]:
    """Return what these days count; `said` holds all their events of interest, of which those of
    unproven shoppers do not count. Days without counts are left out."""
    # Each day is treated as a separate shopper.
    apart = (
        one._replace(actor=f"{one.time_micros // DAY_MICROS} {one.actor}")
        for one in said
        if one.product_id and not one.unproven
    )
    log = log_of(apart)
    log = log.part(~robots(log, signals)[log.actor])
    weights = event_weights(log.type, log.value, log.quantity, signals)
    visits = sessions(log, signals.session_gap_minutes)
    rows: dict[int, list[int]] = {}
    for row, actor in enumerate(log.actor.tolist()):
        rows.setdefault(actor, []).append(row)
    found = {}
    for actor, its in rows.items():
        day, _, whose = log.actors[actor].partition(" ")
        found[whose, int(day)] = _day(log, its, weights > 0, visits)
    return found


def _day(log: EventColumns, rows: Sequence[int], liked: Flags, visits: Ints) -> Day:
    """Return what one day counts by its rows of the log, oldest first."""
    viewed: dict[int, dict[str, None]] = {}
    ordered: dict[int, dict[str, None]] = {}
    pieces: Counter[str] = Counter()
    interests: set[str] = set()
    put: dict[str, None] = {}
    for row in rows:
        item, kind = log.items[log.item[row]], TYPES[log.type[row]]
        if liked[row]:
            interests.add(item)
        if kind in (EventType.VIEW, EventType.CLICK):
            _last(viewed.setdefault(int(visits[row]), {}), item)
        elif kind is EventType.ADD_TO_CART:
            _last(put, item)
        elif kind is EventType.PURCHASE:
            pieces[item] += int(log.quantity[row])
            _last(ordered.setdefault(int(log.order[row]), {}), item)
    day_long = ordered.setdefault(UNKNOWN, {})
    for item in put:
        if item not in pieces:
            _last(day_long, item)
    return Day(
        visits=_groups(viewed),
        baskets=_groups(ordered),
        liked=sorted(interests),
        bought={item: min(count, MOST_PIECES) for item, count in sorted(pieces.items())},
    )


def _last(group: dict[str, None], item: str) -> None:
    group.pop(item, None)
    group[item] = None


def _groups(found: Mapping[int, Mapping[str, None]]) -> Groups:
    """Return the groups of two or more products that count, each sorted."""
    last = (list(group)[-MOST_TOGETHER:] for group in found.values())
    return sorted(sorted(group) for group in last if len(group) > 1)


def content(day: Day, segments: Sequence[str]) -> str:
    """Return the day as it is stored, for shoppers of these segments."""
    if not (day.liked or day.bought or day.visits or day.baskets):
        return NOTHING
    return _text([day.visits, day.baskets, day.liked, day.bought, list(segments)])


def bought(day: Day) -> str:
    return _text(day.bought) if day.bought else NOTHING


def habits(purchases: Iterable[tuple[int, Mapping[str, int]]]) -> str:
    """Return the intervals between a shopper's purchases of a product, as they are stored."""
    by_product: dict[str, list[int]] = {}
    for day, items in sorted(purchases, key=lambda pair: pair[0]):
        for item in items:
            by_product.setdefault(item, []).append(day)
    gaps = {
        item: [gap_of(b - a) for a, b in pairwise(its)][-MOST_GAPS:]
        for item, its in sorted(by_product.items())
        if len(its) > 1
    }
    return _text(gaps) if gaps else NOTHING


def groups(one: Product) -> tuple[str, ...]:
    """Return the groups that a product counts for, named like its features."""
    kinds = (f"{CATEGORY_KIND}=", f"{PRICE_KIND}=")
    return tuple(name for name in feature_names(one, ()) if name.startswith(kinds))


def gap_of(length: int) -> int:
    """Convert days, 1 or more, to quarter octaves: at most 9% off, and a few dozen numbers."""
    return round(4 * math.log2(length))


def gap_days(gap: float) -> float:
    return float(2.0 ** (gap / 4))


@dataclass(slots=True)
class CountChanges:
    """Changes of counts."""

    pairs: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By kind, product and other product; see tables.COUNT_PAIRS."""
    shoppers: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """By product, segment and day: number of shoppers with interest; for ALL products, in any
    product."""
    pieces: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    gaps: Counter[tuple[str, int]] = field(default_factory=Counter)

    def add(self, day: int, kept: str, sign: int) -> None:
        """Add a unit's content, or subtract it (`sign` −1)."""
        if kept == NOTHING:
            return
        if day == HABITS:
            for item, gaps in json.loads(kept).items():
                for gap, name in product(gaps, (item, ALL)):
                    self.gaps[name, gap] += sign
            return
        visits, baskets, liked, pieces, segments = json.loads(kept)
        for kind, groups in ((VIEWED, visits), (BOUGHT, baskets)):
            for one, other in _together(groups):
                self.pairs[kind, one, other] += sign
        for segment in (ALL, *segments):
            for item in (*liked, ALL) if liked else ():
                self.shoppers[item, segment, day] += sign
            for item, count in pieces.items():
                self.pieces[item, segment, day] += sign * count


def _together(groups: Groups) -> set[tuple[str, str]]:
    """Return all ordered pairs, each product beside itself, and ALL beside ALL once."""
    found = {(one, other) for group in groups for one in group for other in group}
    return found | {(ALL, ALL)} if found else found


def decayed(numbers: Ints, counts: Ints, half_life_days: float) -> float:
    """Return the base-2 logarithm of the days' decayed counts; −∞ without any.

    A count is halved for each half-life before the noon of ORIGIN_DAY, doubled for each after.
    """
    some = counts > 0
    logs: Doubles = np.log2(counts[some]) + (numbers[some] - ORIGIN_DAY) / half_life_days
    return float(np.logaddexp2.reduce(logs, initial=-math.inf))


def as_of(logs: Sequence[float], half_life_days: float, now_micros: int) -> Doubles:
    """Return the decayed counts at `now_micros`."""
    age = now_micros / DAY_MICROS - ORIGIN_DAY - 0.5
    found: Doubles = np.exp2(np.array(logs, np.float64) - age / half_life_days)
    return found


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
