"""Descriptions of products and shoppers for people, kept with a model (SciPy, extra `train`). They
do not affect scores.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.cluster.vq import kmeans2, vq
from scipy.spatial.distance import cdist

from ranker.domain.arrays import Doubles, Floats, Ints, indicators
from ranker.domain.features import LOOK_KIND, Product, feature_names
from ranker.domain.model import Model, ProductFeatures, ShopperSegments
from ranker.domain.signals import Interests
from ranker.learning.training.neighbours import places
from ranker.serving.profiles.affinities import of_sums

LOOKS = (4, 8, 12, 16, 24)
"""Numbers of groups of similar-looking products to try."""

SEGMENTS = range(2, 9)
"""Numbers of groups of shoppers to try."""
LEAST_SHOPPERS = 20
"""Minimum number of shoppers to form groups."""


def described(model: Model, products: Sequence[Product], found: Interests, seed: int) -> Model:
    """Return the model with descriptions of its products and groups of shoppers."""
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
    """Return the features of each product. `products` are sorted by id, `styles` (products, …)
    has NaN rows for products without a photo, `interest` (products,) sums all shoppers'
    interests."""
    looks = _looks([one.product_id for one in products], styles, seed)
    named = [
        [*feature_names(product, attribute_keys)[1:], *look]
        for product, look in zip(products, looks, strict=True)
    ]
    names, starts, features = indicators(named)
    summed = np.bincount(features, np.repeat(interest, np.diff(starts)), len(names))
    return ProductFeatures(
        names=names,
        starts=starts,
        features=features.astype(np.int32),
        shares=(summed / max(float(interest.sum()), 1e-12)).astype(np.float32),
    )


LEAST_MEMBERS = 5
"""Minimum number of shoppers of a group."""


def segments(
    vectors: Floats, described: ProductFeatures, liked: tuple[Ints, Ints, Doubles], seed: int
) -> ShopperSegments | None:
    """Return groups of shoppers by what they like; None if there are too few. `liked` are rows
    of shoppers, rows of products and weights of interests, without robots."""
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
    members: Ints = ((interests - mean) @ centroids.T).argmax(axis=1)
    # A group of a few shoppers would tell what they like.
    large = np.bincount(members, minlength=len(centroids)) >= LEAST_MEMBERS
    if large.sum() < 2:
        return None
    if not large.all():
        centroids = centroids[large]
        members = ((interests - mean) @ centroids.T).argmax(axis=1)
    order = np.argsort(-np.bincount(members, minlength=len(centroids)), kind="stable")
    members, centroids = np.argsort(order)[members], centroids[order]
    belongs = sp.csr_matrix(
        (np.ones(len(members)), (members, np.arange(len(members)))), (len(centroids), len(members))
    )
    matrix = sp.csr_matrix(
        (np.ones(len(described.features)), described.features, described.starts),
        (len(vectors), len(described.names)),
    )
    summed = (belongs @ likes @ matrix).toarray()
    weights = np.asarray(belongs @ totals)
    strengths = of_sums(
        summed, np.maximum(weights, 1e-12), described.shares.astype(np.float64)
    ).strengths
    return ShopperSegments(
        mean=mean,
        centroids=centroids,
        shares=(np.bincount(members, minlength=len(centroids)) / len(members)).astype(np.float32),
        strengths=strengths.astype(np.float32),
        silhouette=found.silhouette,
    )


def _looks(ids: Sequence[str], styles: Floats | None, seed: int) -> list[tuple[str, ...]]:
    """Return the name of the group that each product looks like; none without a photo."""
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


SAMPLE = 5_000
"""Maximum number of points to fit centroids on; larger sets are sampled."""
JUDGED = 1_000
"""Maximum number of points to compute a silhouette from: memory grows with its square."""
STARTS = 2
MOST_ROUNDS = 25


@dataclass(frozen=True, slots=True)
class Clusters:
    """Groups of points, the largest first."""

    centroids: Floats
    """(groups, dimension)"""
    members: Ints
    """(points,) the group of each"""
    silhouette: float
    """Mean over points of how much nearer they are to their own group than to the next one, −1 to 1
    (Rousseeuw 1987)"""


def clusters(points: Floats, counts: Iterable[int], seed: int) -> Clusters | None:
    """Return the best clustering by silhouette among these counts; ties go to the first. None
    without two different points, or without a count from 2 to their number."""
    rng = np.random.default_rng(seed)
    sample = _drawn(points, SAMPLE, rng)
    judged = _drawn(sample, JUDGED, rng)
    distances = cdist(judged, judged)
    different = len(np.unique(judged, axis=0))
    best: Clusters | None = None
    for count in counts:
        if not 2 <= count <= different:
            continue
        centroids = _fitted(sample, count, rng)
        found = silhouette(distances, nearest(judged, centroids))
        if best is None or found > best.silhouette + 1e-9:
            best = Clusters(centroids, np.zeros(0, np.int64), found)
    return None if best is None else _by_size(points, best)


def nearest(points: Floats, centroids: Floats) -> Ints:
    """Return the nearest centroid of each point, (points,)."""
    found: Ints = vq(points, centroids)[0].astype(np.int64)
    return found


def silhouette(distances: Doubles, members: Ints) -> float:
    """Return the mean silhouette of points with these (points, points) distances; singletons
    count 0, and one group gives 0."""
    groups, members = np.unique(members, return_inverse=True)
    if len(groups) < 2:
        return 0.0
    belongs = np.eye(len(groups))[members]
    sizes = belongs.sum(axis=0)
    sums = distances @ belongs
    rows = np.arange(len(members))
    own_size = sizes[members]
    own = sums[rows, members] / np.maximum(own_size - 1, 1)
    others = sums / sizes
    others[rows, members] = np.inf
    next_one = others.min(axis=1)
    largest = np.maximum(own, next_one)
    values = np.where(
        (own_size > 1) & (largest > 0), (next_one - own) / np.maximum(largest, 1e-12), 0
    )
    return float(values.mean())


def _fitted(points: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return the centroids of the best of several starts (k-means++, Arthur and Vassilvitskii
    2007)."""
    with warnings.catch_warnings():
        # A centroid that lost all its points stays where it is.
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        found = [
            kmeans2(points, count, iter=MOST_ROUNDS, minit="++", seed=rng)[0] for _ in range(STARTS)
        ]
    return min(found, key=lambda centroids: float((vq(points, centroids)[1] ** 2).sum()))


def _by_size(points: Floats, found: Clusters) -> Clusters:
    """Return the groups of all points, the largest first, without empty ones."""
    members = nearest(points, found.centroids)
    sizes = np.bincount(members, minlength=len(found.centroids))
    order = np.argsort(-sizes, kind="stable")[: int((sizes > 0).sum())]
    places = np.empty(len(sizes), np.int64)
    places[order] = np.arange(len(order))
    return Clusters(found.centroids[order], places[members], found.silhouette)


def _drawn(points: Floats, most: int, rng: np.random.Generator) -> Floats:
    if len(points) <= most:
        return points
    return points[np.sort(rng.choice(len(points), most, replace=False))]
