"""Behaviour parts of a score: raw, weighted and summed. NumPy only.

Ranking, generating candidates, the choice of a blend and evaluation all score by this module. For
product i and a shopper with the trained vector u, whose last products of interest are j::

    taste_i           = x_i·u + β_i                shoppers who were in training, or whose given
                                                   attributes were
    session_i         = x_i·m                      with u
                      = x_i·m + β_i                without
    neighbours_i      = Σ_j d_j · W[j, i]          of BY_NEIGHBOURS; for PartKind.BOUGHT,
                                                   j = those bought or put into the cart
    content_i         = c_i·p                      products that nobody liked in training
    number_i          = `Model.numbers` of i       of BY_NUMBER
    popularity_i      = √share_i                   only where nothing is known of the shopper, or
                                                   of those in training, as last products fade

x_i and β_i are the product's vector and bias; m is the mean of x_j, weighed by d_j and, where there
is no u, shrunk; W is the part's own of `Model.neighbours`; c_i predicts item_item's column from the
product's features, and p is the shopper's vector there (domain/content.py); fold_in.py
defines the history window of each part, the decay d_j, and the fading with the time since the last
interest. A part of a score is ``weight × blend / scale × raw``, where the weight is the scene's,
and blend and scale are the model's (`factors`). The blend is that of shoppers in the middle of a
visit; others have some weights of `Model.newcomers` or `Model.returning` (`FoldIn.usual`).
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Doubles, Floats, Ints, Neighbours
from ranker.domain.content import Content
from ranker.domain.model import Model
from ranker.serving.ranking.fold_in import NOBODY, FoldIn, LastProducts
from sightline_core.parts import BEHAVIOUR, BY_LAST, BY_LIKED, BY_NEIGHBOURS
from sightline_rules.fast_dataclass import fast_dataclass

TASTE, SESSION, POPULARITY = "taste", "session", "popularity"
ITEM_ITEM, CONTENT = "item_item", "content"
OWN_PARTS = tuple(BEHAVIOUR)
"""Names of all parts that the ranker computes, as in answers."""

DEFAULT_BLEND = {TASTE: 1.0, SESSION: 2.0, POPULARITY: 1.0}
"""Blend of models without one, from release 0.3 and before. With the session counted twice relative
to the long-term vector, nDCG@10 on MovieLens-100k is .2477, without a session .2016."""
MOST_NEW = 50_000
"""Maximum number of products without likes that are candidates by `content` in catalogs that are
too large to score every product."""
N = TypeVar("N", Doubles, Floats)
UNKNOWN = -1
"""Row of a product that is unknown to the model."""


@fast_dataclass(frozen=True, slots=True)
class Items:
    """Products to score, as represented by the model."""

    vectors: Floats
    """(n, dimension)"""
    biases: Floats
    """(n,)"""
    rows: Ints | None = None
    """(n,) row of each in the model, or UNKNOWN; None: all of the model's products, in order"""
    contents: Floats | None = None
    """(n, width of the model's content), zeros for products that were liked in training; None: all
    were, or the model has none"""
    known: bool = False
    """True if the model is known to have each of `rows`."""

    def take(self, values: N) -> N:
        """Return the values of these products, (n,), from the values of all products of the model;
        0 for unknown products."""
        if self.rows is None:
            return values
        found = values[self.rows]
        if not self.known:
            found[self.rows == UNKNOWN] = 0
        return found

    def at(self, places: Ints) -> "Items":
        """Return the products at these indexes."""
        rows = places if self.rows is None else self.rows[places]
        contents = None if self.contents is None else self.contents[places]
        return Items(self.vectors[places], self.biases[places], rows, contents, self.known)


def all_items(model: Model) -> Items:
    """Return all products of the model without a copy."""
    return Items(model.item_vectors, model.item_biases)


def raw_parts(
    model: Model, shopper: FoldIn, items: Items, wanted: Container[str] = OWN_PARTS
) -> dict[str, Doubles]:
    """Return the parts that exist for this shopper by name, each (n,), before weights and scales.
    Popularity is the model's own; unknown and unwanted parts are left out."""
    parts: dict[str, Doubles] = {}
    if shopper.long_term is not None and TASTE in wanted:
        parts[TASTE] = (items.vectors @ shopper.long_term + items.biases).astype(np.float64)
    if shopper.session is not None and SESSION in wanted:
        scores = (items.vectors @ shopper.session).astype(np.float64)
        parts[SESSION] = scores if shopper.long_term is not None else scores + items.biases
    for name, (_, _, _, sums) in _neighbourly(model, shopper, wanted):
        parts[name] = items.take(sums)
    if shopper.content is not None and items.contents is not None and CONTENT in wanted:
        parts[CONTENT] = (items.contents @ shopper.content).astype(np.float64)
    if shopper.personal:
        for name in model.numbers:
            if name in wanted:
                parts[name] = items.take(model.numbers[name]).astype(np.float64)
    if shopper.by_popularity and model.popularity is not None and POPULARITY in wanted:
        parts[POPULARITY] = items.take(np.sqrt(model.popularity, dtype=np.float64))
    return parts


