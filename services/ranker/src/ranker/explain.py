"""Says why a product is where it is: a code, parameters and a sentence.

The parts of a raw score are the evidence: a reason is given for each of the two largest positive
parts, if it makes up at least a fifth of all that speaks for the product.

===================  ===================================================  ==================
code                 when                                                 parameters
===================  ===================================================  ==================
LOOKS_LIKE_QUERY     visual similarity                                    cosine
MATCHES_TEXT         text similarity                                      cosine
LIKED_TOGETHER       similarity of behaviour                              cosine
SIMILAR_TO_VIEWED    session: the last product whose vector is closest    product_id
VIEWED_RECENTLY      session: it is itself the only one of them
MATCHES_TASTE        taste: the feature that adds most to the score       feature, value
POPULAR              popularity
===================  ===================================================  ==================
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ranker.features import feature_names, split
from ranker.fold_in import FoldIn
from ranker.model import Doubles, Floats, Model, Product, Reason
from ranker.parts import POPULARITY, SESSION, TASTE
from ranker.rank import Candidates, Ranking

Parameters = tuple[tuple[str, str], ...]

LARGEST = 2
LEAST_SHARE = 0.2

SIMILARITY_CODES = {
    "visual": "LOOKS_LIKE_QUERY",
    "text": "MATCHES_TEXT",
    "collaborative": "LIKED_TOGETHER",
}

TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "LOOKS_LIKE_QUERY": "Looks like what you showed us",
        "MATCHES_TEXT": "Matches what you asked for",
        "LIKED_TOGETHER": "Liked by people who like the same products",
        "SIMILAR_TO_VIEWED": "Similar to something you looked at",
        "VIEWED_RECENTLY": "You looked at this recently",
        "MATCHES_TASTE": "Fits your taste: {value}",
        "MATCHES_TASTE/price_band": "In a price range you often choose",
        "MATCHES_TASTE/": "Fits your taste",
        "POPULAR": "Popular right now",
    },
    "zh": {
        "LOOKS_LIKE_QUERY": "与您提供的图片相似",
        "MATCHES_TEXT": "符合您的描述",
        "LIKED_TOGETHER": "喜欢同类商品的人也喜欢它",
        "SIMILAR_TO_VIEWED": "与您看过的商品相似",
        "VIEWED_RECENTLY": "您最近看过",
        "MATCHES_TASTE": "符合您的喜好：{value}",
        "MATCHES_TASTE/price_band": "在您常选的价格区间",
        "MATCHES_TASTE/": "符合您的喜好",
        "POPULAR": "当前热门",
    },
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What reasons rest on, for one request."""

    candidates: Candidates
    ranking: Ranking
    shopper: FoldIn
    model: Model | None


def explain(evidence: Evidence, language_code: str) -> tuple[tuple[Reason, ...], ...]:
    """Reasons of each ranked product, strongest first; none where nothing speaks for it.

    `language_code` is BCP 47; languages that we do not have get English.
    """
    texts = TEXTS.get(language_code.partition("-")[0].lower(), TEXTS["en"])
    names = list(evidence.ranking.parts)
    if not names or not len(evidence.ranking.rows):
        return tuple(() for _ in evidence.ranking.rows)
    parts = np.stack([evidence.ranking.parts[name] for name in names], axis=1)
    speaking = _speaking(parts)
    nearest, gains = _nearest_viewed(evidence), _feature_gains(evidence)
    wordings = Wordings(texts)
    return tuple(
        tuple(
            wordings.reason(*_evidence_of(evidence, place, names[part], nearest, gains))
            for part in speaking[place]
        )
        for place in range(len(evidence.ranking.rows))
    )


class Wordings:
    """Words reasons, each one once: hundreds of products share a few."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._known: dict[tuple[str, Parameters], Reason] = {}

    def reason(self, code: str, parameters: Parameters) -> Reason:
        """The reason with its sentence."""
        found = self._known.get((code, parameters))
        if found is None:
            found = self._known[code, parameters] = self._word(code, parameters)
        return found

    def _word(self, code: str, parameters: Parameters) -> Reason:
        named = dict(parameters)
        special = self._texts.get(f"{code}/{named.get('feature', '')}")
        template = special or self._texts.get(code)
        # A branch that we have no words for: its name is the caller's, and no template.
        return Reason(code, parameters, code if template is None else template.format(**named))


def _speaking(parts: Doubles) -> list[list[int]]:
    """For each row of (products, parts) the columns that deserve a reason, largest first."""
    least = LEAST_SHARE * np.where(parts > 0, parts, 0).sum(axis=1, keepdims=True)
    speaks = (parts > 0) & (parts >= least)
    order = np.argsort(-parts, axis=1, kind="stable")[:, :LARGEST]
    return [
        [column for column, counts in zip(columns, marks, strict=True) if counts]
        for columns, marks in zip(
            order.tolist(), np.take_along_axis(speaks, order, axis=1).tolist(), strict=True
        )
    ]


def _evidence_of(
    evidence: Evidence, place: int, part: str, nearest: Sequence[str], gains: Doubles | None
) -> tuple[str, Parameters]:
    """Code and parameters of the reason that a part gives for a ranked product."""
    row = int(evidence.ranking.rows[place])
    if part == SESSION:
        viewed = nearest[place]
        return (
            ("SIMILAR_TO_VIEWED", (("product_id", viewed),)) if viewed else ("VIEWED_RECENTLY", ())
        )
    if part == TASTE:
        product = evidence.candidates.products[row]
        return "MATCHES_TASTE", _strongest_feature(evidence.model, product, gains)
    if part == POPULARITY:
        return "POPULAR", ()
    cosine = evidence.candidates.similarities[part][row]
    return SIMILARITY_CODES.get(part, part.upper()), (("cosine", f"{cosine:.3f}"),)


def _nearest_viewed(evidence: Evidence) -> tuple[str, ...]:
    """For each ranked product the closest other product among the viewed; "" = there is none."""
    model, viewed, items = evidence.model, evidence.shopper.viewed, evidence.ranking.items
    ids = [evidence.candidates.ids[row] for row in evidence.ranking.rows]
    if model is None or items is None or SESSION not in evidence.ranking.parts:
        return ("",) * len(ids)
    closeness = items.vectors[evidence.ranking.rows] @ _rows(model, viewed).T
    for place, item in enumerate(ids):
        if item in viewed:
            closeness[place, viewed.index(item)] = -np.inf
    best = closeness.argmax(axis=1)
    return tuple(
        viewed[column] if np.isfinite(closeness[place, column]) else ""
        for place, column in enumerate(best)
    )


def _rows(model: Model, product_ids: Sequence[str]) -> Floats:
    return model.item_vectors[[model.item_rows[item] for item in product_ids]]


def _feature_gains(evidence: Evidence) -> Doubles | None:
    """What each of the model's features adds to the shopper's taste; None without taste."""
    model, long_term = evidence.model, evidence.shopper.long_term
    if model is None or long_term is None or TASTE not in evidence.ranking.parts:
        return None
    return (model.feature_vectors @ long_term + model.feature_biases).astype(np.float64)


def _strongest_feature(model: Model | None, product: Product, gains: Doubles | None) -> Parameters:
    """The feature, other than the product itself, that adds most to the taste part."""
    if model is None or gains is None:
        return ()
    rows = [
        model.feature_rows[name]
        for name in feature_names(product, model.attribute_keys)[1:]
        if name in model.feature_rows
    ]
    best = max(rows, key=gains.__getitem__, default=None)
    if best is None or gains[best] <= 0:
        return ()
    kind, value = split(model.feature_names[best])
    return (("feature", kind), ("value", value))
