"""Why something was clicked: because it was looked at, and because it was liked.

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

from ranker.domain.arrays import Doubles, Ints

PLACES = (*range(1, 11), 11, 21, 51)
"""First places of the groups that share a θ: 1 to 10 have their own."""
RIDGE = 1.0
"""Penalty on half the square of a weight, of a part of unit spread, in observations' terms."""
SMOOTH = 1.0
"""The same on the difference of two neighbouring log θ, so that a group that was never shown has
that of the one before."""
STEPS = 500
CLOSE = 1e-10
"""Where it ends: the gain of a step, a part of the likelihood's size."""
FLOOR = 1e-6
"""Least chance of a click: its logarithm is taken."""


@dataclass(frozen=True, slots=True)
class ClickModel:
    intercept: float
    weights: Doubles
    """(parts,) at least 0"""
    examination: Doubles
    """(groups of places,) θ, above 0 to 1; along `PLACES`"""

    def attraction(self, parts: Doubles) -> Doubles:
        """Return the chance of a click on examined products, (rows,), of (rows, parts)."""
        return _sigmoid(self.intercept + parts @ self.weights)

    def looked_at(self, place: Ints) -> Doubles:
        """Return the chance of examination θ at places, (rows,). Places count from 1."""
        found: Doubles = self.examination[groups(place)]
        return found

    def chance(self, parts: Doubles, place: Ints) -> Doubles:
        return self.looked_at(place) * self.attraction(parts)


def groups(place: Ints) -> Ints:
    """Return the group of `PLACES` of each place, (rows,). Places count from 1."""
    return np.searchsorted(PLACES, place, side="right") - 1


def fit(parts: Doubles, place: Ints, clicked: Doubles, weight: Doubles) -> ClickModel:
    """Return the most likely model of (rows, parts), places from 1, clicks (0 or 1) and rows'
    weights."""
    from scipy.optimize import minimize  # of the extra `train`: what serves learns nothing

    spread = parts.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    varying = np.where(spread > 0, parts / scale, 0.0)  # what is constant is the intercept's
    problem = _Problem(varying, groups(place), clicked, weight)
    at = minimize(
        problem.loss,
        problem.start(),
        jac=True,
        method="L-BFGS-B",
        bounds=problem.bounds,
        options={"maxiter": STEPS, "ftol": CLOSE},
    ).x
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
        self.bounds = [(None, None), *[(0.0, None)] * count, *[(-10.0, 0.0)] * (groups_ - 1)]
        self._penalty = np.zeros((len(self.bounds), len(self.bounds)))
        self._penalty[range(1, 1 + count), range(1, 1 + count)] = RIDGE
        steps = np.eye(groups_)[1:] - np.eye(groups_)[:-1]
        self._penalty[1 + count :, 1 + count :] = SMOOTH * (steps.T @ steps)[1:, 1:]

    def start(self) -> Doubles:
        """Return the initial parameters: no weights, all places alike, the mean probability."""
        share = np.clip(self._clicked @ self._weight / self._weight.sum(), 1e-4, 1 - 1e-4)
        return np.concatenate([[np.log(share / (1 - share))], np.zeros(len(self.bounds) - 1)])

    def loss(self, at: Doubles) -> tuple[float, Doubles]:
        """Return the loss to minimise and its gradient."""
        count = self._linear.shape[1]
        attraction = _sigmoid(self._linear @ at[:count])
        seen = np.exp(np.append(0.0, at[count:]))[self._group]
        chance = np.clip(seen * attraction, FLOOR, 1 - FLOOR)
        likely = self._clicked * np.log(chance) + (1 - self._clicked) * np.log1p(-chance)
        slope = self._weight * (self._clicked - chance) / (1 - chance)  # by log chance
        by_place = np.bincount(self._group, slope, minlength=len(PLACES))[1:]
        rising = np.append(self._linear.T @ (slope * (1 - attraction)), by_place)
        penalised = self._penalty @ at
        return float(at @ penalised / 2 - self._weight @ likely), penalised - rising


def _sigmoid(values: Doubles) -> Doubles:
    found: Doubles = 1 / (1 + np.exp(-np.clip(values, -30, 30)))
    return found
