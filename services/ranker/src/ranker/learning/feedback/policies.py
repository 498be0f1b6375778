"""Off-policy estimates of clicks for other orders of recorded candidates. NumPy only.

Each policy is a deterministic order of an answer's candidates: one product at each place, with
probability 1. It is estimated on the shown places (estimators.py). If it puts another product
there, the row's weight is 0, and the doubly robust estimate uses the click model (clicks.py), which
is fitted on the other half of the answers.

All orders are compared on the same places: those at which each of them is known. An order that is
known at fewer than half of the shown places is not measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ranker.domain.arrays import Doubles, Ints, part
from ranker.domain.feedback import Feedback
from ranker.learning.feedback import clicks
from ranker.learning.feedback.estimators import (
    LEAST_SUPPORT,
    Estimates,
    LoggedShows,
    estimate,
    supported,
)
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
    scores = {RAW_SCORE: feedback.raw_score}
    if candidate is not None:
        reweighed = _reweighed(feedback, blends, candidate[1])
        if reweighed is not None:
            scores[f"blend of {candidate[0]}"] = reweighed
    orders = {
        name: _order(feedback.answer, values, feedback.rank) for name, values in scores.items()
    }
    logged = {SERVED: _logged(feedback, predictor)}
    logged |= {name: _logged(feedback, predictor, order) for name, order in orders.items()}
    return compared(logged)


def compared(logged: Mapping[str, LoggedShows]) -> tuple[OrderPolicy, ...]:
    """Return the estimates of the policies on the places at which all of them are known, without
    those policies that are known at too few."""
    known = {name: supported(one) for name, one in logged.items()}
    refused = {name for name, one in logged.items() if _covered(one, known[name]) < LEAST_SUPPORT}
    places = {place for one in known.values() for place in one.tolist()}
    for name in known.keys() - refused:
        places &= {*known[name].tolist()}
    common = np.array(sorted(places), np.int64)
    return tuple(
        OrderPolicy(name, _refused(one))
        if name in refused
        else OrderPolicy(name, estimate(part(one, np.isin(one.place, common))))
        for name, one in logged.items()
    )


def _covered(logged: LoggedShows, places: Ints) -> float:
    total = float(logged.weight.sum())
    return float(logged.weight @ np.isin(logged.place, places)) / total if total else 0.0


def _refused(logged: LoggedShows) -> Estimates:
    found = estimate(logged)
    why = "NOT MEASURED: what the order shows was shown there at fewer than half of the places"
    return replace(found, ips=None, snips=None, doubly_robust=None, refusal=found.refusal or why)


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
        place=place,
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