def factors(
    model: Model, weights: Mapping[str, float] | None = None, shopper: FoldIn = NOBODY
) -> Mapping[str, float]:
    """Return the factor of each of the shopper's raw parts; parts without weight are left out.
    `weights` are the scene's, in which an absent part counts 0; None: all parts count 1."""
    if shopper.usual < 1:  # each hour, and each number of products, has its own
        return _factors(model, weights, shopper)
    given = None if weights is None else tuple(map(weights.get, OWN_PARTS))
    return model.once((shopper.anchored, given), _factors, model, weights, shopper)


def _factors(
    model: Model, weights: Mapping[str, float] | None, shopper: FoldIn
) -> Mapping[str, float]:
    blend, found = _blend(model, shopper), {}
    for name, divisor in model.once("scales of parts", _scales, model).items():
        weight = blend.get(name, 0.0) * (1.0 if weights is None else weights.get(name, 0.0))
        if weight > 0:
            found[name] = weight / divisor
    return MappingProxyType(found)


def shares(model: Model, shopper: FoldIn) -> dict[str, float]:
    """Return the shopper's weights as multiples of those of the model's blend, where they differ;
    of a part that counts for this shopper alone, as a multiple of 1."""
    if shopper.usual == 1:
        return {}
    usual, own = _usual(model, shopper), _blend(model, shopper)
    found = {name: weight / (usual.get(name) or 1.0) for name, weight in own.items()}
    return {name: share for name, share in found.items() if share not in (0, 1)}


def _blend(model: Model, shopper: FoldIn) -> Mapping[str, float]:
    """Return the weights of this shopper's parts."""
    blend = _usual(model, shopper)
    if shopper.usual == 1:
        return blend
    blend[POPULARITY] = 0.0
    other = model.returning if shopper.trained else model.newcomers
    usual, rest = shopper.usual, 1 - shopper.usual
    mixed = {name: usual * blend.get(name, 0.0) + rest * one for name, one in other.items()}
    return {**blend, **mixed}


def _usual(model: Model, shopper: FoldIn) -> dict[str, float]:
    """Return the model's blend. Popularity and parts by anchors count even if their weight in it is
    0, because it was learned from last products instead of anchors."""
    blend = model.blend or DEFAULT_BLEND
    alone = (POPULARITY, *(BY_LAST if shopper.anchored else ()))
    return {**blend, **{name: blend.get(name) or 1.0 for name in alone}}


def scale(model: Model, part: str) -> float:
    """Return the divisor that scales raw parts to a common size."""
    usual = model.score_scale if part in (TASTE, SESSION) else 1.0
    return model.part_scales.get(part, usual)


def _scales(model: Model) -> dict[str, float]:
    return {name: scale(model, name) for name in OWN_PARTS}


def weighed(parts: Mapping[str, Doubles], factors: Mapping[str, float]) -> dict[str, Doubles]:
    """Multiply raw parts by their factors; parts without a factor are left out."""
    return {name: factors[name] * values for name, values in parts.items() if name in factors}


def blended(
    model: Model, shopper: FoldIn, factors: Mapping[str, float], rows: Ints | None = None
) -> Floats:
    """Return the scores of these rows of the model, or of all, (n,): the sum of the weighed parts.
    Taste and session are computed as one product with one query, in a third of the time; the result
    differs from the parts' sum by rounding of single precision."""
    vector, bias = query(model, shopper, factors)
    scores: Floats
    if rows is None and model.item_columns is not None:
        scores = np.concatenate((vector, (bias,)), dtype=np.float32) @ model.item_columns
    else:
        scores = _of(rows, model.item_vectors) @ vector
        scores += np.float32(bias) * _of(rows, model.item_biases)
    for name, (_, _, _, sums) in _neighbourly(model, shopper, factors):
        scores += factors[name] * (sums if rows is None else sums[rows])
    if shopper.content is not None and model.content is not None and CONTENT in factors:
        _add_content(scores, factors[CONTENT], model.content, shopper.content, rows)
    if shopper.personal:
        for name in model.numbers:
            if name in factors:
                values = model.numbers[name]
                scores += factors[name] * (values if rows is None else values[rows])
    if shopper.by_popularity and model.popularity is not None and POPULARITY in factors:
        shares = model.popularity if rows is None else model.popularity[rows]
        scores += factors[POPULARITY] * np.sqrt(shares)
    return scores


def by_columns(model: Model) -> Model:
    """Return the model with its vectors by component too, at twice the memory: one query then takes
    60 µs for 50,000 products of 30 dimensions, and 125 µs by row (one thread, 2026-11)."""
    columns = np.vstack([model.item_vectors.T, model.item_biases])
    return replace(model, item_columns=np.ascontiguousarray(columns))


