"""What events say about liking a product.

Interest, as the weight that training gives it:

=============  ======================================
VIEW           0.3
CLICK          0.4
ADD_TO_CART    0.8
PURCHASE       1.0
RATING         value / 5 from 3.5 stars up; below, none
=============  ======================================

A shopper's interest in a product is the strongest of their events with it. The last rating decides:
below 3.5 stars it takes back the views and purchases before it, and so does HIDE until UNHIDE.
IMPRESSION and SEARCH say nothing about liking a product.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ranker.model import EventType, Interaction

LIKED_RATING = 3.5
"""Stars from which a rating counts as interest: 79% of the example's ratings are there or above."""

WEIGHTS = {
    EventType.VIEW: 0.3,
    EventType.CLICK: 0.4,
    EventType.ADD_TO_CART: 0.8,
    EventType.PURCHASE: 1.0,
}
INTEREST = frozenset({*WEIGHTS, EventType.RATING})
"""Types that speak of interest in a product, for or against."""


@dataclass(frozen=True, slots=True)
class Positive:
    """A shopper's interest in a product."""

    actor: str
    product_id: str
    weight: float
    """Above 0, at most 1."""
    time_micros: int
    """Of the newest event that it rests on."""


def interest(event: Interaction) -> float:
    """How much one event speaks for a product, 0 to 1."""
    if event.type is EventType.RATING:
        value = event.value or 0.0
        return value / 5 if value >= LIKED_RATING else 0.0
    return WEIGHTS.get(event.type, 0.0)


def positives(events: Iterable[Interaction]) -> tuple[Positive, ...]:
    """All interests, sorted by shopper and product. `events` may come in any order."""
    found: dict[tuple[str, str], Positive] = {}
    hidden: set[tuple[str, str]] = set()
    for event in sorted(events, key=lambda event: (event.time_micros, event.event_id)):
        key = (event.actor, event.product_id)
        if event.type is EventType.HIDE:
            hidden.add(key)
        elif event.type is EventType.UNHIDE:
            hidden.discard(key)
        elif event.type is EventType.RATING and interest(event) == 0:
            found.pop(key, None)
        elif (weight := interest(event)) > 0:
            known = found.get(key)
            strongest = max(weight, known.weight) if known else weight
            found[key] = Positive(*key, strongest, event.time_micros)
    return tuple(found[key] for key in sorted(found) if key not in hidden)


def recent_products(events: Sequence[Interaction], hidden: frozenset[str]) -> tuple[str, ...]:
    """Products of interest, newest first, each once; `events` are newest first."""
    products: dict[str, bool] = {}
    for event in events:
        if event.product_id not in hidden:
            products.setdefault(event.product_id, interest(event) > 0)
    return tuple(product for product, liked in products.items() if liked)
