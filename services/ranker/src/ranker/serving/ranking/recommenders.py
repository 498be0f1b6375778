"""Recommenders by counts: lists of products with scores of 0 to 1. NumPy only.

**co_view, co_purchase.** n counts shoppers' days with two or more products; n_j of them contain the
anchor j, n_i product i, and n_ji both. The difference between the probabilities of i with and
without j (ΔP; Jenkins and Ward 1965) is shrunk towards 0 as if WEIGHT more days with j contained i
as often as days without j (the mean of a beta-binomial with that prior; Gelman et al. 2013, ch.
2)::

    s_j(i) = n_j / (n_j + WEIGHT) × (n_ji / n_j − (n_i − n_ji) / (n − n_j))        above 0

A product that is bought as often without j scores 0, and one that occurred once with j scores low.
Several anchors, a = 0, 1, …, in their order, are combined by noisy-or (Pearl 1988)::

    s(i) = 1 − Π_a (1 − FALL^a × s_a(i))

**trending.** O is the interest in a product, one for each shopper and day, with a half-life of
SHORT_DAYS. E is its expected value: the product's usual interest, with a half-life of LONG_DAYS,
times the growth of the whole shop, because on a weekend, or with a short record, all products
exceed their usual interest. The growth is limited to 1 to FASTEST.
The score is the share of O above E, shrunk as if PACE more had been observed and expected (a
gamma-Poisson shrinker; DuMouchel 1999)::

    s(i) = (O − E) / (O + PACE)        above 0

**best_sellers.** Units sold with a half-life of SOLD_DAYS, as a share of the best seller's.

**reorder.** x is the time since the last purchase divided by the usual interval: the median of the
shopper's own intervals, else that of all shoppers for the product, else that of all products with
half the score. Products due now score highest, just-bought ones lowest, and long overdue ones,
which the shopper may no longer want, between them::

    s(i) = x below 1, else 1/2 + 1 / 2x

**recently_viewed, left_in_cart.** The newest first: 1, 1/2, 1/3, …
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import median
from types import MappingProxyType
from typing import Any

import numpy as np

from ranker.domain.arrays import Doubles
from ranker.domain.counting import ALL, BOUGHT, LONG_DAYS, SHORT_DAYS, VIEWED, as_of, gap_days
from ranker.domain.events import DAY_MICROS, EventType, History, Interaction
from ranker.domain.recommenders import (
    Counted,
    CountScope,
    CountsQuery,
    Near,
)
from ranker.domain.signals import FALL, Signals
from ranker.serving.ranking.fold_in import basket, products_of
from sightline_core.branch import Branch
from sightline_core.ranking import AnchorSource, RequestAnchors

WEIGHT = 5.0
"""Prior weight, in days with the anchor."""
PACE = 5.0
FASTEST = 4.0
USUAL_DAYS = 30.0
"""Days between two purchases, if no product was ever bought twice."""
MOST_RECENT = 1_000
"""Maximum number of products, by most recent interest, among which trending ones are found."""
MOST_ANCHORS = 50
MOST_LAST = 10
"""Maximum number of a shopper's last products that replace anchors."""
TRAIL = 500
"""Number of a shopper's newest events that anchors and last products are taken from."""

_LOOKS = frozenset({EventType.VIEW, EventType.CLICK})

Scores = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request for lists of recommenders."""

    recommenders: Sequence[Branch]
    scope: CountScope
    top_k: int
    left_out: Collection[str]
    """Products excluded from all lists."""


@dataclass(frozen=True, slots=True)
class RecommenderList:
    """The list of one recommender, best first."""

    recommender: Branch
    product_ids: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    """0 to 1, descending."""


def from_trail(source: AnchorSource, trail: Sequence[Interaction]) -> tuple[str, ...]:
    """Return a shopper's anchors of this source, newest first; `trail` is newest first."""
    found: dict[str, None] = {}
    bought: set[str] = set()
    for one in trail:
        if source is AnchorSource.VIEWED and one.type in _LOOKS:
            found.setdefault(one.product_id)
        elif one.type is EventType.PURCHASE:
            bought.add(one.product_id)
            if source is AnchorSource.BOUGHT:
                found.setdefault(one.product_id)
        elif (source, one.type) == (AnchorSource.CART, EventType.ADD_TO_CART) and (
            one.product_id not in bought
        ):
            found.setdefault(one.product_id)
    return tuple(found)


