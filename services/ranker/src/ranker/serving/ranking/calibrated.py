"""Calibrated recommendations (Steck 2018, RecSys, doi 10.1145/3240323.3240372): the categories of
the first products in the proportions of the shopper's own history.

The next product at place k is::

    argmax (1 − c) · r_i − c · KL(p ‖ q̃)         q̃ = (1 − α) · q + α · p,   α = .01

    p_g   share of category g in the weights of the shopper's interests that have a category
    q_g   Σ 1 / log2(j + 1) over the places j ≤ k with products of g, divided by that over all
          places ≤ k; place k holds product i

Categories are the topmost levels of paths. Products without a category, or of one that the history
lacks, have a share of q in no g.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from ranker.domain.arrays import Doubles, Ints
from ranker.domain.events import History
from ranker.domain.features import CATEGORY_KIND
from ranker.domain.log import log_of
from ranker.domain.model import Model
from ranker.domain.signals import Signals, interests
from sightline_rules.categories import split

ALPHA = 0.01
"""Share of p in q̃, which keeps the divergence finite; that of the paper."""

LEAST_EVENTS = 5
"""Minimum number of events with products of a category: fewer say little about shares."""


def own_shares(
    history: History, model: Model | None, signals: Signals, now_micros: int
) -> Mapping[str, float]:
    """Return the shares of categories in a shopper's interests, which sum to 1, sorted by name;
    empty below LEAST_EVENTS. The model knows the products' categories."""
    if model is None or model.product_features is None or len(history.recent) < LEAST_EVENTS:
        return {}
    # Events of a merged visitor are the shopper's own.
    events = [event._replace(actor="") for event in history.recent]
    found = interests(log_of(events), signals, now_micros)
    sums, liked = defaultdict[str, float](float), set[str]()
    for item, weight in zip(found.item.tolist(), found.weight.tolist(), strict=True):
        product_id = found.items[item]
        top = _top_category(model, product_id)
        if top and product_id not in history.hidden:
            liked.add(product_id)
            sums[top] += weight
    if sum(event.product_id in liked for event in events) < LEAST_EVENTS:
        return {}
    total = sum(sums.values())
    return {name: sums[name] / total for name in sorted(sums)}


def _top_category(model: Model, product_id: str) -> str:
    """Return the topmost level of a product's category; empty if unknown."""
    row, described = model.item_rows.get(product_id), model.product_features
    if row is None or described is None:
        return ""
    for place in described.features[described.starts[row] : described.starts[row + 1]].tolist():
        kind, _, path = described.names[place].partition("=")
        if kind == CATEGORY_KIND:
            return split(path)[0]
    return ""


def calibrated(
    categories: Sequence[str], relevance: Doubles, shares: Mapping[str, float], strength: float
) -> Ints:
    """Return positions in the calibrated order, (n,); ties keep the order. `categories` are paths;
    `strength`: 0 (by relevance) to 1 (by the divergence alone)."""
    codes = {name: code for code, name in enumerate(shares)}
    tops = [split(path)[:1] for path in categories]
    # Index −1 is the last entry of `apart`.
    group = np.array([codes.get(top[0], -1) if top else -1 for top in tops], dtype=np.int64)
    own = np.array(list(shares.values()))
    weights = 1 / np.log2(np.arange(2, len(group) + 2))
    totals = np.cumsum(weights)
    worth = (1 - strength) * relevance
    held = np.zeros(len(own))  # sum of the weights of the places of each category
    apart = np.empty(len(own) + 1)  # divergence with a product of each category, then of none
    order = np.empty(len(group), dtype=np.int64)
    for place, (weight, total) in enumerate(zip(weights, totals, strict=True)):
        without, added = _terms(own, np.stack((held, held + weight)) / total)
        apart[-1] = without.sum()
        apart[:-1] = apart[-1] + (added - without)
        order[place] = best = (worth - (strength * apart)[group]).argmax()
        worth[best] = -np.inf
        if group[best] >= 0:
            held[group[best]] += weight
    return order


def divergence(categories: Sequence[str], shares: Mapping[str, float]) -> float:
    """Return KL(p ‖ q̃) of a list with products of these categories, which are paths."""
    if not categories:
        return -float(np.log(ALPHA))
    weights = 1 / np.log2(np.arange(2, len(categories) + 2))
    held = dict.fromkeys(shares, 0.0)
    for path, weight in zip(categories, weights.tolist(), strict=True):
        if path and (top := split(path)[0]) in held:
            held[top] += weight
    own = np.array(list(shares.values()))
    return float(_terms(own, np.array(list(held.values())) / weights.sum()).sum())


def _terms(own: Doubles, shares: Doubles) -> Doubles:
    """Return the terms of KL(own ‖ shares mixed with own), in the shape of `shares`."""
    terms: Doubles = own * np.log(own / ((1 - ALPHA) * shares + ALPHA * own))
    return terms
