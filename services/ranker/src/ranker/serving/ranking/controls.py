"""Applies controls to a ranking: pinned, boosted and buried products (sightline_rules.controls).

Boosts act before the policy. The policy does not see pinned and buried products, so that a pinned
one keeps its position whatever is drawn, and the others' propensities are those of an order without
them: positions of caps and exploration are counted without pinned ones.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from ranker.domain.arrays import Ints
from ranker.serving.ranking.diversity import Arrangement, MoveCause, RankPolicy
from ranker.serving.ranking.rank import ScoredCandidates
from sightline_rules.controls import Control, Lineup, apply_boosts, seats


class Arrange(Protocol):
    """Arranges a ranking by a policy."""

    def __call__(self, ranking: ScoredCandidates, /, *, policy: RankPolicy) -> Arrangement: ...


def controlled(
    ranking: ScoredCandidates,
    policy: RankPolicy,
    controls: Sequence[Control],
    arrange: Arrange,
) -> tuple[Arrangement, Lineup, ScoredCandidates]:
    """Arrange candidates under controls: pinned ones first, buried ones last. Return the
    arrangement, the order after boosts, and the candidates that `arrange` received.
    """
    rows = ranking.rows.tolist()
    line = apply_boosts(rows, ranking.raw_scores.tolist(), controls)
    at = {row: place for place, row in enumerate(rows)}
    places = np.array([at[row] for row in line.rows], np.int64)
    free = slice(line.pinned, line.pinned + line.free)
    left = replace(ranking.take(places[free]), raw_scores=np.array(line.scores[free]))
    rest = arrange(left, policy=_beside(policy, seats(controls, frozenset(rows))))
    before = np.arange(len(rows))
    before[free] = line.pinned + rest.order
    order = places[before]
    moves: dict[MoveCause, Ints] = {}
    for cause, steps in rest.moves.items():
        moves[cause] = np.zeros(len(rows), np.int64)
        moves[cause][free] = steps
    moves[MoveCause.CONTROL] = order - before
    propensities = np.ones(len(rows))
    propensities[free] = rest.propensities
    return Arrangement(order, moves, propensities), line, left


def _beside(policy: RankPolicy, taken: Collection[int]) -> RankPolicy:
    """Return the policy for the other products, given the positions `taken` by pinned ones."""
    if not taken or not policy.steps:
        return policy
    capped = sum(place <= policy.cap_places for place in taken)
    return replace(
        policy,
        cap_places=max(policy.cap_places - capped, 1),
        exploration_places=tuple(
            place - sum(one < place for one in taken)
            for place in policy.exploration_places
            if place not in taken
        ),
    )
