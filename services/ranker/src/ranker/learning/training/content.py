"""Prediction of the item-to-item weights of a product without affinities from its features, in
closed form (SciPy, extra `train`).

EASE (Steck 2019, arXiv 1905.03375) gives shopper u and a liked product i the score ``x_u · W_i``.
A product without affinities has no column W_i. Following MARec (Monteil et al. 2024, arXiv
2404.13298), columns are aligned with features: a ridge regression predicts them from
``a_i``, the features and pairs of features of product i, less their mean::

    W  = P (G − diag γ),   P = (G + κI)⁻¹,   G = XᵀX,   γ_i = (P G)[i, i] / P[i, i]
    C  = argmin Σ_i ‖W_i − C a_i‖² + λ ‖C‖²  =  W A (AᵀA + λI)⁻¹
    score = x_u · C a_i

over all liked products i. Rows of W and C belong to the most popular liked products, because P
takes memory and time that grow with their square and cube; columns to all. Only W A is computed:
``P Xᵀ(X A) − P diag(γ) A``. The singular vectors of C give products and features short vectors.

So that new products do not push liked ones down, the scores are lowered to the level of the
products with fewest likes: ``− x_u · (mean W_i − mean W_rare)``, the last component of all vectors.

λ is chosen, and the use of features tested, by leave-one-out: each product is predicted from all
others, and errors are measured in shoppers' scores. lab/research/quality.md has the experiments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranker.domain.arrays import Doubles, Floats, Ints, Neighbours
from ranker.domain.content import Content
from ranker.domain.features import ID_KIND, STYLE_KIND
from ranker.domain.signals import Interests
from ranker.learning.training.items import AffinitySequence, affinities_of
from ranker.learning.training.photo_vectors import LEAST_PRODUCTS, Explained, Ridge, chosen

EASE_PENALTY = 200.0
"""κ. On validation AUC of new films is .7356 at 200, .7349 at 350 and .7324 at 100."""
SOURCES = 4_000
"""Maximum number of products that speak for a shopper: 4,000 take 0.4 GB and half a minute."""
LEAST_SUPPORT = 5
"""Minimum number of liked products with a feature or pair."""
MOST_NAMES, MOST_VECTORS = 192, 384
"""Maximum number of features, and of features and pairs, those of most liked products."""
WIDTH = 64
"""Maximum number of components of a vector; 16 and 32 cost .009 and .004 of AUC."""
SHOPPERS, PRODUCTS = 500, 5_000
"""Maximum number of shoppers and products of the leave-one-out test, evenly sampled."""
RARE, LEVEL = 0.25, 2.0
"""Share of the products, those with fewest likes, whose level of scores new products have, and how
often it is counted: without it, new products push liked ones down (lab/research/quality.md)."""
SIZE = 0.99
"""Quantile of the scores' sizes that becomes 1."""


@dataclass(frozen=True, slots=True)
class LearnedContent:
    """Result of `learn_content`."""

    content: Content | None
    """None if features predict nothing."""
    explained: Explained | None
    """Quality of the prediction; None with too few products or features."""


@dataclass(frozen=True, slots=True)
class _Described:
    """Features of all products of the model."""

    names: tuple[str, ...]
    pairs: Ints
    values: Any
    """(items, names + pairs) CSR of ones, divided by the root of the mean number in a liked
    product"""
    size: float
    """That root."""


