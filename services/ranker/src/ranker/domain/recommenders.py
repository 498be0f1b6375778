"""Requests to recommenders by counts and their results.

serving/ranking/recommenders.py has the formula of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ranker.domain.counting import ALL


class Recommender(StrEnum):
    """Recommenders, as requests name them."""

    BEST_SELLERS = "best_sellers"
    CO_PURCHASE = "co_purchase"
    CO_VIEW = "co_view"
    RECENTLY_VIEWED = "recently_viewed"
    REORDER = "reorder"
    TRENDING = "trending"


class AnchorSource(StrEnum):
    """Where a shopper's anchors come from, as Anchors.Source without its prefix."""

    VIEWED = "VIEWED"
    CART = "CART"
    BOUGHT = "BOUGHT"


@dataclass(frozen=True, slots=True)
class RequestAnchors:
    """What a request is about."""

    product_ids: tuple[str, ...] = ()
    """The most important first; they come before the source."""
    source: AnchorSource | None = None


@dataclass(frozen=True, slots=True)
class CountScope:
    """Whose events of which products are counted."""

    groups: tuple[str, ...] = ()
    """Names of features, at most a category's and a price band's; empty = all products."""
    segment: str = ALL


@dataclass(frozen=True, slots=True)
class CountsQuery:
    """What is to be read of a catalog's counts."""

    near: Sequence[tuple[str, str]] = ()
    """Kinds of pairs and products whose others are wanted."""
    scope: CountScope = CountScope()
    trending: int = 0
    """How many products with the most recent interest; 0 = none."""
    best: int = 0
    """How many of those that sold most; 0 = none."""
    actor: str = ""
    """Pseudonym of the shopper whose purchases are read; empty: no purchases."""


@dataclass(frozen=True, slots=True)
class Near:
    """A product that stood beside another one."""

    kind: str
    product_id: str
    other_id: str
    count: int
    """On how many days they stood together; of a product beside itself, beside any other."""
    other_count: int
    """On how many days the other one stood beside any."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What counts say."""

    near: Sequence[Near] = ()
    trending: Sequence[tuple[str, float, float]] = ()
    """Products with the logarithms of their recent and of their usual interest."""
    whole: tuple[float, float] | None = None
    """The same two of the shoppers of the scope, whatever they are interested in; None = none."""
    best: Sequence[tuple[str, float]] = ()
    """Products with the logarithm of what they sold, most first."""
    purchases: Sequence[tuple[int, Mapping[str, int]]] = ()
    """The shopper's, by day, newest first: pieces by product."""
    gaps: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """By bought product, and for ALL, how often it was bought again after which interval."""
    lag_micros: int = 0
