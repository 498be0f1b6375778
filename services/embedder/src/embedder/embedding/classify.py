"""What a photo is of, from the chances that a head gives."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedder.domain.items import CategoryGuess, Classification, Vectors

LIKELY = 0.5
"""A category counts as sure when it is so likely."""

Path = tuple[str, ...]


def classification(
    chances: Vectors, categories: Sequence[Path], top_k: int, version: str
) -> Classification:
    """Read float32 [C + 1], the unknown last, of C full paths from the root down."""
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
    """Return the deepest likely category; its chance is that of all that stand below it too."""
    sums: defaultdict[Path, float] = defaultdict(float)
    for path, chance in zip(categories, known, strict=True):
        for depth in range(1, len(path) + 1):
            sums[path[:depth]] += float(chance)
    likely = [(len(path), chance, path) for path, chance in sums.items() if chance >= LIKELY]
    if not likely:
        return None
    _, chance, path = max(likely)
    return CategoryGuess(path, min(chance, 1.0))
