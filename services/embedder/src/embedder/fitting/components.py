"""Dimension reduction of features: standardised by camera, then principal components. Labels are
not used. Features are read in blocks, so that memory beside them is a matrix of features ×
features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from embedder.domain.fitted import KINDS, Floats, Labelled

Doubles = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

SHRINKAGE: Final = 10.0
"""Number of photos of a kind at which its mean and deviation weigh as much as those of all photos
in its standardisation; with many more, its own dominate."""
FLOOR: Final = 1e-2
"""Minimum deviation of a feature, relative to the median deviation: smaller variations are
noise."""
_NEGLIGIBLE: Final = 1e-6
_BLOCK: Final = 2048
"""Photos in one block: 80 MB with 4 views of 2,500 features."""


@dataclass(frozen=True, slots=True)
class Components:
    """``(features - means[kind]) / scales[kind] @ axes``: uncorrelated, by falling variance."""

    means: Floats
    """[KINDS, f]."""
    scales: Floats
    """[KINDS, f], above 0."""
    axes: Floats
    """[f, p], orthonormal."""

    def of(self, data: Labelled, rows: Rows) -> Floats:
        """Return the components [m, views, p] of these photos."""
        found = np.empty((len(rows), data.features.shape[1], self.axes.shape[1]), np.float32)
        for start, block in _blocks(rows):
            found[start : start + len(block)] = self._standard(data, block) @ self.axes
        return found

    def _standard(self, data: Labelled, rows: Rows) -> Floats:
        kinds = data.kinds[rows]
        centred = data.features[rows] - self.means[kinds][:, None]
        return np.asarray(centred / self.scales[kinds][:, None], np.float32)


def components(data: Labelled, rows: Rows, most: int) -> Components:
    """Fit at most `most` components on these photos (Jolliffe 2002, Principal Component Analysis,
    2)."""
    means, scales = moments(data, rows)
    count = data.features.shape[2]
    standard = Components(means, scales, np.empty((count, 0), np.float32))
    few = len(rows) * data.features.shape[1] < count
    variances, axes = (_of_samples if few else _of_features)(standard, data, rows, most)
    least = max(float(variances[-1]) * _NEGLIGIBLE, float(np.finfo(np.float32).tiny))
    kept = np.flatnonzero(variances > least)[::-1]
    return Components(means, scales, _signed(axes[:, kept]))


def _of_features(
    standard: Components, data: Labelled, rows: Rows, most: int
) -> tuple[Floats, Floats]:
    """Return variances [p], ascending, and axes [f, p], from the scatter of features."""
    count = data.features.shape[2]
    total = np.zeros((count, count))
    for _, block in _blocks(rows):
        samples = standard._standard(data, block).reshape(-1, count)
        total += samples.T @ samples
    scatter = (total / (len(rows) * data.features.shape[1])).astype(np.float32)
    wanted = (max(0, count - most), count - 1)
    variances, axes = eigh(scatter, subset_by_index=wanted, overwrite_a=True, check_finite=False)
    return variances, axes


def _of_samples(
    standard: Components, data: Labelled, rows: Rows, most: int
) -> tuple[Floats, Floats]:
    """Compute the components of fewer samples than features, from the samples' products with one
    another."""
    samples = standard._standard(data, rows).reshape(-1, data.features.shape[2]).astype(np.float64)
    count = len(samples)
    wanted = (max(0, count - most), count - 1)
    variances, vectors = eigh(samples @ samples.T / count, subset_by_index=wanted)
    lengths = np.sqrt(np.maximum(count * variances, np.finfo(np.float64).tiny))
    axes = samples.T @ vectors / lengths
    return variances.astype(np.float32), axes.astype(np.float32)


def moments(data: Labelled, rows: Rows) -> tuple[Floats, Floats]:
    """Return means and deviations by kind, shrunk towards those of all photos: the fewer photos,
    the more."""
    count = data.features.shape[2]
    sums, squares = np.zeros((KINDS, count)), np.zeros((KINDS, count))
    photos = np.bincount(data.kinds[rows], minlength=KINDS).astype(float)
    for _, block in _blocks(rows):
        for kind in range(KINDS):
            samples = data.features[block[data.kinds[block] == kind]].reshape(-1, count)
            sums[kind] += samples.sum(axis=0, dtype=np.float64)
            squares[kind] += np.einsum("nf,nf->f", samples, samples, dtype=np.float64)
    samples_each = photos * data.features.shape[1]
    mean = sums.sum(axis=0) / samples_each.sum()
    variance = np.maximum(squares.sum(axis=0) / samples_each.sum() - mean**2, 0)
    own = (photos / (photos + SHRINKAGE))[:, None]
    divisor = np.maximum(samples_each, 1)[:, None]
    means = own * sums / divisor + (1 - own) * mean
    spread = np.maximum(squares / divisor - 2 * means * sums / divisor + means**2, 0)
    deviations = np.sqrt(own * spread + (1 - own) * variance)
    floor = FLOOR * float(np.median(np.sqrt(variance))) or 1.0
    return means.astype(np.float32), np.maximum(deviations, floor).astype(np.float32)


def _signed(axes: Floats) -> Floats:
    """Flip axes so that the largest entry of each is positive: the solver's signs are arbitrary."""
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    return np.asarray(axes * np.where(largest < 0, -1, 1), np.float32)


def _blocks(rows: Rows) -> Iterator[tuple[int, Rows]]:
    for start in range(0, len(rows), _BLOCK):
        yield start, rows[start : start + _BLOCK]
