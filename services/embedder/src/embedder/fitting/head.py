"""Classification head: multinomial logistic regression (Hastie, Tibshirani and Friedman 2009, 4.4)
on the vectors of views, with a penalty on the squares of its weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import minimize

from embedder.domain.fitted import Floats
from embedder.fitting.components import Doubles
from embedder.fitting.folds import Integers

LEAST: Final = 3
"""Minimum number of pictures of a category."""
PENALTY: Final = 1e-6
STEPS: Final = 200
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Classes:
    """The categories that a head knows."""

    paths: tuple[Path, ...]
    """Sorted."""
    numbers: Integers
    """[m]: category of each photo; -1: none of these."""

    def without(self, hidden: Integers) -> "Classes":
        """Return the categories without those of these numbers."""
        kept = [number for number in range(len(self.paths)) if number not in set(hidden.tolist())]
        moved = np.full(len(self.paths) + 1, -1, np.intp)
        moved[kept] = np.arange(len(kept))
        return Classes(tuple(self.paths[each] for each in kept), moved[self.numbers])


def classes_of(categories: Sequence[Path], groups: Integers) -> Classes:
    """Return the categories with at least LEAST pictures; none if there are fewer than two."""
    pictures: dict[Path, set[int]] = {}
    for path, group in zip(categories, groups.tolist(), strict=True):
        if path:
            pictures.setdefault(path, set()).add(group)
    paths = sorted(path for path, shown in pictures.items() if len(shown) >= LEAST)
    if len(paths) < 2:
        paths = []
    number = {path: place for place, path in enumerate(paths)}
    return Classes(tuple(paths), np.array([number.get(each, -1) for each in categories], np.intp))


@dataclass(frozen=True, slots=True)
class Linear:
    """Linear layer: ``vectors @ weights + biases``."""

    weights: Doubles
    """[d, C]."""
    biases: Doubles

    def logits(self, vectors: Floats) -> Doubles:
        """Return logits [n, C]."""
        return np.asarray(vectors @ self.weights + self.biases)


def regression(vectors: Floats, classes: Integers, count: int) -> Linear:
    """Fit the layer on vectors [n, d] of these classes [n], 0 to `count` - 1."""
    inputs = vectors.astype(np.float64)
    size, width = inputs.shape
    rows = np.arange(size)

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        weights, biases = flat[: width * count].reshape(width, count), flat[width * count :]
        logits = inputs @ weights + biases
        logits -= logits.max(axis=1, keepdims=True)
        powers = np.exp(logits)
        sums = powers.sum(axis=1, keepdims=True)
        mean = float(np.mean(np.log(sums[:, 0]) - logits[rows, classes]))
        powers /= sums
        powers[rows, classes] -= 1
        slope = inputs.T @ powers / size + PENALTY * weights
        slopes = np.concatenate([slope.ravel(), powers.mean(axis=0)])
        return mean + PENALTY / 2 * float((weights**2).sum()), slopes

    start = np.zeros(width * count + count)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    return Linear(found[: width * count].reshape(width, count), found[width * count :])
