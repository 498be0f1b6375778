"""Measures a model on events that came after those it was trained on. NumPy only.

The split is by time for everyone at once: the model sees what happened up to a moment and is asked
for what the same shoppers liked after it. All products of the catalogue compete, less those that
the shopper is known to like already. A shopper's figures are averaged over shoppers:

- ``hit@10``: whether one of the first ten is liked later
- ``ndcg@10``: normalised discounted cumulative gain of the first ten (Järvelin, Kekäläinen 2002)
- ``auc``: the chance that a product liked later stands before one that is not

``popularity_…`` are the same figures for the plain order of popularity among the training events.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ranker import fold_in
from ranker.model import Doubles, Interaction, Metric, Model
from ranker.signals import Positive, positives

TOP = 10
HOLDOUT_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Split:
    """Events before a moment, and what their shoppers liked after it."""

    before: tuple[Interaction, ...]
    liked_after: Mapping[str, frozenset[str]]
    """By shopper; only products that they did not like before."""


def split_by_time(events: Sequence[Interaction]) -> Split:
    """Hold out the last fifth of the events by time; equal times stay together."""
    if not events:
        return Split((), {})
    times = np.sort(np.array([event.time_micros for event in events]))
    moment = times[int(len(times) * (1 - HOLDOUT_SHARE))]
    before = tuple(event for event in events if event.time_micros < moment)
    known = {(one.actor, one.product_id) for one in positives(before)}
    after: defaultdict[str, set[str]] = defaultdict(set)
    for one in positives(event for event in events if event.time_micros >= moment):
        if (one.actor, one.product_id) not in known:
            after[one.actor].add(one.product_id)
    return Split(before, {actor: frozenset(items) for actor, items in after.items()})


def evaluate(
    model: Model, liked_before: Iterable[Positive], liked_after: Mapping[str, frozenset[str]]
) -> tuple[Metric, ...]:
    """The figures, over the shoppers that the model knows and that liked a known product later;
    none when there is no such shopper."""
    history = products_by_recency(liked_before)
    popularity = _popularity(model, history.values())
    figures: defaultdict[str, list[float]] = defaultdict(list)
    for actor in sorted(liked_after.keys() & model.actor_rows.keys()):
        wanted = [model.item_rows[item] for item in liked_after[actor] if item in model.item_rows]
        if not wanted:
            continue
        liked = history.get(actor, ())
        person = fold_in.of(model, actor, liked)
        scores = model.item_vectors @ fold_in.query(person, model.item_vectors.shape[1])
        masked = [model.item_rows[item] for item in liked if item in model.item_rows]
        for prefix, order in (("", scores + model.item_biases), ("popularity_", popularity)):
            for name, value in _figures(order.astype(np.float64), wanted, masked).items():
                figures[prefix + name].append(value)
    return tuple(
        Metric(name, float(np.mean(values)), len(values)) for name, values in figures.items()
    )


def products_by_recency(liked: Iterable[Positive]) -> dict[str, tuple[str, ...]]:
    """By shopper the liked products, newest first."""
    found: defaultdict[str, list[Positive]] = defaultdict(list)
    for one in liked:
        found[one.actor].append(one)
    return {
        actor: tuple(
            one.product_id
            for one in sorted(ones, key=lambda one: (-one.time_micros, one.product_id))
        )
        for actor, ones in found.items()
    }


def _popularity(model: Model, histories: Iterable[Sequence[str]]) -> Doubles:
    counts = np.zeros(len(model.item_ids))
    for items in histories:
        for item in items:
            if item in model.item_rows:
                counts[model.item_rows[item]] += 1
    return counts


def _figures(scores: Doubles, wanted: Sequence[int], masked: Sequence[int]) -> dict[str, float]:
    scores = scores.copy()
    scores[list(masked)] = -np.inf
    relevant = np.zeros(len(scores), dtype=bool)
    relevant[list(wanted)] = True
    hits = relevant[np.argsort(-scores, kind="stable")[:TOP]]
    discounts = 1 / np.log2(np.arange(2, TOP + 2))
    ideal = discounts[: min(TOP, len(wanted))].sum()
    return {
        f"hit@{TOP}": float(hits.any()),
        f"ndcg@{TOP}": float((hits * discounts[: len(hits)]).sum() / ideal),
        "auc": _auc(scores[relevant], scores[~relevant & np.isfinite(scores)]),
    }


def _auc(liked: Doubles, others: Doubles) -> float:
    """Share of pairs in the right order; ties count half; 0.5 when there are no pairs."""
    if not len(liked) or not len(others):
        return 0.5
    others = np.sort(others)
    below = np.searchsorted(others, liked, "left")
    up_to = np.searchsorted(others, liked, "right")
    return float((below + up_to).mean() / (2 * len(others)))
