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

from ranker.features import ID_KIND, feature_names, split
from ranker.model import Doubles, Floats, Model, Product, Reason
from ranker.profiles import Profile
from ranker.rank import POPULARITY, SESSION, TASTE, Candidates, Ranking, represent

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
    profile: Profile
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
    nearest = _nearest_viewed(evidence)
    return tuple(
        tuple(
            _worded(*_reason(evidence, place, names[part], nearest), texts)
            for part in _speaking(parts[place])
        )
        for place in range(len(evidence.ranking.rows))
    )


def _speaking(parts: Doubles) -> list[int]:
    """Indices of the parts that deserve a reason, largest first."""
    total = parts[parts > 0].sum()
    order = np.argsort(-parts, kind="stable")[:LARGEST]
    return [int(part) for part in order if parts[part] > 0 and parts[part] >= LEAST_SHARE * total]


def _reason(
    evidence: Evidence, place: int, part: str, nearest: Sequence[str]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    row = int(evidence.ranking.rows[place])
    if part == SESSION:
        viewed = nearest[place]
        return (
            ("SIMILAR_TO_VIEWED", (("product_id", viewed),)) if viewed else ("VIEWED_RECENTLY", ())
        )
    if part == TASTE:
        return "MATCHES_TASTE", _strongest_feature(evidence, evidence.candidates.products[row])
    if part == POPULARITY:
        return "POPULAR", ()
    cosine = evidence.candidates.similarities[part][row]
    return SIMILARITY_CODES.get(part, part.upper()), (("cosine", f"{cosine:.3f}"),)


def _nearest_viewed(evidence: Evidence) -> tuple[str, ...]:
    """For each ranked product the closest other product among the viewed; "" = there is none."""
    model, viewed = evidence.model, evidence.profile.viewed
    products = [evidence.candidates.products[row] for row in evidence.ranking.rows]
    if model is None or not viewed or SESSION not in evidence.ranking.parts:
        return ("",) * len(products)
    vectors, _ = represent(products, model)
    closeness = vectors @ _rows(model, viewed).T
    for place, product in enumerate(products):
        if product.product_id in viewed:
            closeness[place, viewed.index(product.product_id)] = -np.inf
    best = closeness.argmax(axis=1)
    return tuple(
        viewed[column] if np.isfinite(closeness[place, column]) else ""
        for place, column in enumerate(best)
    )


def _rows(model: Model, product_ids: Sequence[str]) -> Floats:
    return model.item_vectors[[model.item_rows[item] for item in product_ids]]


def _strongest_feature(evidence: Evidence, product: Product) -> tuple[tuple[str, str], ...]:
    """The feature, other than the product itself, that adds most to the taste part."""
    model, long_term = evidence.model, evidence.profile.long_term
    if model is None or long_term is None:
        return ()
    names = [
        name
        for name in feature_names(product, model.attribute_keys)
        if name in model.feature_rows and split(name)[0] != ID_KIND
    ]
    if not names:
        return ()
    rows = [model.feature_rows[name] for name in names]
    gains = model.feature_vectors[rows] @ long_term + model.feature_biases[rows]
    best = int(gains.argmax())
    if gains[best] <= 0:
        return ()
    kind, value = split(names[best])
    return (("feature", kind), ("value", value))


def _worded(code: str, parameters: tuple[tuple[str, str], ...], texts: Mapping[str, str]) -> Reason:
    named = dict(parameters)
    template = texts.get(f"{code}/{named.get('feature', '')}") or texts.get(code, code)
    return Reason(code, parameters, template.format(**named) if "{" in template else template)