def gone_by(
    anchors: RequestAnchors | None, trail: Sequence[Interaction], hidden: Collection[str]
) -> tuple[str, ...]:
    """Return the anchors of a request; empty if the shopper's last products apply."""
    if not anchors or anchors.product_ids:
        return anchors.product_ids if anchors else ()
    found = (item for item in from_trail(anchors.source, trail) if item not in hidden)
    return tuple(found)[:MOST_ANCHORS]


def near(
    names: Iterable[Branch], anchors: Sequence[str], history: History, signals: Signals
) -> dict[Branch, Sequence[str]]:
    """Return the products whose neighbours are requested, by recommender: the anchors, else the
    shopper's last products."""
    last = () if anchors else products_of(history, signals)
    own = {VIEWED: last, BOUGHT: basket(history.recent, last)}
    return {name: anchors or own[KINDS[name]][:MOST_LAST] for name in names if name in KINDS}


def asked(wanted: Wanted, near: Mapping[Branch, Sequence[str]], actor: str | None) -> CountsQuery:
    """Return the counts to read for these lists; `near`: products by recommender."""
    counts: dict[str, Any] = {}
    for name in wanted.recommenders:
        counts |= MADE[name].reads(wanted, actor or "")
    pairs = [(KINDS[name], item) for name, items in near.items() for item in items]
    return CountsQuery(near=pairs, scope=wanted.scope, **counts)


def lists(
    wanted: Wanted,
    counted: Counted,
    near: Mapping[Branch, Sequence[str]],
    trail: Sequence[Interaction],
    now_micros: int,
) -> list[RecommenderList]:
    """Return the lists in the order of `wanted`."""
    found, left_out = [], wanted.left_out
    for name in wanted.recommenders:
        scores = MADE[name].scores(
            CountsRead(counted, near.get(name, ()), trail, left_out, now_micros)
        )
        kept = [(-by, item) for item, by in scores.items() if by > 0 and item not in left_out]
        kept.sort()
        best = kept[: wanted.top_k]
        items, by = tuple([item for _, item in best]), tuple([-less for less, _ in best])
        found.append(RecommenderList(name, items, by))
    return found


@dataclass(frozen=True, slots=True)
class CountsRead:
    """What was read for a list."""

    counted: Counted
    anchors: Sequence[str]
    """The products whose neighbours are wanted."""
    trail: Sequence[Interaction]
    """The shopper's newest events, newest first; only if a list of the request is made of them."""
    left_out: Collection[str]
    now_micros: int


def _reads_nothing(_wanted: Wanted, _actor: str) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Recommender:
    """How a recommender's list is made."""

    scores: Callable[[CountsRead], Scores]
    """Scores of products; of those not above 0 none is listed."""
    reads: Callable[[Wanted, str], Mapping[str, Any]] = _reads_nothing
    """Fields of CountsQuery, by what is wanted and the shopper's pseudonym."""
    pairs: str = ""
    """Kind of pairs that are read of the anchors."""
    by_trail: bool = False
    """True if the list is made of the shopper's newest events."""


def _together(kind: str, read: CountsRead) -> Scores:
    """Score products that occurred more often with the anchors than without them."""
    theirs: defaultdict[str, list[Near]] = defaultdict(list)
    for one in read.counted.near:
        if one.kind == kind:
            theirs[one.product_id].append(one)
    days = next((one.days for one in theirs[ALL]), 0)
    missed: dict[str, float] = {}
    asked = frozenset(read.anchors)
    for place, anchor in enumerate(read.anchors):
        own = next((one.days for one in theirs[anchor] if one.other_id == anchor), 0)
        others = [one for one in theirs[anchor] if one.other_id not in asked]
        if others:
            counts = np.array([(one.other_days, one.days) for one in others], np.float64)
            shares = FALL**place * likelier(days, own, counts[:, 0], counts[:, 1])
            for one, rest in zip(others, (1 - shares).tolist(), strict=True):
                missed[one.other_id] = missed.get(one.other_id, 1.0) * rest
    return {item: 1 - rest for item, rest in missed.items()}


