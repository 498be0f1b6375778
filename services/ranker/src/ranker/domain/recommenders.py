"""Requests to recommenders by counts and their results.

serving/ranking/recommenders.py has the formula of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import NamedTuple

from ranker.domain.counting import ALL
from sightline_rules.fast_dataclass import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class CountScope:
    """Restriction of counts to products and shoppers."""

    groups: tuple[str, ...] = ()
    """Names of features, at most a category's and a price band's; empty: all products."""
    segment: str = ALL


@fast_dataclass(frozen=True, slots=True)
class CountsQuery:
    """Query of a catalog's counts."""

    near: Sequence[tuple[str, str]] = ()
    """Kinds of pairs, and products whose related products are requested."""
    scope: CountScope = CountScope()
    trending: int = 0
    """Number of products with the most recent interest to return; 0: none."""
    best: int = 0
    """Number of best-selling products to return; 0: none."""
    actor: str = ""
    """Pseudonym of the shopper whose purchases are read; empty: none."""


class Near(NamedTuple):
    """A product related to another one; a tuple, because a request reads hundreds."""

    kind: str
    product_id: str
    other_id: str
    days: int
    """Number of days on which both occurred together; for a product with itself: with any other
    one."""
    other_days: int
    """Number of days on which the other product occurred with any."""


@fast_dataclass(frozen=True, slots=True)
class Counted:
    """Result of a query of counts."""

    near: Sequence[Near] = ()
    trending: Sequence[tuple[str, float, float]] = ()
    """Products with the logarithms of their recent and of their usual interest."""
    whole: tuple[float, float] | None = None
    """The same two logarithms over all products, for the shoppers of the scope; `None` if there are
    none."""
    best: Sequence[tuple[str, float]] = ()
    """Products with the logarithm of units sold, highest first."""
    purchases: Sequence[tuple[int, Mapping[str, int]]] = ()
    """The shopper's purchases by day, newest first: units by product."""
    gaps: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """By bought product, and for ALL: number of repeated purchases by interval."""
    lag_micros: int = 0
