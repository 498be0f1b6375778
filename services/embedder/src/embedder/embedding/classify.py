"""Classification of a photo from a head's probabilities."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedder.domain.items import CategoryGuess, Classification, Vectors

LIKELY = 0.5
"""Minimum probability of a category that counts as recognised."""

Path = tuple[str, ...]


def classification(
    chances: Vectors, categories: Sequence[Path], top_k: int, version: str
) -> Classification:
    """Classify a photo by its probabilities [C + 1], float32, the unknown category last, of C full
    paths from the root down."""
    known, unknown = np.asarray(chances[:-1], np.float64), float(chances[-1])
    best = np.argsort(-known, kind="stable")[:top_k]
    return Classification(
        guesses=tuple(CategoryGuess(categories[place], float(known[place])) for place in best),
        unknown_probability=unknown,
        unknown=bool(unknown >= known.max()),
        sure=_sure(known, categories),
        version=version,
    )


def _sure(known: npt.NDArray[np.float64], categories: Sequence[Path]) -> CategoryGuess | None:
    """Return the deepest category that is LIKELY. A category's probability includes those below
    it."""
    sums: defaultdict[Path, float] = defaultdict(float)
    for path, chance in zip(categories, known, strict=True):
        for depth in range(1, len(path) + 1):
            sums[path[:depth]] += float(chance)
    likely = [(len(path), chance, path) for path, chance in sums.items() if chance >= LIKELY]
    if not likely:
        return None
    _, chance, path = max(likely)
    return CategoryGuess(path, min(chance, 1.0))
