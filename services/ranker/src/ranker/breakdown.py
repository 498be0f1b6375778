"""Splits the parts of raw scores into what they come from.

A part p of product i is ``factor_p × raw_p,i`` (parts.py), and each raw part is a sum::

    taste            Σ_f v_f · (x_f·u + β_f)      f = the product's features, v_f = 1, or the
                                                  product's place on an axis of the visual style
    session          Σ_j d_j · x_i·x_j            j = the last products of interest, d_j what each
                                                  counts in their mean; + β_i where nothing else
                                                  holds it
    item_item        Σ_j d_j · W[j, i]
    bought_together  Σ_j d_j · T[j, i]

Popularity, trend and the similarities to signals are one addend each here; the gateway, which knows
the signals, splits the latter. What is left of a part after its named addends is one more, so that
the sum is exact: single precision and, where a model does not keep what its vectors are made of,
features that a product had when it was trained.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ranker import parts
from ranker.features import STYLE_KIND, feature_names
from ranker.features import split as kind_and_value
from ranker.fold_in import FoldIn
from ranker.model import Doubles, Model
from ranker.parts import BOUGHT_TOGETHER, ITEM_ITEM, SESSION, TASTE
from ranker.rank import Candidates, Ranking

Addends = tuple[tuple[str, float], ...]
"""Names with values in the raw score's unit, largest first."""

MOST_ADDENDS = 16
"""Named ones of one value; the smallest of the others go together as OTHER."""
BIAS, OTHER = "bias", "other"
NEGLIGIBLE = 1e-9
"""Share of a part below which what is left over is not told."""


@dataclass(frozen=True)
class Evidence:
    """What explanations rest on, for one request."""

    candidates: Candidates
    ranking: Ranking
    shopper: FoldIn
    model: Model | None
    factors: Mapping[str, float] = field(default_factory=dict)
    """By part what its raw part was multiplied with."""

    @cached_property
    def gains(self) -> Doubles | None:
        """(features,) what each of the model's features adds to the raw taste; None = no taste."""
        model, long_term = self.model, self.shopper.long_term
        if model is None or long_term is None or TASTE not in self.ranking.parts:
            return None
        return (model.feature_vectors @ long_term + model.feature_biases).astype(np.float64)

    @cached_property
    def terms(self) -> Mapping[str, Doubles]:
        """By part, (ranked, products of its trail), what each last product adds to the part."""
        model, ranking = self.model, self.ranking
        if model is None or ranking.items is None or ranking.parts.keys().isdisjoint(self.trails):
            return {}
        raw = parts.terms(model, self.shopper, ranking.items.at(ranking.rows))
        return {
            name: self.factors[name] * values
            for name, values in raw.items()
            if name in ranking.parts
        }

    @property
    def trails(self) -> Mapping[str, tuple[str, ...]]:
        """By part the last products that it rests on, in the order of `terms`."""
        model, shopper = self.model, self.shopper
        trails = {
            SESSION: shopper.recent,
            ITEM_ITEM: shopper.liked,
            BOUGHT_TOGETHER: shopper.bought,
        }
        return {
            part: tuple(model.item_ids[row] for row in trail.rows.tolist())
            for part, trail in trails.items()
            if model is not None
        }

    def features(self, place: int) -> list[tuple[str, float]]:
        """What the features of the ranked product at `place` add to its raw taste: those that the
        model made its vector of, else those that it has and the model knows. The axes of the style
        count as one."""
        model, gains = self.model, self.gains
        if model is None or gains is None:
            return []
        found: dict[str, float] = {}
        for row, amount in self._made_of(model, int(self.ranking.rows[place])):
            name = model.feature_names[row]
            name = STYLE_KIND if kind_and_value(name)[0] == STYLE_KIND else name
            found[name] = found.get(name, 0.0) + amount * float(gains[row])
        return list(found.items())

    def _made_of(self, model: Model, candidate: int) -> Iterable[tuple[int, float]]:
        """Rows of features with how much of each makes up a candidate's vector."""
        item = model.item_rows.get(self.candidates.ids[candidate])
        if item is not None and model.item_features is not None:
            made = model.item_features
            piece = slice(made.starts[item], made.starts[item + 1])
            return zip(made.items[piece].tolist(), made.weights[piece].tolist(), strict=True)
        names = feature_names(self.candidates.products[candidate], model.attribute_keys)
        rows = model.feature_rows
        return [(rows[name], 1.0) for name in names if name in rows]


def split(evidence: Evidence) -> dict[str, tuple[Addends, ...]]:
    """By part the addends of each ranked product's value; parts that are one addend are left out.

    The addends of a value sum to it, to 1e-6 × the sum of their absolute values.
    """
    found = {part: _by_product(evidence, part) for part in evidence.terms}
    if evidence.gains is not None:
        factor = evidence.factors[TASTE]
        found[TASTE] = tuple(
            _whole([(name, factor * gain) for name, gain in evidence.features(place)], value, OTHER)
            for place, value in enumerate(evidence.ranking.parts[TASTE].tolist())
        )
    return found


def _by_product(evidence: Evidence, part: str) -> tuple[Addends, ...]:
    names = [f"product={item}" for item in evidence.trails[part]]
    rest = BIAS if part == SESSION and evidence.shopper.long_term is None else OTHER
    return tuple(
        _whole(list(zip(names, row, strict=True)), value, rest)
        for row, value in zip(
            evidence.terms[part].tolist(), evidence.ranking.parts[part].tolist(), strict=True
        )
    )


def _whole(named: Sequence[tuple[str, float]], value: float, rest: str) -> Addends:
    """The largest of the named addends, and as `rest` what they leave of the value."""
    largest = sorted((one for one in named if one[1]), key=lambda one: -abs(one[1]))[:MOST_ADDENDS]
    left = value - sum(addend for _, addend in largest)
    if abs(left) > NEGLIGIBLE * (abs(value) + sum(abs(addend) for _, addend in largest)):
        largest.append((rest, left))
    return tuple(sorted(largest, key=lambda one: -abs(one[1])))
