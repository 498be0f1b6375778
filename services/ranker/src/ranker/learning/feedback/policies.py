"""What other orders of the recorded candidates would have earned in clicks. NumPy only.

Each policy is a definite order of an answer's candidates: it puts one product at each place, with a
chance of 1. It is judged by the places that were shown (estimators.py); where it would have put
another product than stood there, the row's weight is 0, and the doubly robust estimate takes the
click model's word (clicks.py), which is fitted on the other half of the answers.
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
"""Impressions from which the click model is fitted; before, its word is that nothing is clicked,
which leaves DR what IPS is."""


@dataclass(frozen=True, slots=True)
class OrderPolicy:
    name: str
    estimates: Estimates


def policies(
    feedback: Feedback,
    blends: Mapping[str, Mapping[str, float]],
    candidate: tuple[str, Mapping[str, float]] | None = None,
) -> tuple[OrderPolicy, ...]:
    """Return what was served, the order by raw score alone, and the candidate's blend of the
    same parts. `blends`: by model version. `candidate`: (name, blend)."""
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
    """Chances of clicks by models that were fitted on the other half of the answers."""

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
    """Return the impressions for the estimators. `order`: the policy's, as rows by answer and
    place; None: what was served, which needs no propensity."""
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
