"""Baselines that a model is compared with. SciPy (extra `train`).

All are trained on the same unweighted interests (`Histories`) and score from the same last events
of a shopper, trained or not. Parameters are those of the papers or of common use; reports of
evaluations use those of tuning.py for item-kNN and EASE. On MovieLens-100k, per-user tails of 20%,
nDCG@10 comes to .1162 (popularity), .1891 (item-kNN), .1972 (EASE), .2181 (V-SKNN) and .2183
(sequential rules).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from ranker.domain.arrays import Doubles, Floats
from ranker.domain.events import DAY_MICROS
from ranker.domain.report import POPULARITY, UNTRAINED
from ranker.learning.evaluation.histories import Histories
from ranker.serving.ranking.recommenders import MOST_LAST, WEIGHT

EASE_PENALTY = 350.0
"""λ; .1972 at 350 on MovieLens-100k."""
MOST_DENSE_ITEMS = 10_000
"""Maximum number of products for EASE, which inverts a dense matrix of products × products (2.4
GB)."""
MOST_INTERESTS = 1000
"""Maximum number of training interests of one shopper, the newest: pairs grow with their square."""
_BLOCK = 2**22
"""Similarities of shoppers in memory at once: 32 MB."""
SESSION_ITEMS, SESSION_NEIGHBOURS = 20, 100
"""V-SKNN: number of a shopper's last products, and of nearest shoppers."""
MOST_SESSIONS = 50_000
"""V-SKNN: maximum number of candidate neighbours, the shoppers of the newest rows."""
EQUAL = 1e-6
"""Difference of cosines below which products count as equally near."""
RULE_STEPS = 10
"""Sequential rules: maximum distance of two products in a rule, and number of last products to
which rules are applied."""


RECENT, RECENT_DAYS = "popularity of 7 days", 7


class Scorer(Protocol):
    """Scorer of products for shoppers."""

    @property
    def name(self) -> str:
        """Name in reports."""

    def scores(self, shoppers: Histories) -> Floats | Doubles:
        """Return scores, (shoppers, items), higher is better, without a fixed range.

        A shopper's history holds liked products, oldest first.
        """


@dataclass(frozen=True, slots=True)
class Popularity:
    """Baseline: the same order for all shoppers, by number of interested shoppers."""

    counts: Doubles
    """(items,)"""
    name: str = POPULARITY

    def scores(self, shoppers: Histories) -> Doubles:
        """Return each product's count."""
        return np.broadcast_to(self.counts, (len(shoppers), len(self.counts)))


@dataclass(frozen=True, slots=True)
class ItemToItem:
    """Item-to-item weights, summed over a shopper's liked products."""

    name: str
    weights: sp.csr_matrix | Doubles
    """(items, items), row j: weights of other products given an affinity for j."""
    last: int | None = None
    """Number of newest products that count; None: all."""
    decay: Callable[[Doubles], Doubles] = np.ones_like
    """A product's factor by the number of newer products."""

    def scores(self, shoppers: Histories) -> Doubles:
        """Return Σ_j decay_j · weights[j, i] over the shopper's products j, (shoppers, items)."""
        spoken = shoppers if self.last is None else shoppers.newest(self.last)
        values = self.decay(spoken.ages.astype(np.float64))
        return _dense(_matrix(spoken, self.weights.shape[0], values) @ self.weights)


@dataclass(frozen=True, slots=True)
class Cosine:
    """Item-kNN with all neighbours (Deshpande, Karypis 2004): the sum of the cosines of a product's
    column with those of all liked products. Σ_j uᵀ_j u_i is computed through the shoppers,
    (h Uᵀ) U, because the matrix of all pairs would grow with the square of the products."""

    unit: sp.csr_matrix
    """(trained shoppers, items) with columns of length 1 or 0"""
    name: str = "item-kNN"
    last: int | None = None
    """Number of newest products that count; None: all."""

    def scores(self, shoppers: Histories) -> Doubles:
        """Score by similar products; a product does not contribute to its own score."""
        spoken = shoppers if self.last is None else shoppers.newest(self.last)
        liked = _matrix(spoken, self.unit.shape[1])
        own = liked.multiply(np.asarray(self.unit.power(2).sum(axis=0)))
        return _dense((liked @ self.unit.T) @ self.unit - own)


@dataclass(frozen=True, slots=True)
class Untrained:
    """Answers while no model serves, as far as the ranker knows them: what others liked
    beside their last products, then what is popular.

    The gateway also compares looks and texts, which are no data of the ranker; a scorer of them
    would be added here. On MovieLens-100k it has an nDCG@10 of .2234 by per-user tails and .1447
    globally, popularity .1162 and .1457.
    """

    beside: Cosine
    popular: Popularity
    name: str = UNTRAINED

    def scores(self, shoppers: Histories) -> Doubles:
        """Return the scores of `beside`, with popularity between equal ones."""
        share = self.popular.counts / (1 + self.popular.counts.max(initial=0))
        scores: Doubles = self.beside.scores(shoppers) + EQUAL * share
        return scores


