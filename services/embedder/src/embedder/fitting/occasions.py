"""Occasions: shoppers' photos that were taken together.

Photos of one shelf, moments apart, are nearly alike. On both sides of a fold they promise what no
photo of another day keeps, and the more, the more dimensions a map has. So they are one group.

Nobody says when a photo was taken; photos of a product whose features are alike on average count as
one occasion (average linkage, Sokal and Michener 1958). The catalog's own photos stay apart: they
are never the queries beside shoppers' photos, and all of a studio are alike.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist

from embedder.domain.fitted import SHOPPER, Floats, Labelled, unit
from embedder.fitting.components import Rows, moments
from embedder.fitting.folds import Integers, numbered, places

ALIKE: Final = 0.48
"""Least mean cosine of the standardised features of one occasion. With it a photo of the groceries
is as far from its product's nearest photo of another occasion as one of another visit to the shop
(lab/research/photos.md)."""
MOST: Final = 2_000
"""Maximum number of a product's photos that are compared with one another; others are occasions of
their own."""


def by_occasion(data: Labelled) -> Labelled:
    """Return the photos with groups that hold whole occasions, beside what they held before."""
    shoppers = np.flatnonzero(data.kinds == SHOPPER)
    if not len(shoppers):
        return data
    means, scales = moments(replace(data, features=data.features[:, :1]), shoppers)
    of = np.arange(len(data.products))
    products = numbered([data.products[row] for row in shoppers.tolist()])
    for members in places(products):
        rows = shoppers[members][:MOST]
        looks = (data.features[rows, 0] - means[SHOPPER]) / scales[SHOPPER]
        of[rows] = rows[_first_alike(unit(looks))]
    return replace(data, groups=_joined(data.groups, of))


def _first_alike(looks: Floats) -> Integers:
    """Return the place of the first photo of each photo's occasion."""
    if len(looks) < 2:
        return np.zeros(len(looks), np.intp)
    tree = linkage(np.maximum(pdist(looks, "cosine"), 0), "average")
    occasions = fcluster(tree, 1 - ALIKE, "distance")
    _, first, of = np.unique(occasions, return_index=True, return_inverse=True)
    return np.asarray(first[of], np.intp)


def _joined(groups: Sequence[str], occasions: Rows) -> list[str]:
    """Return a group for each photo: photos that share a group or an occasion have the same."""
    given: npt.NDArray[np.intp] = numbered(groups)
    count = len(given)
    links = coo_array((np.ones(count), (given, count + occasions)), (2 * count, 2 * count))
    _, parts = connected_components(links, directed=False)
    return [f"occasion {part}" for part in parts[given].tolist()]
