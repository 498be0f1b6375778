"""Exposure of groups of products, and what groups of shoppers got. NumPy only.

The exposure of a product at place i is 1 / log2(1 + i), as in Singh and Joachims 2018, "Fairness of
Exposure in Rankings" (KDD). A share is a ratio of sums over shoppers; its interval follows from the
spread of the shoppers, whose answers are alike (Cochran 1977, "Sampling Techniques", chapter 6).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ranker.domain.arrays import Doubles, Ints
from sightline_rules.shares import Z95, wilson

LEAST_SHOPPERS = 20
"""Minimum number of shoppers of a group that is reported."""
MOST_GROUPS = 1_000


class ShownProduct(NamedTuple):
    """A product of an answer."""

    answer_id: str
    actor: str
    """Pseudonym of the shopper; empty if unknown."""
    product_id: str
    place: int
    """From 1."""
    weight: float
    """Number of answers that this one represents."""
    successful: bool | None
    """True if it was clicked or bought; None: unknown."""


@dataclass(frozen=True, slots=True)
class GroupExposure:
    """Exposure of one group of products."""

    value: str
    product_count: int
    share: float
    share_low: float
    share_high: float
    outcomes_per_exposure: float | None
    """None: unknown."""


@dataclass(frozen=True, slots=True)
class Opportunity:
    """What shoppers with one value of an attribute got."""

    value: str
    shopper_count: int
    answer_count: int
    success_share: float | None
    """None: unknown, like its interval."""
    success_low: float | None
    success_high: float | None


def exposures(shown: Sequence[ShownProduct], groups: Mapping[str, str]) -> list[GroupExposure]:
    """Return the exposure of each group, largest first. `groups`: the group of each product; others
    are in the group ""."""
    if not shown:
        return []
    names, group = np.unique([groups.get(one.product_id, "") for one in shown], return_inverse=True)
    # An answer without a shopper counts as a shopper of its own.
    _, row = np.unique([one.actor or one.answer_id for one in shown], return_inverse=True)
    given = np.array([one.weight / math.log2(1 + one.place) for one in shown])
    successes = np.array([one.weight * bool(one.successful) for one in shown])
    known = all(one.successful is not None for one in shown)
    of_group = np.bincount(group, given, len(names))
    shares = of_group / of_group.sum()  # added as the parts are: no share is above 1 by rounding
    errors = _share_errors(group, row, given, shares)
    outcomes = np.bincount(group, successes, len(names)) / of_group
    products = Counter(groups.get(each, "") for each in {one.product_id for one in shown})
    found = [
        GroupExposure(
            value=name,
            product_count=products[name],
            share=share,
            share_low=max(share - Z95 * error, 0.0),
            share_high=min(share + Z95 * error, 1.0),
            outcomes_per_exposure=outcome if known else None,
        )
        for name, share, error, outcome in zip(
            names.tolist(), shares.tolist(), errors.tolist(), outcomes.tolist(), strict=True
        )
    ]
    return sorted(found, key=lambda one: (-one.share, one.value))[:MOST_GROUPS]


def _share_errors(group: Ints, row: Ints, given: Doubles, shares: Doubles) -> Doubles:
    """Return the standard error of each group's share, as `_ratio` does, in one pass.

    Of a shopper who got g of a group and t in all, (g - share × t)² is g² - 2 share g t
    + share² t²: the first two terms are 0 for shoppers who got nothing of the group.
    """
    count = int(row.max()) + 1
    total = np.bincount(row, given, count)
    pairs, place = np.unique(group.astype(np.int64) * count + row, return_inverse=True)
    got, owner, shopper = np.bincount(place, given), pairs // count, pairs % count
    terms = got**2 - 2 * shares[owner] * got * total[shopper]
    spread = np.bincount(owner, terms, len(shares)) + shares**2 * (total**2).sum()
    scaled = np.maximum(spread, 0.0) * count / max(count - 1, 1)
    errors: Doubles = np.sqrt(scaled) / total.sum()
    return errors


def opportunities(shown: Sequence[ShownProduct], values: Mapping[str, str]) -> list[Opportunity]:
    """Return what shoppers with each value got, by value. `values`: of the attribute by shopper."""
    answers: dict[str, dict[str, dict[str, bool]]] = {}
    known = all(one.successful is not None for one in shown)
    for one in shown:
        if (value := values.get(one.actor)) is not None:
            theirs = answers.setdefault(value, {}).setdefault(one.actor, {})
            theirs[one.answer_id] = theirs.get(one.answer_id, False) or bool(one.successful)
    return [
        _opportunity(value, list(shoppers.values()), known=known)
        for value, shoppers in sorted(answers.items())
        if len(shoppers) >= LEAST_SHOPPERS
    ]


def _opportunity(value: str, shoppers: Sequence[Mapping[str, bool]], *, known: bool) -> Opportunity:
    """Return the opportunity of a group. `shoppers`: for each, True for each successful answer."""
    counts = np.array([len(one) for one in shoppers])
    total = int(counts.sum())
    if not known:
        return Opportunity(value, len(shoppers), total, None, None, None)
    share, error = _ratio(np.array([sum(one.values()) for one in shoppers]), counts)
    # The number of independent answers whose share has this error. If all shoppers had the same
    # success, as when there was none, each of them counts as one answer.
    size = share * (1 - share) / error**2 if error else len(shoppers)
    return Opportunity(value, len(shoppers), total, share, *wilson(share, min(size, total)))


def _ratio(parts: Doubles | Ints, wholes: Doubles | Ints) -> tuple[float, float]:
    """Return the ratio of two sums over shoppers, and its standard error."""
    whole, count = float(wholes.sum()), len(wholes)
    ratio = float(parts.sum()) / whole
    spread = float(((parts - ratio * wholes) ** 2).sum()) * count / max(count - 1, 1)
    return ratio, math.sqrt(spread) / whole
