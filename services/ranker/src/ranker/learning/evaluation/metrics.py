"""Quality metrics. NumPy, and SciPy for diversity.

For a shopper with wanted products W and a list of the first k candidates:

- ``precision@k``: share of the k places that hold a wanted product
- ``recall@k``: share of W among the k places
- ``ndcg@k``: Σ 1/log2(place + 1) over hits, over the maximum (Järvelin, Kekäläinen 2002)
- ``map@k``: mean of the precisions at the hits, over min(k, |W|)
- ``mrr@k``: 1 / place of the first hit; 0 without
- ``hit@k``: 1 if there is a hit
- ``auc``: probability that a wanted product ranks above another candidate; ties count half
- ``novelty@k``: mean of −log2(share of all trained interests that are in the product), in bits;
  a product without interests counts as if it had one (Zhou et al. 2010)
- ``diversity@k``: mean of 1 − cosine over the list's pairs of products, by their features (Ziegler
  et al. 2005)
- ``popularity@k``: mean share of the trained shoppers who like a product of the list

They are averaged over shoppers. Figures of all lists together have no shopper to be resampled over,
and so no interval:

- ``coverage@k``: share of the candidates that are in at least one list
- ``gini@k``: inequality of the number of places by product, 0: equal, 1: all to one
- ``popularity_lift@k``: relative excess of the popularity of listed products over that of
  products that the shoppers like (popularity bias, ΔGAP, Abdollahpouri et al. 2019); 0: equal
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ranker.domain.arrays import Doubles, Flags, Floats, Ints
from ranker.learning.evaluation.histories import Histories

CUTOFFS = (5, 10, 20)
LISTED = 10
"""Cut-off k of metrics of lists (novelty, diversity, popularity, coverage, Gini)."""
DECISIVE = f"ndcg@{LISTED}"
"""Metric of verdicts and choices."""
NOBODY = -1
"""Placeholder in a list after the last product."""


@dataclass(frozen=True, slots=True)
class Lists:
    """First places of a system for each shopper, and statistics of the rest."""

    first: Ints
    """(shoppers, largest cut-off) rows of products, best first; NOBODY: the list has ended"""
    hits: Flags
    """Same shape: true for wanted products."""
    wanted: Ints
    """(shoppers,) number of wanted products"""
    auc: Doubles
    """(shoppers,)"""


def order(
    scores: Floats | Doubles, known: Histories, wanted: Histories, candidates: Flags
) -> Lists:
    """Return lists by `scores`, (shoppers, items); ties by row. Known products are left out."""
    shape = (len(known), max(CUTOFFS))
    first, hits = np.full(shape, NOBODY), np.zeros(shape, dtype=bool)
    auc = np.empty(len(known))
    for row in range(len(known)):
        competes = candidates.copy()
        competes[known.of(row)] = False
        asked = np.zeros(len(candidates), dtype=bool)
        asked[wanted.of(row)] = True
        best = _best(scores[row], np.flatnonzero(competes), max(CUTOFFS))
        first[row, : len(best)] = best
        hits[row, : len(best)] = asked[best]
        auc[row] = _auc(scores[row][asked], scores[row][competes & ~asked])
    return Lists(first, hits, wanted.lengths, auc)


def by_shopper(lists: Lists, training: Histories, features: sp.csr_matrix) -> dict[str, Doubles]:
    """Return each figure for each shopper, (shoppers,)."""
    likers = np.bincount(training.items, minlength=features.shape[0])
    shares = likers / max(len(training), 1)
    rarity = -np.log2(np.maximum(likers, 1) / max(likers.sum(), 1))
    found: dict[str, Doubles] = {}
    for k in CUTOFFS:
        found |= accuracy(lists, k)
    found["auc"] = lists.auc
    first = lists.first[:, :LISTED]
    there = first != NOBODY
    count = np.maximum(there.sum(axis=1), 1)
    found[f"novelty@{LISTED}"] = np.where(there, rarity[first], 0).sum(axis=1) / count
    found[f"popularity@{LISTED}"] = np.where(there, shares[first], 0).sum(axis=1) / count
    found[f"diversity@{LISTED}"] = _diversity(first, features)
    return found


def of_all_lists(lists: Lists, candidates: Flags) -> dict[str, float]:
    """Return coverage and Gini's coefficient of all lists, by name."""
    first = lists.first[:, :LISTED]
    counts = np.bincount(first[first != NOBODY], minlength=len(candidates))[candidates]
    return {
        f"coverage@{LISTED}": float((counts > 0).mean()) if len(counts) else 0.0,
        f"gini@{LISTED}": gini(counts),
    }