def learn_content(
    found: Interests, item_ids: Sequence[str], features: Neighbours, names: Sequence[str]
) -> LearnedContent:
    """Learn from these interests. `features`: rows of `names` of each product, (items, names);
    products' own ids are ignored. Equal input gives equal bits on one machine."""
    affinities = affinities_of(found, item_ids)
    described = _described(features, names, affinities.items)
    if described is None or len(affinities.items) < LEAST_PRODUCTS:
        return LearnedContent(None, None)
    likes = likes_of(affinities)
    weights = _Weights.of(likes)
    liked = described.values[affinities.items]
    usual = np.asarray(liked.mean(axis=0)).ravel()
    explained = _tested(likes, weights, liked)
    if not explained.helps:
        return LearnedContent(None, explained)
    gram = (liked.T @ liked).toarray() - len(affinities.items) * np.outer(usual, usual)
    gram[np.diag_indices_from(gram)] += explained.penalty
    aligned = np.linalg.solve(gram, weights.times(likes, liked, usual).T).T
    left, sizes, right = np.linalg.svd(aligned, full_matrices=False)
    sources, axes = left[:, :WIDTH] * sizes[:WIDTH], right[:WIDTH].T
    products = described.values @ axes - usual @ axes
    size = _size(likes, weights.columns, sources, products[affinities.items])
    sources = np.hstack([sources, LEVEL * weights.level(likes)[:, None]])
    content = Content(
        names=described.names,
        pairs=described.pairs,
        vectors=_single(np.pad(axes / described.size, ((0, 0), (0, 1)))),
        usual=_single(np.append(usual @ axes, -1.0)),
        sources=affinities.items[weights.columns],
        source_vectors=_single(sources / size),
        **_new(described, affinities.items, products),
    )
    return LearnedContent(content, explained)


def actor_contents(
    content: Content | None, found: Interests, item_ids: Sequence[str], actors: Sequence[str]
) -> Floats | None:
    """Return the vectors of these shoppers by all their interests, (actors, width); None without
    content."""
    if content is None:
        return None
    affinities = affinities_of(found, item_ids)
    liked: dict[str, Ints] = {}
    owners, starts = np.unique(affinities.owner, return_index=True)
    for owner, rows in zip(owners, np.split(affinities.item, starts[1:]), strict=True):
        liked[found.actors[owner]] = affinities.items[rows]
    nothing = np.zeros_like(content.usual)
    vectors = np.zeros((len(actors), len(nothing)), np.float32)
    for row, actor in enumerate(actors):
        vector = content.of_shopper(liked[actor]) if actor in liked else None
        vectors[row] = nothing if vector is None else vector
    return vectors


def likes_of(affinities: AffinitySequence) -> Any:
    """Return a CSR matrix of ones, (shoppers, liked products)."""
    import scipy.sparse as sp

    owners, owner = np.unique(affinities.owner, return_inverse=True)
    shape = (len(owners), len(affinities.items))
    return sp.csr_matrix((np.ones(len(owner)), (owner, affinities.item)), shape)


@dataclass(frozen=True, slots=True)
class _Weights:
    """EASE's weights W from the most popular products to all, without computing all of them."""

    columns: Ints
    """(sources,) places of the sources among the liked products, ascending"""
    inverse: Doubles
    """P, (sources, sources)"""
    own: Doubles
    """γ, (sources,)"""

    @classmethod
    def of(cls, likes: Any) -> "_Weights":
        """Return the weights learned from these likes."""
        counts = np.asarray(likes.sum(axis=0)).ravel()
        columns = np.sort(np.argsort(-counts, kind="stable")[:SOURCES])
        gram = (likes[:, columns].T @ likes[:, columns]).toarray()
        inverse = np.linalg.inv(gram + EASE_PENALTY * np.eye(len(columns)))
        # P G = I − κP, so that γ is known without the product.
        return cls(columns, inverse, 1 / np.diag(inverse) - EASE_PENALTY)

    def times(self, likes: Any, values: Any, usual: Doubles) -> Doubles:
        """Return W (values − usual), (sources, columns). `values`: (liked products, columns)."""
        centred = (likes @ values).toarray() - np.outer(
            np.asarray(likes.sum(axis=1)).ravel(), usual
        )
        moved = likes[:, self.columns].T @ centred
        moved -= self.own[:, None] * (values[self.columns].toarray() - usual)
        found: Doubles = self.inverse @ moved
        return found

    def level(self, likes: Any) -> Doubles:
        """Return each source's mean weight to the quarter of the products with fewest likes, less
        that to all products, (sources,)."""
        import scipy.sparse as sp

        counts = np.asarray(likes.sum(axis=0)).ravel()
        rare = counts <= np.quantile(counts, RARE)
        share = sp.csr_matrix((rare / rare.sum() - 1 / len(counts))[:, None])
        return self.times(likes, share, np.zeros(1)).ravel()

    def scores(self, likes: Any, shoppers: Ints, products: Ints) -> Doubles:
        """Return the scores x_u · W_i, (products, shoppers)."""
        theirs = likes[shoppers][:, self.columns] @ self.inverse
        moved = (likes[:, self.columns].T @ likes[:, products]).toarray()
        place = np.full(likes.shape[1], -1)
        place[self.columns] = np.arange(len(self.columns))
        rows = place[products]
        known = np.flatnonzero(rows >= 0)
        moved[rows[known], known] -= self.own[rows[known]]
        found: Doubles = (theirs @ moved).T
        return found


