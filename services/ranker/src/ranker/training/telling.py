"""What a model keeps so that people can be told about products and shoppers (SciPy, extra `train`).

Nothing here moves a score.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ranker.domain.arrays import Doubles, Floats, Ints
from ranker.domain.features import LOOK_KIND, feature_names
from ranker.domain.model import Model, ProductFeatures, Segments
from ranker.domain.product import Product
from ranker.domain.signals import Interests
from ranker.profiles.affinities import of_sums
from ranker.training.clusters import clusters
from ranker.training.neighbours import places

LOOKS = (4, 8, 12, 16, 24)
"""How many groups of products that look alike are tried."""

SEGMENTS = range(2, 9)
"""How many groups of shoppers are tried."""
LEAST_SHOPPERS = 20
"""Fewer are no crowd to tell groups in."""


def told(model: Model, products: Sequence[Product], found: Interests, seed: int) -> Model:
    """The model with what it can tell of its products and of groups of shoppers."""
    products = sorted(products, key=lambda product: product.product_id)
    rows = places(found.items, model.item_ids)[found.item]
    known = rows >= 0
    interest = np.bincount(rows[known], found.weight[known], len(products)).astype(np.float64)
    features = product_features(products, model.attribute_keys, model.styles, interest, seed)
    people = known & ~found.robots[found.actor]
    liked = (found.actor[people], rows[people], found.weight[people])
    return replace(
        model,
        product_features=features,
        segments=segments(model.item_vectors, features, liked, seed),
    )


def product_features(
    products: Sequence[Product],
    attribute_keys: Sequence[str],
    styles: Floats | None,
    interest: Doubles,
    seed: int,
) -> ProductFeatures:
    """What each of the products is. `products` are sorted by id, `styles` (products, …) has a NaN
    row where there is no photo, `interest` (products,) is what everybody's interest in each adds up
    to."""
    looks = _looks([one.product_id for one in products], styles, seed)
    named = [
        [*feature_names(product, attribute_keys)[1:], *look]
        for product, look in zip(products, looks, strict=True)
    ]
    names = tuple(sorted({name for row in named for name in row}))
    columns = {name: column for column, name in enumerate(names)}
    rows = [sorted(columns[name] for name in row) for row in named]
    features = np.array([place for row in rows for place in row], dtype=np.int32)
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    summed = np.bincount(features, np.repeat(interest, counts), len(names))
    return ProductFeatures(
        names=names,
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        features=features,
        shares=(summed / max(float(interest.sum()), 1e-12)).astype(np.float32),
    )


def segments(
    vectors: Floats, told: ProductFeatures, liked: tuple[Ints, Ints, Doubles], seed: int
) -> Segments | None:
    """Groups of shoppers by what they like; None = there are too few to tell groups.

    `liked` are rows of shoppers, rows of products and weights of interests; robots are to be left
    out of them.
    """
    import scipy.sparse as sp

    shopper, item, weight = liked
    _, rows = np.unique(shopper, return_inverse=True)
    if not len(rows) or rows.max() + 1 < LEAST_SHOPPERS:
        return None
    likes = sp.csr_matrix((weight, (rows, item)), (rows.max() + 1, len(vectors)))
    totals = np.asarray(likes.sum(axis=1))
    interests = ((likes @ vectors) / totals).astype(np.float32)
    mean = interests.mean(axis=0)
    lengths = np.linalg.norm(interests - mean, axis=1, keepdims=True)
    points = (interests - mean) / np.maximum(lengths, 1e-12)
    found = clusters(points[lengths[:, 0] > 1e-6], SEGMENTS, seed)
    if found is None:
        return None
    norms = np.linalg.norm(found.centroids, axis=1, keepdims=True)
    centroids = (found.centroids / np.maximum(norms, 1e-12)).astype(np.float32)
    members = assigned(interests, mean, centroids)
    order = np.argsort(-np.bincount(members, minlength=len(centroids)), kind="stable")
    members, centroids = np.argsort(order)[members], centroids[order]
    belongs = sp.csr_matrix(
        (np.ones(len(members)), (members, np.arange(len(members)))), (len(centroids), len(members))
    )
    matrix = sp.csr_matrix(
        (np.ones(len(told.features)), told.features, told.starts),
        (len(vectors), len(told.names)),
    )
    summed = (belongs @ likes @ matrix).toarray()
    weights = np.asarray(belongs @ totals)
    strengths = of_sums(
        summed, np.maximum(weights, 1e-12), told.shares.astype(np.float64)
    ).strengths
    return Segments(
        mean=mean,
        centroids=centroids,
        shares=(np.bincount(members, minlength=len(centroids)) / len(members)).astype(np.float32),
        strengths=strengths.astype(np.float32),
        silhouette=found.silhouette,
    )


def assigned(interests: Floats, mean: Floats, centroids: Floats) -> Ints:
    """(shoppers,) the group of each by their interests, (shoppers, dimension)."""
    found: Ints = ((interests - mean) @ centroids.T).argmax(axis=1)
    return found


def _looks(ids: Sequence[str], styles: Floats | None, seed: int) -> list[tuple[str, ...]]:
    """For each product the name of the group that looks like it; none without a photo."""
    looks: list[tuple[str, ...]] = [() for _ in ids]
    if styles is None:
        return looks
    shown = np.flatnonzero(~np.isnan(styles).any(axis=1))
    found = clusters(styles[shown], LOOKS, seed)
    if found is None:
        return looks
    for group, centroid in enumerate(found.centroids):
        rows = shown[found.members == group]
        distances = ((styles[rows] - centroid) ** 2).sum(axis=1)
        name = f"{LOOK_KIND}={ids[rows[int(distances.argmin())]]}"
        for row in rows.tolist():
            looks[row] = (name,)
    return looks