@dataclass(frozen=True, slots=True)
class SessionNeighbours:
    """V-SKNN (Ludewig, Jannach 2018, arXiv 1803.09587): products liked by shoppers with common last
    products.

    The similarity of two shoppers is the sum over common products of the recency for the first,
    linearly falling over the last twenty, divided by the root of the second's number of products. A
    product's score is the sum of similarities of those of the hundred nearest who like it, times
    its inverse frequency ln(shoppers / shoppers who like it).
    """

    likes: sp.csr_matrix
    """(trained shoppers, items) 1 if liked"""
    unit: sp.csr_matrix
    """the same with rows of length 1"""
    rarity: Doubles
    """(items,)"""
    actors: dict[str, int]
    """Row of each trained shopper, to exclude shoppers as their own neighbours."""
    name: str = "V-SKNN"

    def scores(self, shoppers: Histories) -> Doubles:
        """Return the neighbours' summed similarities times rarity."""
        step = max(1, _BLOCK // max(len(self.actors), 1))
        starts = range(0, len(shoppers), step)
        parts = [shoppers.take(np.arange(len(shoppers))[start : start + step]) for start in starts]
        return np.vstack([self._scores(part) for part in parts])

    def _scores(self, shoppers: Histories) -> Doubles:
        last = shoppers.newest(SESSION_ITEMS)
        spans = np.repeat(last.lengths, last.lengths)
        recent = _matrix(last, self.likes.shape[1], 1 - last.ages / spans)
        likeness = _dense(recent @ self.unit.T)
        for row, actor in enumerate(last.actors):
            if actor in self.actors:
                likeness[row, self.actors[actor]] = 0.0
        if likeness.shape[1] > SESSION_NEIGHBOURS:
            floor = -np.partition(-likeness, SESSION_NEIGHBOURS - 1, axis=1)
            likeness[likeness < floor[:, SESSION_NEIGHBOURS - 1 : SESSION_NEIGHBOURS]] = 0.0
        return _dense(sp.csr_matrix(likeness) @ self.likes) * self.rarity


def popularity(training: Histories, item_count: int) -> Popularity:
    """Count the shoppers who like each product."""
    return Popularity(np.bincount(training.items, minlength=item_count).astype(np.float64))


def recent_popularity(training: Histories, item_count: int) -> Popularity:
    """Count the shoppers who like each product since RECENT_DAYS before the newest interest."""
    since = training.times.max(initial=0) - RECENT_DAYS * DAY_MICROS
    counts = np.bincount(training.items[training.times >= since], minlength=item_count)
    return Popularity(counts.astype(np.float64), RECENT)


def item_knn(
    training: Histories, item_count: int, shrinkage: float = 0.0, last: int | None = None
) -> Cosine:
    """Return item-kNN by the cosine of the products' columns. `shrinkage` is added to the number of
    shoppers of each product, which lowers the cosines of rare products."""
    likes = _matrix(training.newest(MOST_INTERESTS), item_count)
    norms = np.sqrt(np.maximum(np.asarray(likes.sum(axis=0))[0], 1.0) + shrinkage)
    return Cosine(sp.csr_matrix(likes @ sp.diags_array(1 / norms)), last=last)


def untrained(training: Histories, item_count: int) -> Untrained:
    """Return the answers without a model, with as many last products and as much shrinkage as the
    recommenders by counts have (serving/ranking/recommenders.py)."""
    beside = item_knn(training, item_count, WEIGHT, MOST_LAST)
    return Untrained(beside, popularity(training, item_count))


def ease(training: Histories, item_count: int, penalty: float = EASE_PENALTY) -> ItemToItem | None:
    """Return EASE (Steck 2019, arXiv 1905.03375); None above MOST_DENSE_ITEMS products."""
    if item_count > MOST_DENSE_ITEMS:
        return None
    likes = _matrix(training.newest(MOST_INTERESTS), item_count)
    gram = _dense(likes.T @ likes)
    gram[np.diag_indices(item_count)] += penalty
    inverse = np.linalg.inv(gram)
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return ItemToItem("EASE", weights)


def session_neighbours(training: Histories, item_count: int) -> SessionNeighbours:
    """Return V-SKNN over the last MOST_SESSIONS shoppers."""
    pool = training.take(np.arange(len(training))[-MOST_SESSIONS:])
    likes = _matrix(pool, item_count)
    unit = sp.csr_matrix(sp.diags_array(1 / np.sqrt(np.maximum(pool.lengths, 1))) @ likes)
    counts = np.asarray(likes.sum(axis=0))[0]
    rarity = np.log(np.maximum(len(pool), 1) / np.maximum(counts, 1))
    return SessionNeighbours(likes, unit, rarity, {one: row for row, one in enumerate(pool.actors)})


def sequential_rules(training: Histories, item_count: int) -> ItemToItem:
    """Return sequential rules (Kamehkhosh, Jannach, Ludewig 2017).

    Item i, d steps after item j, adds 1/d to the rule from j to i. Scores sum over the last ten
    products, each decayed by its age in the same way.
    """
    owners = training.rows
    rules = sp.csr_matrix((item_count, item_count))
    for step in range(1, RULE_STEPS + 1):
        same = owners[:-step] == owners[step:]
        pair = (training.items[:-step][same], training.items[step:][same])
        weights = np.full(len(pair[0]), 1 / step)
        rules = rules + sp.csr_matrix((weights, pair), rules.shape)
    return ItemToItem("sequential rules", rules, RULE_STEPS, lambda ages: 1 / (1 + ages))


def fit_all(training: Histories, item_count: int) -> tuple[Scorer, ...]:
    made: tuple[Scorer | None, ...] = (
        popularity(training, item_count),
        item_knn(training, item_count),
        ease(training, item_count),
        session_neighbours(training, item_count),
        sequential_rules(training, item_count),
    )
    return tuple(one for one in made if one is not None)


def _matrix(shoppers: Histories, item_count: int, values: Doubles | None = None) -> sp.csr_matrix:
    """Return a matrix of interests, (shoppers, items). `values`: of each interest; None: 1."""
    filled = np.ones(len(shoppers.items)) if values is None else values
    shape = (len(shoppers), item_count)
    return sp.csr_matrix((filled, shoppers.items, shoppers.starts), shape)


def _dense(matrix: Any) -> Doubles:
    return matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)
