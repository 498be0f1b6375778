"""Products and shoppers as rows of features, for LightFM (SciPy, extra `train`)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Floats, Ints
from ranker.domain.features import ID_KIND, Product, feature_names, style_names

LEAST_SHARED = 5
"""Shoppers who must share an attribute for it to be a feature: a model reveals nobody's alone."""


@dataclass(frozen=True, slots=True)
class Features:
    """Rows of features: a CSR matrix, float32, whose columns have names."""

    names: tuple[str, ...]
    matrix: Any
    """(rows, names)"""
    sizes: Floats
    """(names,) how large each feature is where it is there; 1 where numbers differ by row"""

    def used_by(self, rows: npt.NDArray[Any]) -> "Features":
        """The same rows, with only those columns that some of `rows` have."""
        used = np.unique(self.matrix[rows].indices)
        names = tuple(self.names[column] for column in used)
        return Features(names, self.matrix[:, used].tocsr(), self.sizes[used])


def of_products(
    products: Sequence[Product],
    styles: Floats | None,
    attribute_keys: Sequence[str],
    shared_scale: float,
) -> Features:
    """The products' features: 1 for their own ids, `shared_scale` for what they share, and the
    style's axes as they are, last."""
    import scipy.sparse as sp

    named = [feature_names(product, attribute_keys) for product in products]
    matrix, names = _indicators(named)
    own = np.array([name.startswith(f"{ID_KIND}=") for name in names], dtype=bool)
    sizes = np.where(own, 1.0, shared_scale).astype(np.float32)
    matrix.data *= sizes[matrix.indices]
    if styles is not None:
        dense = sp.csr_matrix(np.nan_to_num(styles))
        matrix = sp.hstack([matrix, dense], format="csr", dtype=np.float32)
        names += style_names(styles.shape[1])
        sizes = np.concatenate([sizes, np.ones(styles.shape[1], np.float32)])
    return Features(names, matrix, sizes)


def of_shoppers(
    actors: Sequence[str], attributes: Mapping[str, Sequence[str]], *, with_ids: bool
) -> Features:
    """The shoppers' features: their own ids first, row by row, if asked for, then what they share.

    `attributes`: the names of each one's given attributes, by pseudonym.
    """
    import scipy.sparse as sp

    known = shared_attributes(attributes)
    shared, names = _indicators([known.get(actor, ()) for actor in actors])
    if not with_ids:
        return Features(names, shared, np.ones(len(names), np.float32))
    ids = sp.identity(len(actors), np.float32, format="csr")
    matrix = sp.hstack([ids, shared], format="csr", dtype=np.float32)
    return Features((*actors, *names), matrix, np.ones(matrix.shape[1], np.float32))


def shared_attributes(attributes: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The same without those that fewer than `LEAST_SHARED` shoppers have."""
    counts = Counter(name for names in attributes.values() for name in {*names})
    return {
        actor: tuple(sorted(name for name in {*names} if counts[name] >= LEAST_SHARED))
        for actor, names in attributes.items()
    }


def _indicators(named: Sequence[Sequence[str]]) -> tuple[Any, tuple[str, ...]]:
    """1 where a row has a name; the columns' names, sorted."""
    import scipy.sparse as sp

    names = tuple(sorted({name for row in named for name in row}))
    columns = {name: column for column, name in enumerate(names)}
    indices: Ints = np.array([columns[name] for row in named for name in row], np.int64)
    starts = np.cumsum([0, *map(len, named)])
    ones = np.ones(len(indices), np.float32)
    matrix = sp.csr_matrix((ones, indices, starts), (len(named), len(names)))
    matrix.sort_indices()
    return matrix, names
