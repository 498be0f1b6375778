"""Linear map from the vector of a title to the visual vector of its product, by ridge regression.

As in Socher et al. 2013, "Zero-shot learning through cross-modal transfer", with a linear map. The
penalty is chosen by how often titles of products outside the training find their own photos.
"""

from typing import Final

import numpy as np

from embedder.domain.fitted import Floats, TextMap, unit
from embedder.fitting import folds
from embedder.fitting.folds import Integers
from embedder.fitting.nearest_photos import hits

STRENGTHS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Penalties to try, relative to the mean variance of a sentence's components."""
LEAST: Final = 20
"""Minimum number of products with titles."""
TOP: Final = 10
FOLDS: Final = 5
_TINY: Final = 1e-30


def fit_text_map(
    sentences: Floats, vectors: Floats, products: Integers, seed: int
) -> TextMap | None:
    """Fit a text map on photos' unit vectors [m, d] and their products' titles [m, s]. `products`
    are numbered from 0 without gaps; a zero sentence stands for no title. Return None if there are
    too few titles.
    """
    places = folds.places(products)
    titles = np.stack([sentences[each[0]] for each in places])
    looks = unit(np.stack([vectors[each].mean(axis=0) for each in places]))
    titled = np.flatnonzero(titles.any(axis=1))
    if len(titled) < LEAST:
        return None
    titles, looks = titles[titled], looks[titled]
    fold_of = np.random.default_rng(seed).permutation(len(titled)) % FOLDS
    found = [_found(titles, looks, fold_of, strength) for strength in STRENGTHS]
    return ridge(titles, looks, STRENGTHS[int(np.argmax(found))])


def _found(titles: Floats, looks: Floats, fold_of: Integers, strength: float) -> float:
    """Return the share of titles outside the map's training that find their product among all."""
    right = 0
    everything = np.arange(len(titles))
    for fold in range(FOLDS):
        held = fold_of == fold
        made = ridge(titles[~held], looks[~held], strength)
        asked = made.vectors(titles[held])
        right += int(hits(asked, everything[held], looks, everything, TOP).sum())
    return right / len(titles)


def ridge(titles: Floats, looks: Floats, strength: float) -> TextMap:
    """Return weights and biases that map titles [n, s] to unit vectors [n, d]; biases are not
    penalised."""
    middle, target = titles.mean(axis=0, dtype=np.float64), looks.mean(axis=0, dtype=np.float64)
    centred = titles - middle
    scatter = centred.T @ centred
    size = strength * max(float(np.trace(scatter)) / len(scatter), _TINY)
    inner = scatter + size * np.eye(len(scatter))
    weights = np.linalg.solve(inner, centred.T @ (looks - target))
    return TextMap(
        weights=np.asarray(weights, np.float32),
        biases=np.asarray(target - middle @ weights, np.float32),
    )
