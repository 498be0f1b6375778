"""Splits the parts of raw scores into contributions.

A part p of product i is ``factor_p × raw_p,i`` (parts.py), and each raw part is a sum::

    taste            Σ_f v_f · (x_f·u + β_f)      f = the product's features, v_f = how much of
                   + l_i·u                        each; l_i = what its photo says of a product that
                                                  nobody liked in training
    session          Σ_j d_j · x_i·x_j            j = the last products of interest, d_j what each
                                                  counts in their mean
    by neighbours    Σ_j d_j · W[j, i]            W = the part's `Model.neighbours`
    content          Σ_f y_f·p                     f = features and pairs of features of a product
                                                   that nobody liked; less the usual product's

Popularity, numbers and similarities to signals are one contribution each here; the gateway, which
knows the signals, splits the latter. The remainder of a part after its named contributions is one
more contribution, so that the sum is exact. It holds rounding of single precision and, for models
that do not store the composition of their vectors, features that a product had in training.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import field, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Doubles, Flags, Floats, Ints, Neighbours
from ranker.domain.content import MOST_OF_PRODUCT
from ranker.domain.features import (
    ID_KIND,
    STYLE_KIND,
    WORD_KIND,
    FeatureKinds,
    feature_names,
    kinds_in,
)
from ranker.domain.model import Model
from ranker.serving.ranking import parts
from ranker.serving.ranking.fold_in import FoldIn
from ranker.serving.ranking.parts import CONTENT, TASTE, UNKNOWN, Items, last_products
from ranker.serving.ranking.rank import RankCandidates, ScoredCandidates, represent
from sightline_core.parts import BY_LAST
from sightline_rules.fast_dataclass import fast_dataclass

Contributions = tuple[tuple[str, float], ...]
"""Names with values in the raw score's unit, largest first."""

MOST_CONTRIBUTIONS = 16
"""Maximum number of named contributions of one value; the smaller ones are summed as OTHER."""
OTHER = "other"
_STYLE = f"{STYLE_KIND}="
_PHOTO = -2
"""Place of a product's photo among features."""
UNNAMED = (f"{ID_KIND}=", f"{WORD_KIND}=")
"""Features that are no reasons: a product's own id, and words, which alone explain little."""
PHOTO_SHARE = 1e-5
"""Share of a taste above which its remainder is that of the product's photo."""
NEGLIGIBLE = 1e-9
"""Share of a part below which the remainder is omitted."""


