"""Item-to-item weights, learned from shoppers' affinities and their order (SciPy, extra `train`).

A shopper's last affinities j, decayed by age, give product i the score ``Σ_j d_j · W[j, i]``.

TRANSITION is a ridge regression of what comes next on what came before (SLIT: Choi, Kim, Lee, Shim,
Lee 2021, arXiv 2103.16104). At each affinity t of a shopper, s_t holds the products liked before,
decayed exactly as in serving, and n_t the next few from t on::

    W = argmin Σ_t v_t ‖n_t − s_t W‖² + λ ‖W‖²,   W[i, i] = 0
      = P (C − diag γ),   P = (A + λI)⁻¹,  A = Σ v_t s_tᵀ s_t,  C = Σ v_t s_tᵀ n_t,
                          γ_i = (P C)[i, i] / P[i, i]

v_t is the interest's weight. EASE is the same with all of a shopper's affinities instead of s_t and
n_t (Steck 2019, arXiv 1905.03375): it ignores the order. Both need memory and time that grow with
the square and the cube of the products. KNN does not: it is the cosine of what came before with
what comes next, C[j, i] / √(A[j, j] · B[i, i]) with B = Σ v_t n_tᵀ n_t, shrunk for rare products;
it replaces the other two in catalogs that are too large for them. COSINE is item-kNN, the cosine of
two products' columns, without an order (Deshpande, Karypis 2004).

lab/research/quality.md describes the experiments behind these choices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranker.domain.arrays import Doubles, Ints, Neighbours
from ranker.domain.recipe import ItemItem, Recipe
from ranker.domain.signals import Interests
from ranker.learning.training.neighbours import blocks, dense_rows, gathered, places, sparse_rows
from ranker.serving.ranking.fold_in import WINDOWS, HistoryWindow

NEXT = HistoryWindow(5, 0.7)
"""Number of next affinities to predict, and their decay."""
DENSE_ITEMS = 10_000
"""Maximum number of liked products for a regression: 10,000 take 3.2 GB and some minutes."""
MOST_LIKINGS = 1_000_000
"""Maximum number of training affinities, the newest of all shoppers."""
MOST_OF_ONE = 1_000
"""Maximum number of training affinities of one shopper, the newest."""
SHRINKAGE = 4.0
"""KNN: prior number of affinities of each product, which reduces the weights of rare products."""
_BLOCK = 100_000
"""Affinities whose windows are in memory at once: 60 MB."""
_PAIRS = 20_000_000
"""Pairs of products in memory at once: 240 MB."""


@dataclass(frozen=True, slots=True)
class AffinitySequence:
    """Affinities grouped by shopper, oldest first within a shopper."""

    owner: Ints
    """(affinities,)"""
    item: Ints
    """(affinities,) places in `items`"""
    weight: Doubles
    """(affinities,) above 0, at most 1"""
    items: Ints
    """(liked products,) rows of the model, rising"""

    def __len__(self) -> int:
        return len(self.owner)

    def part(self, rows: slice) -> "AffinitySequence":
        """Return only these rows, with the same places."""
        return AffinitySequence(self.owner[rows], self.item[rows], self.weight[rows], self.items)


def item_item(found: Interests, item_ids: Sequence[str], recipe: Recipe) -> Neighbours | None:
    """Return in row j the weights of other products given an affinity of product j; None if the
    recipe disables it. `item_ids` are the model's; products without affinities have empty rows.
    Equal input gives equal bits on one machine."""
    if recipe.item_item is ItemItem.OFF:
        return None
    affinities = affinities_of(found, item_ids)
    if len(np.unique(affinities.owner)) == len(affinities):  # no shopper has two affinities
        return gathered((), np.zeros(0, np.int64), len(item_ids))
    rows = _KINDS[kind_for(recipe.item_item, len(affinities.items))](affinities, recipe)
    return gathered(rows, affinities.items, len(item_ids))


def kind_for(asked: ItemItem, liked_products: int) -> ItemItem:
    """Return the item-to-item model to learn for `asked`: KNN instead of regressions that are too
    large."""
    dense = asked in (ItemItem.TRANSITION, ItemItem.EASE)
    return ItemItem.KNN if dense and liked_products > DENSE_ITEMS else asked


def affinities_of(found: Interests, item_ids: Sequence[str]) -> AffinitySequence:
    """Return the newest affinities of products in `item_ids`, by (time, product) for each
    shopper."""
    row = places(found.items, item_ids)[found.item]
    order = np.lexsort((row, found.time, found.actor))
    order = order[row[order] >= 0]
    newer = np.bincount(found.actor[order], minlength=len(found.actors)).cumsum()
    order = order[newer[found.actor[order]] - np.arange(len(order)) <= MOST_OF_ONE]
    if len(order) > MOST_LIKINGS:
        moment = np.partition(found.time[order], -MOST_LIKINGS)[-MOST_LIKINGS]
        order = order[found.time[order] >= moment]
    items, item = np.unique(row[order], return_inverse=True)
    return AffinitySequence(found.actor[order], item, found.weight[order], items)


def _transitions(affinities: AffinitySequence, recipe: Recipe) -> Iterator[Any]:
    count = len(affinities.items)
    gram, moved = np.zeros((count, count)), np.zeros((count, count))
    for block in _whole_shoppers(affinities):
        before, after, weights = windows(block)
        weighed = before.multiply(weights[:, np.newaxis]).tocsr()
        gram += (weighed.T @ before).toarray()
        moved += (weighed.T @ after).toarray()
    return dense_rows(_ridge(gram, moved, recipe.transition_penalty), *_kept(affinities, recipe))


def _together(affinities: AffinitySequence, recipe: Recipe) -> Iterator[Any]:
    import scipy.sparse as sp

    owners, owner = np.unique(affinities.owner, return_inverse=True)
    shape = (len(owners), len(affinities.items))
    likes = sp.csr_matrix((np.sqrt(affinities.weight), (owner, affinities.item)), shape)
    gram = (likes.T @ likes).toarray()
    return dense_rows(_ridge(gram, gram, recipe.ease_penalty), *_kept(affinities, recipe))


def _cosines(affinities: AffinitySequence, recipe: Recipe) -> Iterator[Any]:
    import scipy.sparse as sp

    parts = [windows(block) for block in _whole_shoppers(affinities)]
    before = sp.vstack([part[0] for part in parts], format="csr")
    after = sp.vstack([part[1] for part in parts], format="csr")
    weights = np.concatenate([part[2] for part in parts])
    leaving = np.asarray(before.power(2).T @ weights).ravel()
    coming = np.asarray(after.power(2).T @ weights).ravel()
    leaving, coming = (norm + SHRINKAGE * norm.sum() / weights.sum() for norm in (leaving, coming))
    sources = before.multiply(weights[:, np.newaxis]).tocsc()
    after = (after @ sp.diags_array(1 / np.sqrt(coming))).tocsr()
    for block in blocks(np.diff(sources.indptr) * NEXT.items, _PAIRS):
        found = (sp.diags_array(1 / np.sqrt(leaving[block])) @ sources[:, block].T @ after).tocoo()
        others = found.row + block.start != found.col
        found = sp.csr_matrix(
            (found.data[others], (found.row[others], found.col[others])), found.shape
        )
        yield from sparse_rows(found, *_kept(affinities, recipe))


def _item_knn(affinities: AffinitySequence, recipe: Recipe) -> Iterator[Any]:
    import scipy.sparse as sp

    owners, owner = np.unique(affinities.owner, return_inverse=True)
    shape = (len(owners), len(affinities.items))
    likes = sp.csr_matrix((np.ones(len(owner)), (owner, affinities.item)), shape)
    counts = np.asarray(likes.sum(axis=0)).ravel()
    unit = (likes @ sp.diags_array(1 / np.sqrt(counts))).tocsr()
    sources, lengths = unit.tocsc(), np.diff(likes.indptr)
    for block in blocks(np.asarray(likes.T @ lengths).ravel().astype(np.int64), _PAIRS):
        found = (sources[:, block].T @ unit).tocoo()
        others = found.row + block.start != found.col
        kept = (found.data[others], (found.row[others], found.col[others]))
        yield from sparse_rows(sp.csr_matrix(kept, found.shape), *_kept(affinities, recipe))


_KINDS = {
    ItemItem.TRANSITION: _transitions,
    ItemItem.EASE: _together,
    ItemItem.COSINE: _item_knn,
    ItemItem.KNN: _cosines,
}


def windows(
    affinities: AffinitySequence, past: HistoryWindow = WINDOWS.liked
) -> tuple[Any, Any, Doubles]:
    """Return, for each affinity except each shopper's first, the preceding affinities, the
    following ones (itself included) and the weight: two CSR matrices (affinities, products), rows
    of the second summing to 1, and a column (affinities,)."""
    import scipy.sparse as sp

    before = _shifted(affinities, range(1, past.items + 1), past.decay)
    after = _shifted(affinities, range(0, -NEXT.items, -1), NEXT.decay)
    after = sp.diags_array(1 / np.asarray(after.sum(axis=1)).ravel()) @ after
    some = np.flatnonzero(np.diff(before.indptr))
    return before[some], sp.csr_matrix(after)[some], affinities.weight[some]


def _shifted(affinities: AffinitySequence, steps: range, decay: float) -> Any:
    """Return in row t what the shopper liked `steps` earlier, decayed, (affinities, products)."""
    import scipy.sparse as sp

    row = np.arange(len(affinities))
    rows, items, weights = [], [], []
    for faded, step in enumerate(steps):
        source = row - step
        there = (source >= 0) & (source < len(affinities))
        there[there] = affinities.owner[source[there]] == affinities.owner[row[there]]
        rows.append(row[there])
        items.append(affinities.item[source[there]])
        weights.append(np.full(int(there.sum()), decay**faded))
    shape = (len(affinities), len(affinities.items))
    values = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(items)))
    return sp.csr_matrix(values, shape)


def _whole_shoppers(affinities: AffinitySequence) -> Iterator[AffinitySequence]:
    """Yield all affinities in blocks of whole shoppers."""
    _, lengths = np.unique(affinities.owner, return_counts=True)
    starts = np.concatenate(([0], np.cumsum(lengths)))
    for block in blocks(lengths, _BLOCK):
        yield affinities.part(slice(int(starts[block.start]), int(starts[block.stop])))


def _ridge(gram: Doubles, moved: Doubles, penalty: float) -> Doubles:
    """Return W of the module's formula, with a zero diagonal."""
    gram = gram.copy()
    gram[np.diag_indices_from(gram)] += penalty
    inverse = np.linalg.inv(gram)
    weights: Doubles = inverse @ moved
    weights -= inverse * (np.diag(weights) / np.diag(inverse))
    np.fill_diagonal(weights, 0.0)  # 0 except for rounding
    return weights


def _kept(affinities: AffinitySequence, recipe: Recipe) -> tuple[Ints, int]:
    return affinities.items, recipe.neighbours
