"""Weights of the parts of behaviour, by direct search on held-out interests. NumPy only.

nDCG@10 is piecewise constant in the weights, so gradient methods do not apply. The search is a
coordinate ascent from the blend that is given and from the best of some drawn at random (Dirichlet,
seeded). Then the simplest blend is chosen: a part is removed if its contribution is within one
standard error of 0, and the given blend stays unless another one is better by more than one
standard error (the rule of Breiman et al. 1984). So weights change only if many shoppers support
it.

Orders do not depend on the sum of the weights; it is kept, because it sets the weight of behaviour
against similarity.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Doubles, Ints
from ranker.domain.recipe import PartBlend
from ranker.serving.ranking.parts import CONTENT, OWN_PARTS, POPULARITY

TOP = 10
POOL = 100
"""Number of first products of each part that are considered for each shopper: the first products of
a weighted sum are mostly among them."""
MOST_TRIES = 400
"""Maximum number of blends to try."""
LEAST_SHOPPERS = 200
"""Minimum number of shoppers: with fewer, a useful part may seem useless, and nothing is chosen."""
_DRAWN = 60
_STEPS = (0.0, 0.5, 0.75, 4 / 3, 2.0)
"""Factors of a weight, tried in turn."""
_LEAST_GAIN = 1e-4

UNSEARCHED = (CONTENT, POPULARITY)
"""Parts that keep their weights: for shoppers of whom nothing else is known, and for products that
nobody liked, of which a validation split has too few."""

Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class BlendCase:
    """One shopper: scaled parts of all candidate products."""

    parts: Mapping[str, Doubles]
    """By name, (products,); unknown parts are absent."""
    wanted: npt.NDArray[np.bool_]
    """(products,) true for wanted products"""

    def pool(self) -> "BlendCase":
        """Return the case with only the first products of each part, and all wanted ones."""
        firsts = [np.flatnonzero(self.wanted)]
        for values in self.parts.values():
            count = min(POOL, len(values))
            firsts.append(np.argpartition(-values, count - 1)[:count])
        rows: Ints = np.unique(np.concatenate(firsts))
        parts = {name: values[rows] for name, values in self.parts.items()}
        return BlendCase(parts, self.wanted[rows])


@dataclass(frozen=True, slots=True)
class Cases:
    """All shoppers, each with the products that may be ranked first."""

    parts: Mapping[str, Doubles]
    """By name (shoppers, pool); 0 where a shopper does not have the part, −∞ where there is no
    product in any."""
    wanted: Doubles
    """(shoppers, pool) 1 for wanted products"""
    best: Doubles
    """(shoppers,): discounted cumulative gain of a perfect order"""
    always: Weights = field(default_factory=dict)
    """Weights that are not searched."""

    def gains(self, weights: Weights) -> Doubles:
        """Return nDCG@10 (Järvelin, Kekäläinen 2002) of the blend, (shoppers,); ties by place."""
        scores = np.zeros(self.wanted.shape)
        weights = {**weights, **self.always}
        for name, values in self.parts.items():
            if weight := weights.get(name, 0.0):
                scores += weight * values
        order = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
        found: Doubles = np.take_along_axis(self.wanted, order, axis=1) @ _DISCOUNTS / self.best
        return found


_DISCOUNTS: Doubles = 1 / np.log2(np.arange(2, TOP + 2))


def gathered(shoppers: Iterable[BlendCase]) -> Cases:
    """Return the cases of shoppers with wanted products; memory grows with the pools, not with the
    catalog, if `shoppers` are made one by one."""
    cases = [case.pool() for case in shoppers if case.wanted.any()]
    names = sorted({name for case in cases for name in case.parts})
    width = max([TOP, *(len(case.wanted) for case in cases)])
    parts = {name: np.zeros((len(cases), width)) for name in names}
    wanted = np.zeros((len(cases), width))
    best = np.ones(len(cases))
    for row, case in enumerate(cases):
        count = len(case.wanted)
        for name, values in case.parts.items():
            parts[name][row, :count] = values
        for name in names:
            parts[name][row, count:] = -np.finfo(np.float64).max / 1e6
        wanted[row, :count] = case.wanted
        best[row] = _DISCOUNTS[: min(TOP, int(case.wanted.sum()))].sum()
    return Cases(parts, wanted, best)


def choose(cases: Cases, given: PartBlend, *, seed: int = 0) -> PartBlend:
    """Return the blend that orders these cases best, or the given one if none is clearly better.
    Parts missing in the given blend may be added; popularity stays. With fewer than LEAST_SHOPPERS,
    the given blend is returned."""
    names = [name for name in OWN_PARTS if name in cases.parts and name not in UNSEARCHED]
    start = {name: given.weights.get(name, 0.0) for name in names}
    if len(cases.best) < LEAST_SHOPPERS or not names or not any(start.values()):
        return given
    cases = replace(cases, always={CONTENT: given.weights.get(CONTENT, 0.0)})
    search = _Search(lambda weights: float(cases.gains(weights).mean()))
    total = sum(start.values())
    drawn = np.random.default_rng(seed).dirichlet(np.ones(len(names)), _DRAWN) * total
    tried = [dict(zip(names, row, strict=True)) for row in drawn.tolist()]
    starts = [start, max(tried, key=search.value)]
    found = max((search.climb(one) for one in starts), key=search.value)
    found = _parsimonious(cases, found)
    if not _clearly_above(cases.gains(found), cases.gains(start)):
        return given
    share = total / sum(found.values())
    kept = {name: given.weights[name] for name in UNSEARCHED if name in given.weights}
    weights = {name: round(weight * share, 3) for name, weight in found.items() if weight > 0}
    return PartBlend(weights | kept, "validation", len(cases.best))


class _Search:
    """A search with a limited number of tries."""

    def __init__(self, value: Callable[[Weights], float]) -> None:
        self._value = value
        self._known: dict[tuple[tuple[str, float], ...], float] = {}

    def value(self, weights: Weights) -> float:
        key = tuple(sorted(weights.items()))
        if key not in self._known:
            self._known[key] = self._value(weights)
        return self._known[key]

    def climb(self, start: Weights) -> dict[str, float]:
        """Change one weight after another while it improves the gain and tries are left."""
        here, most = dict(start), len(self._known) + MOST_TRIES // 2
        moved = True
        while moved and len(self._known) < most:
            moved = False
            for name in here:
                better = max(_changed(here, name), key=self.value)
                if self.value(better) > self.value(here) + _LEAST_GAIN:
                    here, moved = better, True
        return here


def _changed(weights: Weights, name: str) -> list[dict[str, float]]:
    """Return the weights with other values of one; a zero weight grows by small shares."""
    typical = max(weights.values())
    base = (
        [step * weights[name] for step in _STEPS]
        if weights[name]
        else [typical / 8, typical / 3, typical]
    )
    others = [{**weights, name: one} for one in base]
    return [one for one in others if any(one.values())] or [dict(weights)]


def _parsimonious(cases: Cases, weights: Weights) -> dict[str, float]:
    """Drop parts that add nothing to the remaining ones, the least useful first."""
    here = dict(weights)
    while sum(weight > 0 for weight in here.values()) > 1:
        gains = cases.gains(here)
        without = {name: {**here, name: 0.0} for name, weight in here.items() if weight > 0}
        others = {name: cases.gains(less) for name, less in without.items()}
        idle = max(others, key=lambda name: float(others[name].mean()))
        if _clearly_above(gains, others[idle]):
            return here
        here = without[idle]
    return here


def _clearly_above(gains: Doubles, others: Doubles) -> bool:
    """Return whether the mean difference, paired by shopper, exceeds one standard error."""
    differences = gains - others
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return bool(differences.mean() > error)
