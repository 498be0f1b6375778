"""Assignment of photos to folds, so that no map is measured on its training photos."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.intp]


def numbered(labels: Sequence[Hashable]) -> Integers:
    """Return a number for each label, from 0 without gaps, in order of appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.intp)


def dealt(groups: Integers, strata: Integers, count: int, seed: int) -> Integers:
    """Return the fold of each photo, 0 to `count` - 1. Each group is in one fold. The photos of a
    stratum (a product) are spread over the folds as evenly as its groups allow: largest groups
    first, each to the fold with the fewest photos of the stratum, and among these to that with the
    fewest photos in all.
    """
    draw = np.random.default_rng(seed)
    folds = np.full(len(groups), -1, np.intp)
    sizes = np.zeros(count, np.intp)
    members, products = places(groups), places(strata)
    for stratum in draw.permutation(len(products)):
        here = np.zeros(count, np.intp)
        for group in _by_size(groups[products[stratum]]):
            if folds[members[group][0]] < 0:
                fold = int(np.lexsort((draw.random(count), sizes, here))[0])
                folds[members[group]] = fold
                here[fold] += len(members[group])
                sizes[fold] += len(members[group])
    return folds


def places(labels: Integers) -> list[Integers]:
    """Return the positions of each label, for labels from 0 without gaps."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.cumsum(np.bincount(labels))[:-1])


def _by_size(groups: npt.NDArray[Any]) -> Integers:
    """Return the distinct groups, largest first."""
    names, sizes = np.unique(groups, return_counts=True)
    return np.asarray(names[np.argsort(-sizes, kind="stable")])
