"""Scores and orders candidates. NumPy only.

The raw score of candidate i is the plain sum of its parts::

    raw_score_i  = Σ_b similarity parts + taste_i + session_i + popularity_i

    part b_i     = w_b · cosine_b,i                        b = visual, text, collaborative, …;
                                                           0 where the branch did not name i
    taste_i      = w_taste · (x_i·u + β_i) / s             shoppers who were in training
    session_i    = w_session · 2 · x_i·m / s               the same, with recent events
                 = w_session · (x_i·m + β_i) / s           shoppers who were not
    popularity_i = w_popularity · √share_i                 only where there is no u and no m

x_i and β_i are the product's vector and bias in the model; u is the shopper's trained vector; m is
the mean of x over the last products of interest (see fold_in.py); s is the model's score scale,
the 99th percentile of the size of behavioural scores in training, so that these parts lie between
about −1 and 1 like a cosine; share_i is the product's decayed count over that of the most popular
product. The weights w come with the request; a part that has none counts 0 and is left out. A
product that the model does not know is represented by those of its features that the model knows,
and gets no taste or session part when there are none.

Equal scores are ordered by the fused order of the branches, then by product id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ranker.features import feature_names
from ranker.fold_in import SESSION_BOOST, FoldIn
from ranker.model import Doubles, Floats, History, Ints, Model, Product

TASTE, SESSION, POPULARITY = "taste", "session", "popularity"
OWN_PARTS = frozenset({TASTE, SESSION, POPULARITY})


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is to be ordered. All columns have one entry a candidate."""

    ids: tuple[str, ...]
    """Product ids, none twice."""
    products: Sequence[Product]
    """What is known of each; read only where the model does not know one, and for reasons."""
    similarities: Mapping[str, Doubles]
    """By branch; NaN = the branch did not name the candidate."""
    fused: Doubles
    """Fused order of the branches, higher = better; breaks ties."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Ordered candidates."""

    rows: Ints
    """Rows of the candidates that are left, best first."""
    raw_scores: Doubles
    """Of those rows."""
    parts: Mapping[str, Doubles]
    """Of those rows, by part; each raw score is their sum."""
    hidden_count: int
    seen_count: int


def rank(
    candidates: Candidates,
    weights: Mapping[str, float],
    shopper: FoldIn,
    model: Model | None,
    popularity: Doubles | None,
    *,
    history: History,
    drop_seen: bool = False,
    top_k: int = 0,
) -> Ranking:
    """Score all candidates, drop hidden (and seen) ones, order the rest and keep `top_k` of them.

    `popularity` is a share (0 to 1) for each candidate; None = not read, for it counts only where
    `needs_popularity` says so. `top_k` 0 = all.
    """
    parts = similarity_parts(candidates.similarities, weights)
    if model is not None and shopper.personal:
        parts |= behaviour_parts(candidates, weights, shopper, model)
    if popularity is not None and needs_popularity(weights, shopper):
        parts[POPULARITY] = weights[POPULARITY] * np.sqrt(popularity)
    ids = candidates.ids
    scores = sum(parts.values(), start=np.zeros(len(ids)))
    hidden = np.fromiter((item in history.hidden for item in ids), dtype=bool, count=len(ids))
    seen = np.fromiter(
        (drop_seen and item in history.seen for item in ids), dtype=bool, count=len(ids)
    )
    order = np.lexsort((np.array(ids), -candidates.fused, -scores))
    order = order[~(hidden | seen)[order]]
    rows = order[: top_k or None]
    return Ranking(
        rows=rows.astype(np.int64),
        raw_scores=scores[rows],
        parts={name: values[rows] for name, values in parts.items()},
        hidden_count=int(hidden.sum()),
        seen_count=int((seen & ~hidden).sum()),
    )


def needs_popularity(weights: Mapping[str, float], shopper: FoldIn) -> bool:
    """Whether popularity counts for this shopper."""
    return weights.get(POPULARITY, 0.0) > 0 and not shopper.personal


def similarity_parts(
    similarities: Mapping[str, Doubles], weights: Mapping[str, float]
) -> dict[str, Doubles]:
    """One part for each branch that has a weight."""
    return {
        branch: weights[branch] * np.nan_to_num(values, nan=0.0)
        for branch, values in similarities.items()
        if weights.get(branch, 0.0) > 0
    }


def behaviour_parts(
    candidates: Candidates, weights: Mapping[str, float], shopper: FoldIn, model: Model
) -> dict[str, Doubles]:
    """Taste and session, each where it has a weight and a vector."""
    vectors, biases = represent(candidates, model)
    parts = {}
    if shopper.long_term is not None and weights.get(TASTE, 0.0) > 0:
        scores = (vectors @ shopper.long_term + biases).astype(np.float64)
        parts[TASTE] = weights[TASTE] * scores / model.score_scale
    if shopper.session is not None and weights.get(SESSION, 0.0) > 0:
        scores = (vectors @ shopper.session).astype(np.float64)
        scores = scores + biases if shopper.long_term is None else SESSION_BOOST * scores
        parts[SESSION] = weights[SESSION] * scores / model.score_scale
    return parts


def represent(candidates: Candidates, model: Model) -> tuple[Floats, Floats]:
    """Vectors (n, dimension) and biases (n,) of candidates, known to the model or not."""
    rows = [model.item_rows.get(item, -1) for item in candidates.ids]
    vectors = model.item_vectors[rows]
    biases = model.item_biases[rows]
    for place, row in enumerate(rows):
        if row < 0:
            names = feature_names(candidates.products[place], model.attribute_keys)
            known = [model.feature_rows[name] for name in names if name in model.feature_rows]
            vectors[place] = model.feature_vectors[known].sum(axis=0)
            biases[place] = model.feature_biases[known].sum()
    return vectors, biases