@fast_dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence for the explanations of one request."""

    candidates: RankCandidates
    ranking: ScoredCandidates
    shopper: FoldIn
    model: Model | None
    factors: Mapping[str, float] = field(default_factory=dict)
    """Factor of each raw part."""

    def terms(self, wanted: Container[str]) -> Mapping[str, Doubles]:
        """Return the contribution of each last product to these parts, where they have any:
        (ranked, last products of the part)."""
        ranking, factors, used = self.ranking, self.factors, list[str]()
        for part in BY_LAST:
            if part in wanted and part in ranking.parts and part in factors:
                used += (part,)
        if not used or self.model is None or ranking.items is None:
            return {}
        raw = parts.terms(self.model, self.shopper, ranking.items.at(ranking.rows), used)
        return {name: factors[name] * values for name, values in raw.items()}

    def last_products(self, part: str) -> Sequence[str]:
        """Return the last products of a part, in the order of `terms`."""
        ids = self.model.item_ids if self.model else ()
        return [*map(ids.__getitem__, last_products(self.shopper, part).rows.tolist())]

    def sources(self, wanted: Container[str]) -> Mapping[str, Sequence[str]]:
        """Return by part, of these, the last product, other than itself, that adds most to each
        ranked product's part; "" if none adds anything."""
        items, found = self.ranking.items, dict[str, Sequence[str]]()
        ids = self.model.item_ids if self.model else ()
        for part, terms in self.terms(wanted).items():
            last = last_products(self.shopper, part).rows
            if items is not None and items.rows is not None:
                terms[items.rows[self.ranking.rows][:, None] == last] = 0
            best = last[terms.argmax(axis=1)]
            best[~(np.maximum.reduce(terms, axis=1) > 0)] = UNKNOWN
            found[part] = ["" if row == UNKNOWN else ids[row] for row in best.tolist()]
        return found

    def strongest(self, part: str, places: Ints) -> list[str]:
        """Return the feature that adds most to the raw taste or content of the ranked products at
        these positions, other than ids, words and pairs; "" if none adds anything. It is that of
        `features` or `contents`, for all products at once whose composition the model has."""
        model, items, known = self.model, self.ranking.items, np.zeros(places.size, np.bool_)
        if model is None or items is None or (part == TASTE and not self.tastes):
            return [""] * places.size
        composed, found, kinds = model.item_features, list[str](), kinds_of(model)
        if composed is not None and items.rows is not None and not kinds.has_styles:
            rows = items.rows[self.ranking.rows[places]]
            known = rows != UNKNOWN
            if part == CONTENT:  # of too many features only the first ones count
                known &= composed.starts[rows + 1] - composed.starts[rows] <= MOST_OF_PRODUCT
            found = self._strongest(
                *(part, model, items, composed),
                kinds=kinds,
                own=rows[known],
                places=places[known],
            )
        if len(found) == places.size:
            return found
        others = places[~known].tolist()
        by = self.features(others) if part == TASTE else self.contents(others, with_pairs=False)
        named, rest = iter(found), iter([strongest(by.get(place, ())) for place in others])
        return [next(named if each else rest) for each in known.tolist()]

    def _strongest(
        self,
        part: str,
        model: Model,
        items: Items,
        composed: Neighbours,
        *,
        kinds: FeatureKinds,
        own: Ints,
        places: Ints,
    ) -> list[str]:
        """Return `strongest` of products whose composition the model has, in its rows `own`."""
        rows, photos = self.ranking.rows[places], None
        taste, liking, content = self.shopper.long_term, self.shopper.content, model.content
        product, made = composed.entries(own)
        features = composed.items[made]
        if part == TASTE and taste is not None:
            each = model.feature_vectors[features] @ taste + model.feature_biases[features]
            gains = composed.weights[made].astype(np.float64) * each
            if model.looks is not None:
                liked = np.bincount(product, kinds.ids[features], rows.size) > 0
                whole = (items.vectors[rows] @ taste + items.biases[rows]).astype(np.float64)
                photos = _photo_gains(whole, gains, product, liked)
        elif content is not None and liking is not None and items.contents is not None:
            at = model.once("content of features", content.places_of, model.feature_names)[features]
            gains = (content.vectors[at] @ liking).astype(np.float64)
            new = np.logical_or.reduce(items.contents[rows] != 0, axis=1)
            gains[(at == UNKNOWN) | ~new[product]] = 0.0
        else:
            return [""] * places.size
        gains[kinds.unnamed[features]] = 0.0
        best, found = np.zeros(rows.size), np.full(rows.size, UNKNOWN)
        np.maximum.at(best, product, gains)
        (most,) = ((gains > 0) & (gains == best[product])).nonzero()
        most = most[::-1]  # the first of equal ones is written last
        found[product[most]] = features[most]
        if photos is not None:
            found[photos > best] = _PHOTO
        names = {UNKNOWN: "", _PHOTO: STYLE_KIND}
        return [names[row] if row < 0 else model.feature_names[row] for row in found.tolist()]

    @property
    def tastes(self) -> bool:
        """Return whether any part uses long-term taste."""
        known = TASTE in self.ranking.parts and TASTE in self.factors
        return known and self.model is not None and self.shopper.long_term is not None

    def contents(
        self, places: Sequence[int], *, with_pairs: bool = True
    ) -> Mapping[int, list[tuple[str, float]]]:
        """Return the contributions of features, and of pairs of features, to the raw `content` of
        the ranked products at these positions; empty for products that were liked in training."""
        model, shopper, items = self.model, self.shopper.content, self.ranking.items
        if model is None or model.content is None or shopper is None or items is None:
            return {}
        if items.contents is None or CONTENT not in self.ranking.parts:
            return {}
        found: dict[int, list[tuple[str, float]]] = {}
        content, single = model.content, len(model.content.names)
        label = content.label if with_pairs else content.names.__getitem__
        new = np.logical_or.reduce(items.contents[self.ranking.rows[places]] != 0, axis=1)
        for place, is_new in zip(places, new.tolist(), strict=True):
            names = self._names(model, int(self.ranking.rows[place])) if is_new else ()
            made = content.made_of(names)
            if not with_pairs:
                made = [one for one in made if one < single]
            gains = (content.vectors[made] @ shopper).astype(np.float64).tolist()
            found[place] = [*zip(map(label, made), gains, strict=True)]
        return found

    def _names(self, model: Model, candidate: int) -> list[str]:
        """Return the names of the features that compose a candidate's vector."""
        return [model.feature_names[row] for row in self._made_of(model, candidate)[0].tolist()]

    def features(self, places: Sequence[int]) -> Mapping[int, list[tuple[str, float]]]:
        """Return the contributions of features to the raw taste of the ranked products at these
        positions: features of the product's trained vector, else the product's features that the
        model knows. Photos count as one feature. Empty without a taste part."""
        model, taste = self.model, self.shopper.long_term
        if model is None or taste is None or not self.tastes or not places:
            return {}
        made = [self._made_of(model, int(self.ranking.rows[place])) for place in places]
        rows = np.concatenate([each for each, _ in made])
        each = model.feature_vectors[rows] @ taste + model.feature_biases[rows]
        gains = np.concatenate([amounts for _, amounts in made]) * each.astype(np.float64)
        gained = zip(rows.tolist(), gains.tolist(), strict=True)
        found: list[dict[str, float]] = [{} for _ in made]
        for (own, _), sums in zip(made, found, strict=True):
            for row, gain in islice(gained, len(own)):
                name = model.feature_names[row]
                if name.startswith(_STYLE):
                    name = STYLE_KIND
                sums[name] = sums.get(name, 0.0) + gain
        if model.looks is not None:
            self._add_photos(taste, places, found)
        return {place: list(sums.items()) for place, sums in zip(places, found, strict=True)}

    def _add_photos(
        self, taste: Floats, places: Sequence[int], found: Sequence[dict[str, float]]
    ) -> None:
        """Add the contribution of photos for products without likes in training: the remainder of
        their taste."""
        rows, items = self.ranking.rows[list(places)], self.ranking.items
        if items is None:
            return
        tastes = items.vectors[rows] @ taste + items.biases[rows]
        for row, whole, sums in zip(rows.tolist(), tastes.tolist(), found, strict=True):
            left = whole - sum(sums.values())
            liked = f"{ID_KIND}={self.candidates.ids[row]}" in sums
            if not liked and abs(left) > PHOTO_SHARE * (abs(whole) + sum(map(abs, sums.values()))):
                sums[STYLE_KIND] = left

    def _made_of(self, model: Model, candidate: int) -> tuple[npt.NDArray[np.int32], Floats]:
        """Return the feature rows that compose a candidate's vector, with their weights."""
        item = model.item_rows.get(self.candidates.ids[candidate])
        if item is not None and model.item_features is not None:
            made = model.item_features
            piece = slice(made.starts[item], made.starts[item + 1])
            return made.items[piece], made.weights[piece]
        product = self.candidates.products[candidate]
        names = feature_names(product, model.attribute_keys, model.vocabulary)
        rows = [model.feature_rows[name] for name in names if name in model.feature_rows]
        return np.array(rows, np.int32), np.ones(len(rows), np.float32)


