"""Why something was clicked: because it was looked at, and because it was liked. NumPy only.

The examination model (Richardson, Dominowska, Ragno 2007, WWW; Craswell, Zoeter, Taylor, Ramsey
2008, WSDM): a product with the parts x at place k is clicked with the chance

    μ = θ_k · σ(b + w·x)          θ of the first places = 1, w ≥ 0

θ_k: how often place k is looked at, against the first; σ(…): how often the product is clicked when
it is looked at. Both are found at once, as in Wang, Golbandi, Bendersky, Metzler, Najork 2018
(WSDM), without any experiment: shoppers differ, so products with the same parts stand now here, now
there. A plain regression would take the first places' clicks for a proof of what put them there.
"""

from dataclasses import dataclass

import numpy as np

from ranker.model import Doubles, Ints

PLACES = (*range(1, 11), 11, 21, 51)
"""First places of the groups that share a θ: 1 to 10 have their own."""
RIDGE = 1.0
"""Penalty on half the square of a weight, of a part of unit spread, in observations' terms."""
SMOOTH = 1.0
"""The same on the difference of two neighbouring log θ, so that a group that was never shown has
that of the one before."""
STEPS = 100
CLOSE = 1e-7
"""Where it ends: the gain of a step, a part of the likelihood's size."""
FLOOR = 1e-6
"""Least chance of a click: its logarithm is taken."""


@dataclass(frozen=True, slots=True)
class ClickModel:
    """What was learned of clicks."""

    intercept: float
    weights: Doubles
    """(parts,) at least 0"""
    examination: Doubles
    """(groups of places,) θ, above 0 to 1; along `PLACES`"""

    def attraction(self, parts: Doubles) -> Doubles:
        """(rows,) the chance of a click when it is looked at, of (rows, parts)."""
        return _sigmoid(self.intercept + parts @ self.weights)

    def looked_at(self, place: Ints) -> Doubles:
        """(rows,) θ of the places, from 1."""
        found: Doubles = self.examination[groups(place)]
        return found

    def chance(self, parts: Doubles, place: Ints) -> Doubles:
        """(rows,) the chance of a click."""
        return self.looked_at(place) * self.attraction(parts)


def groups(place: Ints) -> Ints:
    """(rows,) which group of `PLACES` each place, from 1, is in."""
    return np.searchsorted(PLACES, place, side="right") - 1


def fit(parts: Doubles, place: Ints, clicked: Doubles, weight: Doubles) -> ClickModel:
    """The most likely model of (rows, parts), places from 1, clicks (0 or 1) and rows' weights.

    Fisher scoring: each step minimises a quadratic under the bounds and is halved until it gains.
    """
    spread = parts.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    problem = _Problem(parts / scale, groups(place), clicked, weight)
    at = problem.start()
    loss = problem.loss(at)
    for _ in range(STEPS):
        gradient, curvature = problem.step(at)
        toward = _bounded(gradient, curvature, problem.lower - at, problem.upper - at)
        length, next_loss = 1.0, problem.loss(at + toward)
        while next_loss > loss and length > 1e-4:
            length /= 2
            next_loss = problem.loss(at + length * toward)
        if next_loss > loss - CLOSE * abs(loss):
            break
        at, loss = at + length * toward, next_loss
    count = parts.shape[1]
    return ClickModel(
        intercept=float(at[0]),
        weights=at[1 : 1 + count] / scale,
        examination=np.exp(np.append(0.0, at[1 + count :])),
    )


class _Problem:
    """The negative log likelihood of (b, w of unit spread, log θ from the second group on)."""

    def __init__(self, parts: Doubles, group: Ints, clicked: Doubles, weight: Doubles) -> None:
        count, groups_ = parts.shape[1], len(PLACES)
        self._linear = np.column_stack([np.ones(len(parts)), parts])
        self._group, self._clicked, self._weight = group, clicked, weight
        self.lower = np.concatenate([[-np.inf], np.zeros(count), np.full(groups_ - 1, -10.0)])
        self.upper = np.concatenate([[np.inf], np.full(count, np.inf), np.zeros(groups_ - 1)])
        self._penalty = np.zeros((len(self.lower), len(self.lower)))
        self._penalty[range(1, 1 + count), range(1, 1 + count)] = RIDGE
        steps = np.eye(groups_)[1:] - np.eye(groups_)[:-1]
        self._penalty[1 + count :, 1 + count :] = SMOOTH * (steps.T @ steps)[1:, 1:]

    def start(self) -> Doubles:
        """No weights, all places alike, the mean chance."""
        share = np.clip(self._clicked @ self._weight / self._weight.sum(), 1e-4, 1 - 1e-4)
        return np.concatenate([[np.log(share / (1 - share))], np.zeros(len(self.lower) - 1)])

    def loss(self, at: Doubles) -> float:
        """What is to be as small as may be."""
        chance, _ = self._chance(at)
        likely = self._clicked * np.log(chance) + (1 - self._clicked) * np.log1p(-chance)
        return float(at @ self._penalty @ at / 2 - self._weight @ likely)

    def step(self, at: Doubles) -> tuple[Doubles, Doubles]:
        """Gradient and expected curvature (Fisher information)."""
        chance, attraction = self._chance(at)
        slopes = np.zeros((len(chance), len(at)))
        slopes[:, : self._linear.shape[1]] = (chance * (1 - attraction))[:, None] * self._linear
        rows = np.flatnonzero(self._group > 0)
        slopes[rows, self._linear.shape[1] - 1 + self._group[rows]] = chance[rows]
        precision = self._weight / (chance * (1 - chance))
        gradient = self._penalty @ at - slopes.T @ (precision * (self._clicked - chance))
        return gradient, self._penalty + slopes.T @ (precision[:, None] * slopes)

    def _chance(self, at: Doubles) -> tuple[Doubles, Doubles]:
        count = self._linear.shape[1]
        attraction = _sigmoid(self._linear @ at[:count])
        seen = np.exp(np.append(0.0, at[count:]))[self._group]
        return np.clip(seen * attraction, FLOOR, 1 - FLOOR), attraction


def _bounded(gradient: Doubles, curvature: Doubles, lower: Doubles, upper: Doubles) -> Doubles:
    """The step of least gradient·x + x·curvature·x / 2 within the bounds, by coordinate descent."""
    step = np.zeros(len(gradient))
    slope = gradient.copy()
    diagonal = np.maximum(np.diag(curvature), 1e-12)
    for _ in range(500):
        largest = 0.0
        for one in range(len(step)):
            new = min(max(step[one] - slope[one] / diagonal[one], lower[one]), upper[one])
            moved = new - step[one]
            if moved:
                slope += moved * curvature[:, one]
                step[one] = new
                largest = max(largest, abs(moved))
        if largest < 1e-10:
            break
    return step


def _sigmoid(values: Doubles) -> Doubles:
    found: Doubles = 1 / (1 + np.exp(-np.clip(values, -30, 30)))
    return found
