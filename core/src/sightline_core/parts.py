"""The parts of raw scores that are no branches: the one place that lists them.

To add a part by a number of the product: a row in NUMBERS, its computation in the gateway's
ranking/number_parts.py, and the reason's sentence. To add a part of behaviour: a row in BEHAVIOUR,
and its computation in the ranker's serving/ranking/parts.py.
"""

from collections.abc import Mapping
from types import MappingProxyType

BEHAVIOUR: Mapping[str, str] = MappingProxyType(
    {
        "taste": "MATCHES_TASTE",
        "session": "SIMILAR_TO_VIEWED",
        "item_item": "LIKED_TOGETHER",
        "bought_together": "BOUGHT_WITH",
        "content": "MATCHES_TASTE",
        "trend": "POPULAR",
        "popularity": "POPULAR",
    }
)
"""Codes of the reasons of parts that the ranker computes for every candidate."""

FRESHNESS, RATING, STOCK, MARGIN = "freshness", "rating", "stock", "margin"
LOW_PRICE = "low_price"

FEATURED = "FEATURED"
"""Reason that says no more than that the shop prefers the product."""

NUMBERS: Mapping[str, str] = MappingProxyType(
    {FRESHNESS: "NEW", RATING: "RATING", STOCK: "STOCK", MARGIN: FEATURED, LOW_PRICE: FEATURED}
)
"""Codes of the reasons of parts that the gateway computes from numbers of the product."""