def _photo_gains(whole: Doubles, gains: Doubles, product: Ints, liked: Flags) -> Doubles:
    """Return the contribution of photos to the taste of products, those not `liked` in training:
    what is left of the `whole` taste; 0 if that is negligible."""
    left = whole - np.bincount(product, gains, whole.size)
    size = np.abs(whole) + np.bincount(product, np.abs(gains), whole.size)
    return np.where(~liked & (np.abs(left) > PHOTO_SHARE * size), left, 0.0)


def kinds_of(model: Model) -> FeatureKinds:
    """Return the kinds of a model's features."""
    return model.once("kinds of features", kinds_in, model.feature_names)


def strongest(features: Sequence[tuple[str, float]]) -> str:
    """Return the feature that adds most, other than ids and words; "" if none adds anything."""
    found, most = "", 0.0
    for name, gain in features:
        if gain > most and not name.startswith(UNNAMED):
            found, most = name, gain
    return found


def again(
    candidates: RankCandidates,
    given: Mapping[str, Doubles],
    weights: Mapping[str, float],
    shopper: FoldIn,
    model: Model | None,
) -> Evidence:
    """Build evidence for the parts `given` in an earlier ranking. Parts whose data no longer exist
    are omitted."""
    factors = parts.factors(model, weights, shopper) if model else {}
    similarities = {
        name: values / weights[name]
        for name, values in given.items()
        if name not in parts.OWN_PARTS and weights.get(name)
    }
    known = {name: given[name] for name in given if name in (*similarities, *parts.OWN_PARTS)}
    count = len(candidates.ids)
    items = represent(candidates, model) if model and shopper.personal else None
    ranking = ScoredCandidates(np.arange(count), np.zeros(count), known, 0, 0, items)
    products = replace(candidates, similarities=similarities)
    return Evidence(products, ranking, shopper, model, factors)


def split(evidence: Evidence) -> dict[str, tuple[Contributions, ...]]:
    """Return the contributions to each ranked product's value by part, without parts that have a
    single contribution.

    They sum to the value, to 1e-6 × the sum of their absolute values.
    """
    terms = evidence.terms(BY_LAST)
    found = {part: _by_product(evidence, part, values) for part, values in terms.items()}
    places = range(len(evidence.ranking.rows))
    for part, made in ((TASTE, evidence.features(places)), (CONTENT, evidence.contents(places))):
        if made and part in evidence.factors:
            factor, values = evidence.factors[part], evidence.ranking.parts[part].tolist()
            found[part] = tuple(
                _whole([(name, factor * gain) for name, gain in made[place]], value, OTHER)
                for place, value in enumerate(values)
            )
    return found


def _by_product(evidence: Evidence, part: str, terms: Doubles) -> tuple[Contributions, ...]:
    names = [f"product={item}" for item in evidence.last_products(part)]
    return tuple(
        _whole(list(zip(names, row, strict=True)), value, OTHER)
        for row, value in zip(terms.tolist(), evidence.ranking.parts[part].tolist(), strict=True)
    )


def _whole(named: Sequence[tuple[str, float]], value: float, rest: str) -> Contributions:
    """Return the largest named contributions, and the remainder of the value under the name
    `rest`."""
    largest = sorted((one for one in named if one[1]), key=lambda one: -abs(one[1]))[
        :MOST_CONTRIBUTIONS
    ]
    left = value - sum(one for _, one in largest)
    if abs(left) > NEGLIGIBLE * (abs(value) + sum(abs(one) for _, one in largest)):
        largest.append((rest, left))
    return tuple(sorted(largest, key=lambda one: -abs(one[1])))
