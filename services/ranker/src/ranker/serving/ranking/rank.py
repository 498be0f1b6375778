"""Scores and orders candidates. NumPy only.

The raw score of candidate i is the plain sum of its parts::

    raw_score_i = Σ_b similarity parts + Σ_p behaviour parts

    part b_i    = w_b · cosine_b,i                 b = visual, text, collaborative, …;
                                                   0 where the branch did not name i
    part p_i    = w_p · blend_p · raw_p,i / s_p    p = those of BEHAVIOUR; popularity without a
                                                   history

The weights w come with the request from the scene: they balance behaviour and similarity. The blend
and the scales s belong to the model: they balance the kinds of behaviour, and scale each to about
−1 to 1 like a cosine. parts.py has the formula of each raw part; popularity is the current share in
the record; for shoppers of whom the model knows the last products only, it is β_i as the session
scales it; and the share in training, as last products fade. Parts without weight are left out. A
product that the model does not know is represented by those of its features that the model knows,
and by its photo if the request contains its vector. It has no neighbours, and without such features
no taste or session part.

Equal scores are ordered by the fused order of the branches, then by product id.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field
from itertools import repeat

import numpy as np

from ranker.domain.arrays import Doubles, Flags, Ints
from ranker.domain.events import History
from ranker.domain.features import Product, feature_names
from ranker.domain.model import Model
from ranker.serving.ranking import parts
from ranker.serving.ranking.fold_in import FoldIn
from ranker.serving.ranking.objective import Offers
from ranker.serving.ranking.parts import POPULARITY, SESSION, UNKNOWN, Items
from sightline_rules.fast_dataclass import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class RankCandidates:
    """Candidates to rank. All columns have one entry a candidate."""

    ids: tuple[str, ...]
    """Product ids, none twice."""
    products: Sequence[Product]
    """Facts of each; read for candidates unknown to the model, and for reasons."""
    similarities: Mapping[str, Doubles]
    """By branch; NaN if the branch did not return the candidate."""
    fused: Doubles
    """Fused scores of the branches, higher is better; they break ties."""
    created_micros: Ints | None = None
    """Time when the catalog first stored each, microseconds since 1970 (UTC); 0: unknown. None: not
    given."""
    offers: Offers | None = None
    """Prices and costs; None if not given."""
    brands: Sequence[str] | None = None
    """Those of `products`; None: not given apart from these."""
    categories: Sequence[str] | None = None
    """The same of their paths."""
    rows_of: Callable[[Model], Ints] | None = None
    """Returns the row of each in a model, or UNKNOWN; None: they are looked up by their ids."""

    def brands_of(self, rows: Sequence[int]) -> list[str]:
        """Return the brands of these candidates."""
        if (brands := self.brands) is not None:
            return [brands[row] for row in rows]
        return [self.products[row].brand for row in rows]

    def categories_of(self, rows: Sequence[int]) -> list[str]:
        """Return the category paths of these candidates."""
        if (categories := self.categories) is not None:
            return [categories[row] for row in rows]
        return [self.products[row].category for row in rows]


@fast_dataclass(frozen=True, slots=True)
class ScoredCandidates:
    rows: Ints
    """Rows of the remaining candidates, best first."""
    raw_scores: Doubles
    """Raw scores of those rows."""
    parts: Mapping[str, Doubles]
    """Weighted parts of those rows; each raw score is their sum."""
    hidden_count: int
    seen_count: int
    items: Items | None = None
    """All candidates as represented by the model, in their own order; None if no part needed
    them."""
    factors: Mapping[str, float] = field(default_factory=dict)
    """Factor of each part by the model."""

    def take(self, places: Ints | slice) -> "ScoredCandidates":
        """Return only the candidates at these positions, in their order."""
        return ScoredCandidates(
            self.rows[places],
            self.raw_scores[places],
            {name: values[places] for name, values in self.parts.items()},
            self.hidden_count,
            self.seen_count,
            self.items,
            self.factors,
        )


def rank(
    candidates: RankCandidates,
    weights: Mapping[str, float],
    shopper: FoldIn,
    model: Model | None,
    popularity: Doubles | None,
    *,
    history: History,
    drop_seen: bool = False,
) -> ScoredCandidates:
    """Score all candidates, drop hidden (and seen) ones and order the rest.

    `popularity` is a share (0 to 1) for each candidate; None if `needs_popularity` is false.
    """
    found = similarity_parts(candidates.similarities, weights)
    items: Items | None = None
    factors: Mapping[str, float] = {}
    if model is not None and shopper.personal:
        items = represent(candidates, model)
        factors = parts.factors(model, weights, shopper)
        for name, raw in parts.raw_parts(model, shopper, items, factors).items():
            found[name] = factors[name] * raw
        if SESSION in found and shopper.long_term is None:
            found[POPULARITY] = factors[SESSION] * items.biases.astype(np.float64)
            found[SESSION] = found[SESSION] - found[POPULARITY]
    if popularity is not None and needs_popularity(weights, shopper):
        factor = (weights if model is None else parts.factors(model, weights))[POPULARITY]
        found[POPULARITY] = factor * np.sqrt(popularity)
    scores = np.zeros(candidates.fused.size)
    for values in found.values():
        scores += values
    rows, hidden_count, seen_count = _order(candidates, scores), 0, 0
    if history.hidden or (drop_seen and history.seen):
        hidden = _among(candidates.ids, history.hidden)
        seen = _among(candidates.ids, history.seen if drop_seen else ()) & ~hidden
        rows = rows[~(hidden | seen)[rows]]
        hidden_count, seen_count = int(hidden.sum()), int(seen.sum())
    return ScoredCandidates(
        rows=rows,
        raw_scores=scores[rows],
        parts={name: values[rows] for name, values in found.items()},
        hidden_count=hidden_count,
        seen_count=seen_count,
        items=items,
        factors=factors,
    )


def needs_popularity(weights: Mapping[str, float], shopper: FoldIn) -> bool:
    """Return whether popularity counts for this shopper."""
    return weights.get(POPULARITY, 0.0) > 0 and not shopper.personal


def similarity_parts(
    similarities: Mapping[str, Doubles], weights: Mapping[str, float]
) -> dict[str, Doubles]:
    """Return one part for each branch that has a weight."""
    return {
        branch: weights[branch] * np.where(np.isnan(values), 0.0, values)
        for branch, values in similarities.items()
        if weights.get(branch, 0.0) > 0
    }


def represent(candidates: RankCandidates, model: Model) -> Items:
    """Represent candidates by the model's vectors, or by those of their features."""
    rows, content = model_rows(candidates, model), model.content
    known = UNKNOWN not in rows
    contents = None if content is None else content.of_rows(rows)
    if contents is None and content is not None and not known:
        contents = np.zeros((rows.size, content.usual.size), np.float32)
    items = Items(model.item_vectors[rows], model.item_biases[rows], rows, contents, known)
    if not known:
        _compose(items, (rows == UNKNOWN).nonzero()[0], candidates, model)
    return items


