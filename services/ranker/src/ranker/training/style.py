"""The visual style of products: the main directions in which their photos differ (PCA)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ranker.domain.arrays import Doubles, Floats
from ranker.domain.features import Vectors

CHUNK = 4_096
"""Vectors that are taken into float64 at once."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a photo vector becomes a style: ``axes @ (vector - mean)``."""

    mean: Floats
    """(vector dimension,)"""
    axes: Floats
    """(style dimension, vector dimension) orthogonal rows, scaled so that the mean square of a
    number of the style is the square of the scale, whatever the space's vectors are like"""
    space_version: str

    def of(self, vectors: Floats) -> Floats:
        """(n, style dimension) of (n, vector dimension)."""
        styles: Floats = ((vectors - self.mean) @ self.axes.T).astype(np.float32)
        return styles


def learn(given: Vectors | None, dimension: int, scale: float) -> Style | None:
    """The first `dimension` principal axes, or fewer where the photos differ in fewer.

    None = no vectors, no difference between them, or no style is wanted. An axis points to where
    its largest component is positive, so that the same photos give the same axes.
    """
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
    """Variances, falling, and their axes as rows; of the smaller of both Gram matrices."""
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


def styles_of(style: Style, given: Vectors, item_ids: Sequence[str]) -> Floats:
    """(items, style dimension) in the order of `item_ids`; a NaN row = no photo."""
    rows = {item: row for row, item in enumerate(given.product_ids)}
    found = [(row, rows[item]) for row, item in enumerate(item_ids) if item in rows]
    styles = np.full((len(item_ids), len(style.axes)), np.nan, np.float32)
    for start in range(0, len(found), CHUNK):
        to, source = np.array(found[start : start + CHUNK]).T
        styles[to] = style.of(given.vectors[source])
    return styles
