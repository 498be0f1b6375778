"""Similarity of the catalog's own photos to other products: a reference for good matches in this
space.

Each sampled photo is a query, without its own product, its variants and products with the same
picture. The similarities to the nearest neighbours give a threshold without labels: a result
further away than nearly all products are from each other is no match (the distance to the nearest
neighbours among known things finds what is unlike them: Sun et al. 2022, ICML).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from retriever.domain.generation import NEAREST_SHARES, VectorMetric
from retriever.domain.index_values import IndexRow
from retriever.domain.vectors import exact_scores

LEAST = 20
"""Minimum sample size: fewer photos give no estimate of the 5% that are furthest away."""
MOST = 1_000
"""Maximum sample size: each photo is compared with every row."""


class PhotoNeighbours:
    """The nearest photo of another product, for each photo of a sample."""

    def __init__(self, sample: Sequence[IndexRow], metric: VectorMetric) -> None:
        """Prepare the queries. `sample`: valid rows.

        Nothing is measured in spaces with another metric than the cosine.
        """
        asked = sample[:MOST] if metric is VectorMetric.COSINE else ()
        self._queries = np.array([row.vector for row in asked])
        self._families, self._pictures = _families(asked), _pictures(asked)
        self._best: npt.NDArray[np.float64] = np.full(len(asked), -np.inf)

    def look(self, rows: Sequence[IndexRow]) -> None:
        """Add valid rows of the record."""
        if not len(self._best) or not rows:
            return
        scores = exact_scores(
            self._queries, np.array([row.vector for row in rows]), VectorMetric.COSINE
        )
        own = self._families[:, None] == _families(rows)
        own |= self._pictures[:, None] == _pictures(rows)
        scores[own] = -np.inf
        self._best = np.maximum(self._best, scores.max(axis=1))

    def cosines(self) -> tuple[float, ...]:
        """Return the quantiles NEAREST_SHARES of the cosines; empty: too few photos to tell."""
        found = self._best[np.isfinite(self._best)]
        if len(found) < LEAST:
            return ()
        return tuple(np.quantile(found, NEAREST_SHARES).tolist())


def _families(rows: Sequence[IndexRow]) -> npt.NDArray[np.str_]:
    """Return the family of each row's product, shared with its variants."""
    return np.array([row.parent_id or row.product_id for row in rows], np.str_)


def _pictures(rows: Sequence[IndexRow]) -> npt.NDArray[np.str_]:
    return np.array([row.image_id or row.row_id for row in rows], np.str_)