def likelier(days: int, anchors: int, others: Doubles, both: Doubles) -> Doubles:
    """Return s_j(i) from n, n_j, n_i and n_ji; at least 0."""
    without = (others - both) / (days - anchors) if days > anchors else 0.0
    return np.maximum(both / anchors - without, 0.0) * anchors / (anchors + WEIGHT)


def _trending(read: CountsRead) -> Scores:
    if not read.counted.trending:
        return {}
    items, short, long = zip(*read.counted.trending, strict=True)
    whole = read.counted.whole or (short[0], long[0])
    recent = as_of([*short, whole[0]], SHORT_DAYS, read.now_micros)
    usual = as_of([*long, whole[1]], LONG_DAYS, read.now_micros) * (SHORT_DAYS / LONG_DAYS)
    usual *= min(max(recent[-1] / max(usual[-1], 1e-300), 1.0), FASTEST)
    return dict(zip(items, ((recent - usual) / (recent + PACE))[:-1].tolist(), strict=True))


def _best_sellers(read: CountsRead) -> Scores:
    best = read.counted.best
    most = best[0][1] if best else 0.0
    if most == float("-inf"):
        return {}
    return {item: 2.0 ** (sold - most) for item, sold in best}


def _reorder(read: CountsRead) -> Scores:
    counted, today = read.counted, read.now_micros // DAY_MICROS
    days: defaultdict[str, list[int]] = defaultdict(list)
    for day, items in counted.purchases:
        for item in items:
            days[item].append(day)
    usual = _median(counted.gaps.get(ALL, {}))
    found = {}
    for item, its in days.items():
        own = [later - earlier for later, earlier in pairwise(its)]
        interval = median(own) if own else _median(counted.gaps.get(item, {}))
        # One day is added to both, so that products bought today are listed too, last.
        elapsed = (max(today - its[0], 0) + 1) / ((interval or usual or USUAL_DAYS) + 1)
        due = elapsed if elapsed < 1 else 0.5 + 0.5 / elapsed
        found[item] = due if interval else due / 2
    return found


def _median(gaps: Mapping[int, int]) -> float | None:
    """Return the median in days; None without any."""
    half, below = sum(gaps.values()) / 2, 0
    for gap, count in sorted(gaps.items()):
        below += count
        if below >= half:
            return gap_days(gap)
    return None


def _newest(source: AnchorSource, read: CountsRead) -> Scores:
    items = [item for item in from_trail(source, read.trail) if item not in read.left_out]
    return {item: 1 / place for place, item in enumerate(items, 1)}


MADE: Mapping[Branch, Recommender] = MappingProxyType(
    {
        Branch.CO_VIEW: Recommender(partial(_together, VIEWED), pairs=VIEWED),
        Branch.CO_PURCHASE: Recommender(partial(_together, BOUGHT), pairs=BOUGHT),
        Branch.TRENDING: Recommender(
            _trending, lambda wanted, _: {"trending": MOST_RECENT + len(wanted.left_out)}
        ),
        Branch.BEST_SELLERS: Recommender(
            _best_sellers, lambda wanted, _: {"best": wanted.top_k + len(wanted.left_out)}
        ),
        Branch.REORDER: Recommender(_reorder, lambda _, actor: {"actor": actor}),
        Branch.RECENTLY_VIEWED: Recommender(partial(_newest, AnchorSource.VIEWED), by_trail=True),
        Branch.LEFT_IN_CART: Recommender(partial(_newest, AnchorSource.CART), by_trail=True),
    }
)
"""How each of RECOMMENDERS is made."""

KINDS = MappingProxyType({branch: one.pairs for branch, one in MADE.items() if one.pairs})
"""Kind of pairs of the recommenders that follow anchors."""

BY_TRAIL = frozenset(branch for branch, one in MADE.items() if one.by_trail)
"""Recommenders that are made of a shopper's newest events."""
