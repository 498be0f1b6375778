"""Products and shoppers as rows of features, for LightFM (SciPy, extra `train`); among them the
visual style of products: the main directions in which their photos differ (PCA)."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Doubles, Floats, indicators
from ranker.domain.features import ID_KIND, PhotoVectors, Product, feature_names

LEAST_SHARED = 5
"""Minimum number of shoppers with an attribute for it to be a feature, so that a model reveals no
single shopper."""


@dataclass(frozen=True, slots=True)
class Features:
    """Rows of features: a CSR matrix, float32, whose columns have names."""

    names: tuple[str, ...]
    matrix: Any
    """(rows, names)"""
    sizes: Floats
    """(names,) value of each feature in rows that have it"""

    def used_by(self, rows: npt.NDArray[Any]) -> "Features":
        """Return the same rows, restricted to the columns that occur in `rows`."""
        used = np.unique(self.matrix[rows].indices)
        names = tuple(self.names[column] for column in used)
        return Features(names, self.matrix[:, used].tocsr(), self.sizes[used])


def of_products(
    products: Sequence[Product],
    attribute_keys: Sequence[str],
    shared_scale: float,
    vocabulary: Collection[str] = (),
) -> Features:
    """Return the products' features: 1 for their own ids, `shared_scale` for shared ones.
    `vocabulary`: words of titles that are features."""
    named = [feature_names(product, attribute_keys, vocabulary) for product in products]
    matrix, names = _indicators(named)
    own = np.array([name.startswith(f"{ID_KIND}=") for name in names], dtype=bool)
    sizes = np.where(own, 1.0, shared_scale).astype(np.float32)
    matrix.data *= sizes[matrix.indices]
    return Features(names, matrix, sizes)


def of_shoppers(
    actors: Sequence[str], attributes: Mapping[str, Sequence[str]], *, with_ids: bool
) -> Features:
    """Return the shoppers' features: their own ids first if `with_ids`, row by row, then shared
    ones. `attributes`: feature names by pseudonym."""
    import scipy.sparse as sp

    known = shared_attributes(attributes)
    shared, names = _indicators([known.get(actor, ()) for actor in actors])
    if not with_ids:
        return Features(names, shared, np.ones(len(names), np.float32))
    ids = sp.identity(len(actors), np.float32, format="csr")
    matrix = sp.hstack([ids, shared], format="csr", dtype=np.float32)
    return Features((*actors, *names), matrix, np.ones(matrix.shape[1], np.float32))


def shared_attributes(attributes: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the attributes that at least `LEAST_SHARED` shoppers have."""
    counts = Counter(name for names in attributes.values() for name in {*names})
    return {
        actor: tuple(sorted(name for name in {*names} if counts[name] >= LEAST_SHARED))
        for actor, names in attributes.items()
    }


def _indicators(named: Sequence[Sequence[str]]) -> tuple[Any, tuple[str, ...]]:
    """Return a matrix with 1 where a row has a name, and the columns' names, sorted."""
    import scipy.sparse as sp

    names, starts, places = indicators(named)
    ones = np.ones(len(places), np.float32)
    return sp.csr_matrix((ones, places, starts), (len(named), len(names))), names


STYLE_SIZE = 0.1
"""Root mean square of a style's components."""
CHUNK = 4_096
"""Vectors converted to float64 at once."""


@dataclass(frozen=True, slots=True)
class Style:
    """Projection of a photo vector to a style: ``axes @ (vector - mean)``."""

    mean: Floats
    """(vector dimension,)"""
    axes: Floats
    """(style dimension, vector dimension) orthogonal rows, scaled so that the mean square of a
    number of the style is the square of the scale, whatever the space's vectors are like"""
    space_version: str

    def of(self, vectors: Floats) -> Floats:
        """Project vectors, (n, vector dimension), to styles, (n, style dimension)."""
        styles: Floats = ((vectors - self.mean) @ self.axes.T).astype(np.float32)
        return styles


def learn_style(given: PhotoVectors | None, dimension: int, scale: float) -> Style | None:
    """Return the first `dimension` principal axes, or fewer where the photos differ in fewer;
    None without vectors, differences or a wanted style. The largest component of an axis is
    positive, so that equal photos give equal axes."""
    if given is None or not dimension or len(given.product_ids) < 2:
        return None
    vectors = given.vectors
    mean = vectors.mean(axis=0, dtype=np.float64)
    values, axes = _principal(vectors, mean)
    large = values > max(values[0], 0.0) * 1e-6
    values, axes = values[large][:dimension], axes[large][:dimension]
    if not len(values) or values.sum() < 1e-12:
        return None
    largest = np.abs(axes).argmax(axis=1)
    axes *= np.sign(axes[np.arange(len(axes)), largest])[:, None]
    axes *= scale / np.sqrt(values.mean())
    return Style(mean.astype(np.float32), axes.astype(np.float32), given.space_version)


def _principal(vectors: Floats, mean: Doubles) -> tuple[Doubles, Doubles]:
    """Return the variances, falling, and their axes as rows, by the smaller Gram matrix."""
    count, width = vectors.shape
    if count <= width:
        centred = vectors - mean
        values, left = np.linalg.eigh(centred @ centred.T / count)
        axes = left.T @ centred
        axes /= np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)
    else:
        gram = np.zeros((width, width))
        for start in range(0, count, CHUNK):
            centred = vectors[start : start + CHUNK] - mean
            gram += centred.T @ centred
        values, right = np.linalg.eigh(gram / count)
        axes = right.T
    return values[::-1], axes[::-1].copy()


def styles_of(style: Style, given: PhotoVectors, item_ids: Sequence[str]) -> Floats:
    """Return styles in the order of `item_ids`, (items, style dimension); NaN: no photo."""
    rows = {item: row for row, item in enumerate(given.product_ids)}
    found = [(row, rows[item]) for row, item in enumerate(item_ids) if item in rows]
    styles = np.full((len(item_ids), len(style.axes)), np.nan, np.float32)
    for start in range(0, len(found), CHUNK):
        to, source = np.array(found[start : start + CHUNK]).T
        styles[to] = style.of(given.vectors[source])
    return styles