def _tested(likes: Any, weights: _Weights, liked: Any) -> Explained:
    """Return the best penalty and what features explain of held-out products."""
    shoppers, products = (
        np.arange(0, count, -(-count // most))
        for count, most in zip(likes.shape, (SHOPPERS, PRODUCTS), strict=True)
    )
    wanted = weights.scores(likes, shoppers, products)
    places = liked[products].toarray()
    ridge = Ridge.of(places - places.mean(axis=0), wanted - wanted.mean(axis=0))
    return chosen(ridge, np.eye(len(shoppers), dtype=np.float32), width=0.0)


def _described(features: Neighbours, names: Sequence[str], liked: Ints) -> _Described | None:
    """Return the features and pairs of features that enough liked products have; None if there are
    none."""
    import scipy.sparse as sp

    shape = (len(features.starts) - 1, len(names))
    ones = np.ones(len(features.items))
    matrix = sp.csr_matrix((ones, features.items, features.starts), shape)
    shared = [place for place, name in enumerate(names) if _is_shared(name)]
    kept = _most_common(matrix[liked][:, shared], MOST_NAMES)
    columns = np.array(sorted((shared[place] for place in kept), key=lambda one: names[one]), int)
    if not len(columns):
        return None
    single = matrix[:, columns]
    pairs = _pairs(single[liked])
    both = [single[:, [first]].multiply(single[:, [second]]) for first, second in pairs.tolist()]
    values = sp.hstack([single, *both], format="csr")
    size = float(np.sqrt(values[liked].sum() / len(liked)))
    return _Described(tuple(names[column] for column in columns), pairs, values / size, size)


def _is_shared(name: str) -> bool:
    return not name.startswith((f"{ID_KIND}=", f"{STYLE_KIND}="))


def _most_common(matrix: Any, most: int) -> Ints:
    """Return the columns with enough entries, at most `most`, those with most entries."""
    counts = np.asarray(matrix.sum(axis=0)).ravel()
    order = np.argsort(-counts, kind="stable")[:most]
    return order[counts[order] >= LEAST_SUPPORT]


def _pairs(single: Any) -> Ints:
    """Return pairs of features that enough liked products have, but not all that have one of the
    two, (pairs, 2), the smaller first; the most frequent ones."""
    together = (single.T @ single).toarray()
    counts = np.diag(together)
    first, second = np.triu_indices(len(counts), 1)
    support = together[first, second]
    good = (support >= LEAST_SUPPORT) & (support < np.minimum(counts[first], counts[second]))
    order = np.argsort(-support[good], kind="stable")[: MOST_VECTORS - len(counts)]
    return np.stack([first[good][order], second[good][order]], axis=1).astype(np.int64)


def _size(likes: Any, columns: Ints, sources: Doubles, products: Doubles) -> float:
    """Return the quantile of the sizes of scores, over the shoppers and products of the test."""
    some = likes[:: -(-likes.shape[0] // SHOPPERS)][:, columns]
    scores = (some @ sources) @ products[:: -(-len(products) // PRODUCTS)].T
    return float(np.quantile(np.abs(scores), SIZE)) or 1.0


def _new(described: _Described, liked: Ints, products: Doubles) -> dict[str, Any]:
    """Return the products that nobody liked, with their vectors."""
    known = np.diff(described.values.indptr) > 0
    rows = np.setdiff1d(np.arange(len(products)), liked)
    vectors = np.where(known[rows, None], products[rows], 0.0)
    return {
        "rows": rows,
        "row_vectors": _single(np.pad(vectors, ((0, 0), (0, 1)), constant_values=1.0)),
    }


def _single(values: Doubles) -> Floats:
    return np.ascontiguousarray(values, np.float32)
