"""The parts of raw scores that are no branches: the one place that lists them.

To add a part by a number of the product: a row in NUMBERS, its computation in the gateway's
ranking/number_parts.py, and the reason's sentence. To add a part of behaviour that a training
learns: a row in BEHAVIOUR, and its learner in the ranker's learning/training/sums.py. Only one of
PartKind.OWN also needs code in serving/ranking/parts.py.
"""

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import NamedTuple


class PartKind(Enum):
    """Source of a part of behaviour. Models store, and the ranker scores, explains and unlearns by
    the kind."""

    OWN = auto()
    """Code of its own."""
    LIKED = auto()
    """Learned weights of pairs: those of the last products of interest for a product, summed."""
    BOUGHT = auto()
    """Learned weights of pairs: those of the last products that were bought or put into the cart,
    summed."""
    NUMBER = auto()
    """A learned number of each product, for shoppers of whom anything is known."""


class BehaviourPart(NamedTuple):
    """A part that the ranker computes for every candidate."""

    reason: str
    """Code of its reason."""
    kind: PartKind = PartKind.OWN


BEHAVIOUR: Mapping[str, BehaviourPart] = MappingProxyType(
    {
        "taste": BehaviourPart("MATCHES_TASTE"),
        "session": BehaviourPart("SIMILAR_TO_VIEWED"),
        "item_item": BehaviourPart("LIKED_TOGETHER", PartKind.LIKED),
        "bought_together": BehaviourPart("BOUGHT_WITH", PartKind.BOUGHT),
        "content": BehaviourPart("MATCHES_TASTE"),
        "trend": BehaviourPart("POPULAR", PartKind.NUMBER),
        "popularity": BehaviourPart("POPULAR"),
    }
)


def _of(*kinds: PartKind) -> tuple[str, ...]:
    return tuple(name for name, part in BEHAVIOUR.items() if part.kind in kinds)


BY_LIKED = frozenset(_of(PartKind.LIKED))
BY_NEIGHBOURS = _of(PartKind.LIKED, PartKind.BOUGHT)
"""Parts by weights of pairs of products (`Model.neighbours` of the ranker)."""
BY_NUMBER = _of(PartKind.NUMBER)
"""Parts by a number of each product (`Model.numbers` of the ranker)."""
BY_LAST = ("session", *BY_NEIGHBOURS)
"""Parts by a shopper's last products, or by a request's anchors if it has any."""

FRESHNESS, RATING, STOCK, MARGIN = "freshness", "rating", "stock", "margin"
LOW_PRICE = "low_price"

FEATURED = "FEATURED"
"""Reason that says no more than that the shop prefers the product."""

NUMBERS: Mapping[str, str] = MappingProxyType(
    {FRESHNESS: "NEW", RATING: "RATING", STOCK: "STOCK", MARGIN: FEATURED, LOW_PRICE: FEATURED}
)
"""Codes of the reasons of parts that the gateway computes from numbers of the product."""
