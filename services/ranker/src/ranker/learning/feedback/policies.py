"""Off-policy estimates of clicks for other orders of recorded candidates. NumPy only.

Each policy is a deterministic order of an answer's candidates: one product at each place, with
probability 1. It is estimated on the shown places (estimators.py). If it puts another product
there, the row's weight is 0, and the doubly robust estimate uses the click model (clicks.py), which
is fitted on the other half of the answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ranker.domain.arrays import Doubles, Ints
from ranker.domain.feedback import Feedback
from ranker.learning.feedback import clicks
from ranker.learning.feedback.estimators import Estimates, LoggedShows, estimate
from ranker.serving.ranking.parts import OWN_PARTS

SERVED, RAW_SCORE = "served", "raw_score"
LEAST_FITTED = 1_000
"""Minimum impressions to fit the click model; with fewer it predicts no clicks, which makes DR
equal to IPS."""


@dataclass(frozen=True, slots=True)
class OrderPolicy:
    name: str
    estimates: Estimates


def policies(
    feedback: Feedback,
    blends: Mapping[str, Mapping[str, float]],
    candidate: tuple[str, Mapping[str, float]] | None = None,
) -> tuple[OrderPolicy, ...]:
    """Return the estimates for the served order, the order by raw score, and the candidate's blend
    of the same parts. `blends`: by model version. `candidate`: (name, blend)."""
    predictor = _Predictor(feedback)
    found = [OrderPolicy(SERVED, estimate(_logged(feedback, predictor)))]
    scores = {RAW_SCORE: feedback.raw_score}
    if candidate is not None:
        reweighed = _reweighed(feedback, blends, candidate[1])
        if reweighed is not None:
            scores[f"blend of {candidate[0]}"] = reweighed
    for name, values in scores.items():
        order = _order(feedback.answer, values, feedback.rank)
        found.append(OrderPolicy(name, estimate(_logged(feedback, predictor, order))))
    return tuple(found)


class _Predictor:
    """Click probabilities by models fitted on the other half of the answers."""

    def __init__(self, feedback: Feedback) -> None:
        self._feedback = feedback
        self._half = feedback.answer % 2
        fitted = [feedback.shown & (self._half == half) for half in (0, 1)]
        self._models = (
            [
                clicks.fit(
                    feedback.parts[rows],
                    feedback.rank[rows],
                    feedback.clicked[rows].astype(np.float64),
                    feedback.weight[rows],
                )
                for rows in fitted
            ]
            if min(int(rows.sum()) for rows in fitted) >= LEAST_FITTED
            else None
        )

    def chance(self, rows: Ints, place: Ints) -> Doubles:
        """Return the click probability of these rows at these places."""
        chances = np.zeros(len(rows))
        if self._models is not None:
            for half, model in enumerate(self._models):
                here = self._half[rows] == 1 - half
                chances[here] = model.chance(self._feedback.parts[rows[here]], place[here])
        return chances


def _logged(feedback: Feedback, predictor: _Predictor, order: Ints | None = None) -> LoggedShows:
    """Return the impressions for the estimators. `order`: the policy's order, as rows by answer and
    place; None: the served order, which needs no propensity."""
    rows = np.flatnonzero(feedback.shown & ((feedback.propensity > 0) | (order is None)))
    place = feedback.rank[rows]
    if order is None:
        chosen, target, propensity = rows, np.ones(len(rows)), np.ones(len(rows))
    else:
        chosen = order[np.searchsorted(feedback.answer, feedback.answer[rows]) + place - 1]
        target = (chosen == rows).astype(np.float64)
        propensity = feedback.propensity[rows]
    return LoggedShows(
        answer=feedback.answer[rows],
        reward=feedback.clicked[rows].astype(np.float64),
        propensity=propensity,
        target=target,
        weight=feedback.weight[rows],
        predicted=predictor.chance(rows, place),
        expected=predictor.chance(chosen, place),
    )


def _order(answer: Ints, scores: Doubles, rank: Ints) -> Ints:
    """Return rows ordered by answer, then falling score, then original rank, (rows,)."""
    order: Ints = np.lexsort((rank, -scores, answer))
    return order


def _reweighed(
    feedback: Feedback, blends: Mapping[str, Mapping[str, float]], blend: Mapping[str, float]
) -> Doubles | None:
    """Return scores by another blend of the same parts, (rows,).

    Return None if some answers lack one of its parts: then the scores are unknown.
    """
    scores = np.zeros(len(feedback))
    for column, name in enumerate(feedback.part_names):
        factors = np.ones(len(feedback.versions))
        if name in OWN_PARTS:
            for code, version in enumerate(feedback.versions):
                usual = blends.get(version, {}).get(name, 0.0)
                if usual <= 0 and blend.get(name, 0.0) > 0:
                    return None
                factors[code] = blend.get(name, 0.0) / usual if usual > 0 else 0.0
        scores += factors[feedback.version] * feedback.parts[:, column]
    return scores
