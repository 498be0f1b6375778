"""Exposure of groups of products, and what groups of shoppers got. NumPy only.

The exposure of a product at place i is 1 / log2(1 + i), as in Singh and Joachims 2018, "Fairness of
Exposure in Rankings" (KDD). A group's share is a ratio of sums over answers; its interval follows
from the spread of the answers (Cochran 1977, "Sampling Techniques", chapter 6).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Z = 1.959963984540054
"""Quantile of a 95% interval."""
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
    successful: bool
    """Whether it was clicked or bought."""


@dataclass(frozen=True, slots=True)
class GroupExposure:
    """Exposure of one group of products."""

    value: str
    product_count: int
    share: float
    share_low: float
    share_high: float
    outcomes_per_exposure: float


@dataclass(frozen=True, slots=True)
class Opportunity:
    """What shoppers with one value of an attribute got."""

    value: str
    shopper_count: int
    answer_count: int
    success_share: float
    success_low: float
    success_high: float


def exposures(shown: Sequence[ShownProduct], groups: Mapping[str, str]) -> list[GroupExposure]:
    """Return the exposure of each group, largest first. `groups`: the group of each product; others
    are in the group ""."""
    if not shown:
        return []
    names, group = np.unique([groups.get(one.product_id, "") for one in shown], return_inverse=True)
    answers, answer = np.unique([one.answer_id for one in shown], return_inverse=True)
    given = np.array([one.weight / math.log2(1 + one.place) for one in shown])
    successes = np.array([one.weight * one.successful for one in shown])
    total = np.bincount(answer, given, len(answers))
    whole, count = total.sum(), len(answers)
    found = []
    for place, name in enumerate(names.tolist()):
        theirs = group == place
        got = np.bincount(answer[theirs], given[theirs], count)
        share = float(got.sum() / whole)
        spread = float(((got - share * total) ** 2).sum()) * count / max(count - 1, 1)
        half = Z * math.sqrt(spread) / float(whole)
        found.append(
            GroupExposure(
                value=name,
                product_count=len(
                    {one.product_id for one, is_ in zip(shown, theirs, strict=True) if is_}
                ),
                share=share,
                share_low=max(share - half, 0.0),
                share_high=min(share + half, 1.0),
                outcomes_per_exposure=float(successes[theirs].sum() / given[theirs].sum()),
            )
        )
    return sorted(found, key=lambda one: (-one.share, one.value))[:MOST_GROUPS]


def opportunities(shown: Sequence[ShownProduct], values: Mapping[str, str]) -> list[Opportunity]:
    """Return what shoppers with each value got, by value. `values`: of the attribute by shopper."""
    actors: dict[str, set[str]] = {}
    answers: dict[str, dict[str, bool]] = {}
    for one in shown:
        if (value := values.get(one.actor)) is not None:
            actors.setdefault(value, set()).add(one.actor)
            theirs = answers.setdefault(value, {})
            theirs[one.answer_id] = theirs.get(one.answer_id, False) or one.successful
    return [
        Opportunity(
            value,
            len(actors[value]),
            len(theirs),
            sum(theirs.values()) / len(theirs),
            *wilson(sum(theirs.values()), len(theirs)),
        )
        for value, theirs in sorted(answers.items())
        if len(actors[value]) >= LEAST_SHOPPERS
    ]


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Return the 95% interval of a share (Wilson 1927)."""
    share, square = successes / count, Z * Z / count
    middle = (share + square / 2) / (1 + square)
    half = Z * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)