def popularity_lift(lists: Lists, known: Histories, training: Histories) -> float:
    """Return the relative excess of popularity, as defined above. `known`: histories of the
    measured shoppers; `training`: those of all trained shoppers. 0 if no trained shopper likes any
    product that the measured shoppers like."""
    first = lists.first[:, :LISTED]
    width = 1 + max(first.max(initial=0), known.items.max(initial=0))
    likers = np.bincount(training.items, minlength=width).astype(np.float64)
    there = first != NOBODY
    listed = np.where(there, likers[first], 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    liked = np.bincount(known.rows, likers[known.items], minlength=len(known)) / known.lengths
    return float(listed.mean() / liked.mean() - 1) if liked.sum() else 0.0


def exposure(lists: Lists, groups: Ints, count: int) -> Doubles:
    """Return each group's share of the first places, (groups,). `groups`: by item, (items,)."""
    first = lists.first[:, :LISTED]
    places = np.bincount(groups[first[first != NOBODY]], minlength=count)
    shares: Doubles = places / max(places.sum(), 1)
    return shares


def gini(counts: Ints) -> float:
    """Return Gini's coefficient of counts; 0 when all counts are 0."""
    if not counts.sum():
        return 0.0
    ranked = np.sort(counts)
    weights = 2 * np.arange(1, len(ranked) + 1) - len(ranked) - 1
    return float((weights * ranked).sum() / (len(ranked) * ranked.sum()))


def _best(scores: Floats | Doubles, rows: Ints, count: int) -> Ints:
    """Return the `count` of `rows` with the highest scores, best first, ties by row."""
    if len(rows) > count:
        place = len(rows) - count
        floor = np.partition(scores[rows], place)[place]
        rows = rows[scores[rows] >= floor]
    return rows[np.argsort(-scores[rows], kind="stable")][:count]


def _auc(wanted: Floats | Doubles, others: Floats | Doubles) -> float:
    """Return the share of pairs in the right order; ties count half; 0.5 without pairs."""
    if not len(wanted) or not len(others):
        return 0.5
    ranked = np.sort(wanted)
    above = 2 * len(ranked) - np.searchsorted(ranked, others, "left")
    above -= np.searchsorted(ranked, others, "right")
    return float(above.mean() / (2 * len(ranked)))


def accuracy(lists: Lists, k: int) -> Mapping[str, Doubles]:
    """Return the figures of the first k places by name, each (shoppers,)."""
    hits = lists.hits[:, :k].astype(np.float64)
    places = np.arange(1, k + 1)
    discounts = 1 / np.log2(places + 1)
    best = np.minimum(lists.wanted, k)
    found = hits.sum(axis=1)
    precisions = np.cumsum(hits, axis=1) / places
    return {
        f"precision@{k}": found / k,
        f"recall@{k}": found / lists.wanted,
        f"ndcg@{k}": hits @ discounts / np.cumsum(discounts)[best - 1],
        f"map@{k}": (precisions * hits).sum(axis=1) / best,
        f"mrr@{k}": (hits / places).max(axis=1),
        f"hit@{k}": (found > 0).astype(np.float64),
    }


def _diversity(first: Ints, features: sp.csr_matrix) -> Doubles:
    """Return 1 − mean cosine of a list's pairs, (lists,).

    The cosines of a list's pairs add up to (|Σ v|² − Σ |v|²) / 2.
    """
    rows, places = np.nonzero(first != NOBODY)
    shape = (len(first), features.shape[0])
    lists = sp.csr_matrix((np.ones(len(rows)), (rows, first[rows, places])), shape)
    total = lists @ features
    squares = np.asarray(features.multiply(features).sum(axis=1)).ravel()
    alike = np.asarray(total.multiply(total).sum(axis=1)).ravel() - lists @ squares
    count = np.asarray(lists.sum(axis=1)).ravel()
    return np.where(count > 1, 1 - alike / np.maximum(count * (count - 1), 1), 0.0)
