"""Click model: separates examination of a place from attraction of a product.

The examination model (Richardson, Dominowska, Ragno 2007, WWW; Craswell, Zoeter, Taylor, Ramsey
2008, WSDM): a product with the parts x at place k is clicked with the probability

    μ = θ_k · σ(b + w·x)          θ of the first places = 1, w ≥ 0

θ_k: probability that place k is examined, relative to the first; σ(…): probability of a click when
examined. Both are fitted jointly, as in Wang, Golbandi, Bendersky, Metzler, Najork 2018 (WSDM),
without randomized experiments, since different shoppers see products with equal parts at different
places. A plain regression would attribute the clicks of the first places to the scores that put
products there.
"""

from dataclasses import dataclass

import numpy as np

from ranker.domain.arrays import Doubles, Ints

PLACES = (*range(1, 11), 11, 21, 51)
"""First place of each group of places with a common θ; places 1 to 10 have their own."""
RIDGE = 1.0
"""Penalty on half the squared weight of a standardised part, in units of observations."""
SMOOTH = 1.0
"""Penalty on the difference of neighbouring log θ, so that a group that was never shown gets the
value of the group before."""
STEPS = 500
CLOSE = 1e-10
"""Convergence: relative gain of the likelihood in one step."""
FLOOR = 1e-6
"""Minimum probability of a click, because its logarithm is taken."""


@dataclass(frozen=True, slots=True)
class ClickModel:
    intercept: float
    weights: Doubles
    """(parts,) at least 0"""
    examination: Doubles
    """(groups of places,) θ, above 0 to 1; along `PLACES`"""

    def attraction(self, parts: Doubles) -> Doubles:
        """Return the click probability of examined products, (rows,), by parts (rows, parts)."""
        return _sigmoid(self.intercept + parts @ self.weights)

    def looked_at(self, place: Ints) -> Doubles:
        """Return the examination probability θ of places, (rows,). Places count from 1."""
        found: Doubles = self.examination[groups(place)]
        return found

    def chance(self, parts: Doubles, place: Ints) -> Doubles:
        return self.looked_at(place) * self.attraction(parts)


def groups(place: Ints) -> Ints:
    """Return the group of `PLACES` of each place, (rows,). Places count from 1."""
    return np.searchsorted(PLACES, place, side="right") - 1


def fit(parts: Doubles, place: Ints, clicked: Doubles, weight: Doubles) -> ClickModel:
    """Fit by maximum likelihood to (rows, parts), places from 1, clicks (0 or 1) and rows'
    weights."""
    from scipy.optimize import minimize  # of the extra `train`, which servers lack

    spread = parts.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    varying = np.where(spread > 0, parts / scale, 0.0)  # constant parts belong to the intercept
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
    """Negative log likelihood of (b, standardised w, log θ from the second group on)."""

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
        """Return the initial parameters: zero weights, equal places, the mean click probability."""
        share = np.clip(self._clicked @ self._weight / self._weight.sum(), 1e-4, 1 - 1e-4)
        return np.concatenate([[np.log(share / (1 - share))], np.zeros(len(self.bounds) - 1)])

    def loss(self, at: Doubles) -> tuple[float, Doubles]:
        """Return the loss to minimise and its gradient."""
        count = self._linear.shape[1]
        attraction = _sigmoid(self._linear @ at[:count])
        seen = np.exp(np.append(0.0, at[count:]))[self._group]
        chance = np.clip(seen * attraction, FLOOR, 1 - FLOOR)
        likely = self._clicked * np.log(chance) + (1 - self._clicked) * np.log1p(-chance)
        # Derivative by the log probability.
        slope = self._weight * (self._clicked - chance) / (1 - chance)
        by_place = np.bincount(self._group, slope, minlength=len(PLACES))[1:]
        rising = np.append(self._linear.T @ (slope * (1 - attraction)), by_place)
        penalised = self._penalty @ at
        return float(at @ penalised / 2 - self._weight @ likely), penalised - rising


def _sigmoid(values: Doubles) -> Doubles:
    found: Doubles = 1 / (1 + np.exp(-np.clip(values, -30, 30)))
    return found
