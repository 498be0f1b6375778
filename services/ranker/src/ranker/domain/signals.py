"""Interest of shoppers in products, computed from events. NumPy only.

Each event is independent evidence: its weight w is the probability that it means an affinity, and
decays with age. A shopper's interest in a product is the probability that at least one of the
events means it (noisy-or, Pearl 1988), so that repeats count less and less and never exceed 1::

    interest = 1 − Π_e (1 − w_e · 2^(−age_e / half-life))        0 to 1

    w = (value / 5)^power    of a RATING from `liked_rating` stars up, 0 below
    w = 1 − (1 − w_type)^q   of an ADD_TO_CART or a PURCHASE of q pieces
    w = w_type               of a VIEW or a CLICK; 0 of all other types

The newest rating decides: a low one cancels all earlier events. A hidden product is not liked until
it is unhidden; then all its events count again. Low ratings and hides are dislikes, which differ
from products without events.

Trainings, profiles and the popularity of products use these functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ranker.domain.arrays import Doubles, Flags, Ints
from ranker.domain.events import DAY_MICROS, EventType, Interaction
from ranker.domain.log import TYPES, UNKNOWN, EventColumns, is_type

MINUTE_MICROS = 60 * 1_000_000
MOST_STARS = 5.0
FALL = 0.9
"""Weight of each product of a shopper, or anchor of a request, relative to the one before it."""

INTEREST = frozenset(
    {
        EventType.VIEW,
        EventType.CLICK,
        EventType.ADD_TO_CART,
        EventType.PURCHASE,
        EventType.RATING,
    }
)
"""Event types that express interest in a product, positive or negative."""


@dataclass(frozen=True, slots=True)
class Signals:
    """Weights of events: the settings RANKER_SIGNAL_…, documented in settings.py."""

    view: float = 0.3
    click: float = 0.4
    add_to_cart: float = 0.8
    purchase: float = 0.95
    liked_rating: float = 3.0
    """Chosen on validation; see lab/research/profiles.md."""
    rating_power: float = 1.0
    half_life_days: float = 365.0
    session_gap_minutes: float = 30.0
    robot_events_a_day: int = 2000
    """In MovieLens-100k (943 people) the maximum is 737 on a day, and 30 in a minute."""
    robot_products_a_day: int = 1000
    robot_views_a_minute: int = 60
    """VIEW and CLICK only: ratings and orders come in bulk."""
    robot_weight: float = 3.0

    @property
    def weights(self) -> dict[EventType, float]:
        """Weights by event type; only types with a fixed weight."""
        return {
            EventType.VIEW: self.view,
            EventType.CLICK: self.click,
            EventType.ADD_TO_CART: self.add_to_cart,
            EventType.PURCHASE: self.purchase,
        }


DEFAULTS = Signals()


@dataclass(frozen=True, slots=True)
class Interests:
    """Interests of all shoppers as columns, sorted by shopper, then product, and their dislikes."""

    actors: tuple[str, ...]
    """Pseudonyms; codes in `actor` are indexes into it."""
    items: tuple[str, ...]
    """Product ids; codes in `item` are indexes into it."""
    actor: Ints
    """(interests,)"""
    item: Ints
    """(interests,)"""
    weight: Doubles
    """(interests,) above 0, at most 1"""
    time: Ints
    """(interests,) time of the newest contributing event, microseconds since 1970 (UTC)"""
    disliked_actor: Ints
    """(dislikes,) sorted by shopper, then product, as `disliked_item`; no pair is also liked"""
    disliked_item: Ints
    """(dislikes,) products hidden or rated low"""
    robots: Flags
    """(actors,) whether classified as a robot; their weights are already capped"""

    def __len__(self) -> int:
        return len(self.actor)


def event_weights(
    kind: Ints, value: Doubles, quantity: Ints, signals: Signals = DEFAULTS
) -> Doubles:
    """Return the probability that each event means an affinity, (events,), 0 to 1, without decay.
    `kind` holds indexes into `TYPES`; `value` is NaN if not given.
    """
    fixed = signals.weights
    weights = np.array([fixed.get(one, 0.0) for one in TYPES])[kind]
    several = is_type(kind, EventType.ADD_TO_CART, EventType.PURCHASE) & (quantity > 1)
    weights[several] = 1 - (1 - weights[several]) ** quantity[several]
    liked = is_type(kind, EventType.RATING) & (value >= signals.liked_rating) & (value > 0)
    weights[liked] = (value[liked] / MOST_STARS) ** signals.rating_power
    return weights


def interests(log: EventColumns, signals: Signals = DEFAULTS, now: int | None = None) -> Interests:
    """Return likes and dislikes of shoppers as of `now` (microseconds since 1970, UTC; None: the
    time of the newest event). Later events are not decayed."""
    weight = event_weights(log.type, log.value, log.quantity, signals)
    pairs, pair = np.unique(log.actor * max(len(log.items), 1) + log.item, return_inverse=True)

    def newest(rows: Flags) -> Ints:
        """Return the last of these rows for each pair, (pairs,); −1 if none."""
        last = np.full(len(pairs), -1, dtype=np.int64)
        last[pair[rows]] = np.flatnonzero(rows)  # of several assignments the last one is kept
        return last

    low = newest(log.is_type(EventType.RATING) & (weight == 0))
    hidden = newest(log.is_type(EventType.HIDE)) > newest(log.is_type(EventType.UNHIDE))
    counted = (weight > 0) & (np.arange(len(log)) > low[pair])
    last = newest(counted)
    aged = weight[counted] * _ages(log.time[counted], log, signals, now)
    with np.errstate(divide="ignore"):  # a certain interest: log 0
        unsure = np.bincount(pair[counted], np.log1p(-aged), minlength=len(pairs))
    strength = -np.expm1(unsure)
    liked = ~hidden & (last >= 0) & (strength > 0)
    actor, item = np.divmod(pairs, max(len(log.items), 1))
    flagged = robots(log, signals)
    disliked = hidden | ((low >= 0) & (last < 0))
    return Interests(
        actors=log.actors,
        items=log.items,
        actor=actor[liked],
        item=item[liked],
        weight=_capped(actor[liked], strength[liked], flagged, signals.robot_weight),
        time=log.time[last[liked]],
        disliked_actor=actor[disliked],
        disliked_item=item[disliked],
        robots=flagged,
    )


def robots(log: EventColumns, signals: Signals = DEFAULTS) -> Flags:
    """Flag actors, (actors,), whose number of events in a day or minute exceeds that of a
    person."""
    rows = np.flatnonzero(log.is_type(*INTEREST))
    actor, day = log.actor[rows], log.time[rows] // DAY_MICROS
    most = (signals.robot_events_a_day, signals.robot_products_a_day, signals.robot_views_a_minute)
    flagged = np.zeros(len(log.actors), dtype=np.bool_)
    if len(rows) <= min(most):
        return flagged
    first = day.min()
    days = actor * (day.max() - first + 1) + (day - first)
    order = np.lexsort((log.item[rows], days))
    days, item, actor = days[order], log.item[rows][order], actor[order]
    starts = np.flatnonzero(np.diff(days, prepend=-1))
    another = (np.diff(item, prepend=-1) != 0) | (np.diff(days, prepend=-1) != 0)
    events = np.diff(starts, append=len(days))
    products = np.add.reduceat(another.astype(np.int64), starts)
    busy = (events > signals.robot_events_a_day) | (products > signals.robot_products_a_day)
    flagged[actor[starts[busy]]] = True
    flagged[_hasty(log, signals.robot_views_a_minute)] = True
    return flagged


def sessions(log: EventColumns, gap_minutes: float = DEFAULTS.session_gap_minutes) -> Ints:
    """Return the visit of each event, (events,), numbered from 0; a visit is of one shopper.

    Events of one session id are one visit. An event without an id belongs to the visit of the
    shopper's event before it, unless more than `gap_minutes` lie between them.
    """
    order = np.lexsort((np.arange(len(log)), log.actor))
    actor, time, session = log.actor[order], log.time[order], log.session[order]
    gap = (np.diff(actor, prepend=-1) != 0) | (
        np.diff(time, prepend=0) > gap_minutes * MINUTE_MICROS
    )
    named = session != UNKNOWN
    leader = np.maximum.accumulate(np.where(named | gap, np.arange(len(log)), 0))
    # A visit is identified by the session id if given, otherwise by its first row.
    names = session.max(initial=UNKNOWN) + 1
    visit = np.where(named[leader], session[leader], names + leader)
    _, codes = np.unique(actor * (names + len(log)) + visit, return_inverse=True)
    found = np.empty(len(log), dtype=np.int64)
    found[order] = codes
    return found


def recent_products(
    events: Sequence[Interaction], hidden: frozenset[str], signals: Signals = DEFAULTS
) -> tuple[str, ...]:
    """Return one shopper's products of interest, newest first without duplicates; `events` are
    newest first. For each product the newest conclusive event decides. The result equals the
    products of `interests`, in a tenth of the time, because each request needs it."""
    speaking = {kind for kind, weight in signals.weights.items() if weight > 0}
    decided: dict[str, int | None] = dict.fromkeys(hidden)
    for event in events:
        if event.product_id in decided:
            continue
        if event.type is EventType.RATING:
            stars = event.value or 0.0
            liked = stars >= signals.liked_rating and stars > 0
            decided[event.product_id] = event.time_micros if liked else None
        elif event.type in speaking:
            decided[event.product_id] = event.time_micros
    found = [(-time, item) for item, time in decided.items() if time is not None]
    return tuple(item for _, item in sorted(found))


def last_interests(
    events: Sequence[Interaction],
    hidden: frozenset[str],
    count: int,
    signals: Signals = DEFAULTS,
) -> dict[str, float]:
    """Return one shopper's last `count` products of interest with their weights, newest first.

    `events` are newest first. The weight is the interest without decay by age, times FALL for each
    newer product.
    """
    found = {}
    for place, item in enumerate(recent_products(events, hidden, signals)[:count]):
        doubt = 1.0
        for event in events:
            if event.product_id != item:
                continue
            weight = _certainty(event, signals)
            if event.type is EventType.RATING and not weight:
                break  # a low rating cancels all earlier events
            doubt *= 1 - weight
        found[item] = (1 - doubt) * FALL**place
    return found


def _certainty(event: Interaction, signals: Signals) -> float:
    """Return the probability that an event means an affinity, as `event_weights`."""
    if event.type is EventType.RATING:
        stars = event.value or 0.0
        liked = stars >= signals.liked_rating and stars > 0
        return float((stars / MOST_STARS) ** signals.rating_power) if liked else 0.0
    weight = signals.weights.get(event.type, 0.0)
    several = event.type in (EventType.ADD_TO_CART, EventType.PURCHASE) and event.quantity > 1
    return float(1 - (1 - weight) ** event.quantity) if several else weight


def _ages(time: Ints, log: EventColumns, signals: Signals, now: int | None) -> Doubles:
    """Return the decay factors for events of these times, above 0, at most 1."""
    if not len(time) or not signals.half_life_days:
        return np.ones(len(time))
    age = np.maximum((log.time[-1] if now is None else now) - time, 0)
    halved: Doubles = np.exp2(-age / (signals.half_life_days * DAY_MICROS))
    return halved


def _capped(actor: Ints, weight: Doubles, flagged: Flags, most: float) -> Doubles:
    """Return the weights, with those of flagged actors scaled to add up to `most`."""
    totals = np.bincount(actor, weight, minlength=len(flagged))
    factors = np.where(flagged, np.minimum(1.0, most / np.maximum(totals, 1e-300)), 1.0)
    capped: Doubles = weight * factors[actor]
    return capped


def _hasty(log: EventColumns, most: int) -> Ints:
    """Return the codes of actors who looked at more than `most` pages within 60 seconds."""
    views = log.is_type(EventType.VIEW, EventType.CLICK)
    actor, time = log.actor[views], log.time[views]
    order = np.lexsort((time, actor))
    actor, time = actor[order], time[order]
    same = actor[most:] == actor[:-most]
    hasty: Ints = actor[most:][same & (time[most:] - time[:-most] <= MINUTE_MICROS)]
    return hasty