def _compose(items: Items, unseen: Ints, candidates: RankCandidates, model: Model) -> None:
    """Represent the candidates at these places, unknown to the model, by their features."""
    products = (candidates.products[place] for place in unseen.tolist())
    named = [feature_names(one, model.attribute_keys, model.vocabulary) for one in products]
    for place, names in zip(unseen.tolist(), named, strict=True):
        known = [model.feature_rows[name] for name in names if name in model.feature_rows]
        items.vectors[place] = model.feature_vectors[known].sum(axis=0)
        items.biases[place] = model.feature_biases[known].sum()
    if items.contents is not None and model.content is not None:
        items.contents[unseen] = model.content.of(named)


def model_rows(candidates: RankCandidates, model: Model) -> Ints:
    """Return the row of each candidate in the model, or UNKNOWN."""
    if candidates.rows_of is not None:
        return candidates.rows_of(model)
    return rows_by_id(model, candidates.ids)


def rows_by_id(model: Model, ids: Sequence[str]) -> Ints:
    """Return the row of each product in the model, or UNKNOWN."""
    return np.fromiter(map(model.item_rows.get, ids, repeat(UNKNOWN)), np.int64, len(ids))


def calibrated(model: Model | None, raw_scores: Doubles) -> Doubles | None:
    """Return the probability of the calibrated event for each score; None if not calibrated."""
    if model is None or model.calibration is None:
        return None
    knots = model.calibration
    return np.interp(raw_scores, knots.raw_scores, knots.chances)


def _among(ids: Sequence[str], group: Collection[str]) -> Flags:
    """Return a mask of the ids that are in the group, (ids,)."""
    if not group:
        return np.zeros(len(ids), dtype=bool)
    return np.fromiter(map(group.__contains__, ids), bool, len(ids))


def _order(candidates: RankCandidates, scores: Doubles) -> Ints:
    """Return all rows, best first. Ties are resolved only if there are any, because comparing ids
    takes as long as the rest."""
    order: Ints = (-scores).argsort()
    falling = scores[order]
    if True in (falling[1:] == falling[:-1]):
        order = np.lexsort((np.array(candidates.ids), -candidates.fused, -scores))
    return order