def query(model: Model, shopper: FoldIn, factors: Mapping[str, float]) -> tuple[Floats, float]:
    """Return taste and session as one vector q, (dimension,), and the factor b of biases. The two
    parts add ``item_vectors @ q + b * item_biases`` to the scores.
    """
    vector = np.zeros(model.item_vectors.shape[1], dtype=np.float32)
    taste, session = factors.get(TASTE, 0.0), factors.get(SESSION, 0.0)
    if shopper.session is not None:
        vector += np.float32(session) * shopper.session
    if shopper.long_term is None:
        return vector, session if shopper.session is not None else 0.0
    return vector + np.float32(taste) * shopper.long_term, taste


def terms(
    model: Model, shopper: FoldIn, items: Items, wanted: Container[str] = OWN_PARTS
) -> dict[str, Doubles]:
    """Return the contribution of each last product to the raw parts computed from them, by part.
    Each is (n, products of the part's `last_products`). A row's sum is the raw part; for `session`
    of shoppers without a long-term vector it lacks the product's bias."""
    found = {}
    if shopper.session is not None and SESSION in wanted:
        recent = shopper.recent
        closeness = items.vectors @ model.item_vectors[recent.rows].T
        found[SESSION] = closeness * recent.decays
    rows = np.arange(len(model.item_ids)) if items.rows is None else items.rows
    # From 1, for each product of the model; 0: not among them. The last is that of UNKNOWN.
    places = np.zeros(len(model.item_ids) + 1, np.int64)
    places[rows] = np.arange(1, rows.size + 1)
    for name, (named, weights, columns, _) in _neighbourly(model, shopper, wanted):
        at = places[named]
        (there,) = at.nonzero()
        found[name] = np.zeros((rows.size, last_products(shopper, name).rows.size))
        found[name][at[there] - 1, columns[there]] = weights[there]
    return found


def neighbour_rows(model: Model, shopper: FoldIn, factors: Mapping[str, float]) -> Ints:
    """Return the sorted rows of the last products' neighbours in the parts with a factor."""
    found = [rows for _, (rows, _, _, _) in _neighbourly(model, shopper, factors)]
    return np.unique(np.concatenate(found)).astype(np.int64) if found else np.zeros(0, np.int64)


def new_rows(model: Model, shopper: FoldIn, factors: Mapping[str, float]) -> Ints:
    """Return the ascending rows of products that nobody liked in training; none if `content` has no
    factor or there are too many of them to score each."""
    content = model.content
    if content is None or shopper.content is None or CONTENT not in factors:
        return np.zeros(0, np.int64)
    return content.rows if len(content.rows) <= MOST_NEW else np.zeros(0, np.int64)


def last_products(shopper: FoldIn, part: str) -> LastProducts:
    """Return the last products that a part of BY_LAST follows."""
    if part == SESSION:
        return shopper.recent
    return shopper.liked if part in BY_LIKED else shopper.bought


Gathered: TypeAlias = tuple[npt.NDArray[np.int32], Floats, Ints, Doubles]
"""Neighbours of all last products one after another: rows, weights times decays, and the index of
the last product; and Σ_j decay_j · weights[j, i] for every product i of the model, (items,)."""


def _neighbourly(
    model: Model, shopper: FoldIn, wanted: Container[str]
) -> Sequence[tuple[str, Gathered]]:
    """Return the neighbours of the shopper's last products in each of the wanted parts that has
    any, gathered once for the shopper of a request."""
    kept: dict[str, Gathered] = {} if shopper.gathered is None else shopper.gathered
    found: tuple[tuple[str, Gathered], ...] = ()
    for name in BY_NEIGHBOURS:
        last = shopper.liked if name in BY_LIKED else shopper.bought
        if last.rows.size and name in wanted and name in model.neighbours:
            if name not in kept:
                kept[name] = _gathered(model.neighbours[name], last)
            found += ((name, kept[name]),)
    return found


def _gathered(neighbours: Neighbours, last: LastProducts) -> Gathered:
    """Gather the neighbours of a part's last products.

    np.bincount over all products takes 10 µs for 50,000 of them and 70 µs for a million (10 × 200
    neighbours), less than looking candidates up in the neighbours' lists.
    """
    columns, places = neighbours.entries(last.rows)
    named, count = neighbours.items[places], neighbours.starts.size - 1
    weights = last.decays.astype(np.float32)[columns] * neighbours.weights[places]
    sums = np.bincount(named, weights, count)
    # Without neighbours it counts in integers.
    return named, weights, columns, sums.astype(np.float64, copy=False)


def _add_content(
    scores: Floats, factor: float, content: Content, shopper: Floats, rows: Ints | None
) -> None:
    """Add `content` to the scores of the model's products, in place."""
    if rows is None:
        scores[content.rows] += np.float32(factor) * (content.row_vectors @ shopper)
    elif (vectors := content.of_rows(rows)) is not None:
        scores += np.float32(factor) * (vectors @ shopper)


def _of(rows: Ints | None, values: Floats) -> Floats:
    """Return the values of these rows. Rows are valid: checking them costs as much as reading."""
    return values if rows is None else values.take(rows, axis=0, mode="clip")
