"""Names of the features of a product, from which a model learns.

A feature is named ``kind=value``: ``id=100062``, ``category=Wine > Red`` (and ``category=Wine``),
``brand=Casa Valduga``, ``price_band=EUR:10``, ``tag=Beef``, for requested attributes
``attribute.country=Brazil`` and, for words of a model's vocabulary, ``word=reserva``. Training and
serving both use this module, so that a product added after training is represented as in training.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ranker.domain.arrays import Flags, Floats
from sightline_rules.categories import ancestors
from sightline_rules.words import words_of

ID_KIND = "id"
CATEGORY_KIND, BRAND_KIND, PRICE_KIND, TAG_KIND = "category", "brand", "price_band", "tag"
ATTRIBUTE_KIND = "attribute."
"""Prefix, followed by the attribute's key."""
LOOK_KIND = "look"
"""Its value is the most typical product of a group that looks similar; for display only."""
WORD_KIND = "word"
"""Word of a title; it moves scores but is no reason, and is not shown in profiles."""
STYLE_KIND = "style"
"""Contribution of a photo; models before 0.14 have features ``style=00`` and so on."""

MOST_OF_TITLE = 32
"""Maximum number of different words of one title, the first ones."""
MOST_WORDS = 4_000
"""Maximum number of words of a catalog's vocabulary, those of most products."""
LEAST_PRODUCTS, MOST_PRODUCTS = 2, 0.02
"""Minimum number and maximum share of the products with a word of the vocabulary: more frequent
words, such as articles, tell little. Catalogs of fewer than 100 products have no vocabulary."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in millionths of the currency's unit."""

    micros: int
    currency: str


@dataclass(frozen=True, slots=True)
class Product:
    """Properties of a product from which a model can learn."""

    product_id: str
    category: str = ""
    """Path from the topmost level down, levels joined by " > "; empty if uncategorised."""
    brand: str = ""
    price: Money | None = None
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    """Text attributes as (key, value); a key may repeat."""
    title: str = ""
    """Empty if unknown."""


@dataclass(frozen=True, slots=True)
class PhotoVectors:
    """Photo vectors of products, one for each, in the retriever's visual space."""

    product_ids: tuple[str, ...]
    """Sorted; without products that have no photo."""
    vectors: Floats
    """(products, dimension)"""
    space_version: str


def feature_names(
    product: Product, attribute_keys: Sequence[str], vocabulary: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the product's features, sorted without duplicates, its id's first. `vocabulary`: words
    of titles that become features; empty: none."""
    names = {f"category={path}" for path in ancestors(product.category)}
    names.update(f"tag={tag}" for tag in product.tags)
    names.update(
        f"attribute.{key}={value}" for key, value in product.attributes if key in attribute_keys
    )
    if product.brand:
        names.add(f"brand={product.brand}")
    if product.price is not None:
        names.add(f"price_band={price_band(product.price)}")
    if vocabulary:
        words = (word for word in title_words(product.title) if word in vocabulary)
        names.update(f"{WORD_KIND}={word}" for word in words)
    return (f"{ID_KIND}={product.product_id}", *sorted(names))


def title_words(title: str) -> tuple[str, ...]:
    """Return the different words of a title in their order, at most MOST_OF_TITLE, cut and folded
    as for searches by words."""
    return tuple(dict.fromkeys(words_of(title)))[:MOST_OF_TITLE]


def vocabulary_of(products: Iterable[Product]) -> frozenset[str]:
    """Return the words of titles that become features: those of at least LEAST_PRODUCTS products
    and at most MOST_PRODUCTS of them. If more than MOST_WORDS qualify, those of most products, ties
    by alphabet."""
    counts, total = Counter[str](), 0
    for product in products:
        counts.update(title_words(product.title))
        total += 1
    most = MOST_PRODUCTS * total
    known = [word for word, count in counts.items() if LEAST_PRODUCTS <= count <= most]
    return frozenset(sorted(known, key=lambda word: (-counts[word], word))[:MOST_WORDS])


def vocabulary_in(names: Iterable[str]) -> frozenset[str]:
    """Return the words of titles among the names of features."""
    prefix = f"{WORD_KIND}="
    return frozenset(name.removeprefix(prefix) for name in names if name.startswith(prefix))


@dataclass(frozen=True, slots=True)
class FeatureKinds:
    """Kinds of a model's features."""

    ids: Flags
    """(features,) ids of products"""
    unnamed: Flags
    """(features,) ids of products and words of titles, which are no reasons"""
    has_styles: bool
    """True if axes of the style are among them."""


def kinds_in(names: Sequence[str]) -> FeatureKinds:
    """Return the kinds of the features of these names."""
    kinds = [name.partition("=")[0] for name in names]
    ids = np.array([kind == ID_KIND for kind in kinds], bool)
    words = np.array([kind == WORD_KIND for kind in kinds], bool)
    return FeatureKinds(ids, ids | words, STYLE_KIND in kinds)


def shopper_feature_names(attributes: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the features of a shopper's attributes, sorted: ``age_band=25-34``."""
    return tuple(sorted({f"{key}={value}" for key, value in attributes}))


def price_band(price: Money) -> str:
    """Return the price's half-octave within its currency: bands begin near 10, 14.1, 20, 28.3,
    … They grow with the price, because one euro means more at 5 than at 500."""
    if price.micros <= 0:
        return f"{price.currency}:free"
    return f"{price.currency}:{math.floor(2 * math.log2(price.micros / 1e6))}"


def price_range(band: str) -> tuple[Money, Money]:
    """Return the least price of a band and that of the next, rounded to a hundredth; twice 0 for
    free products. ValueError unless `price_band` made it."""
    currency, _, number = band.partition(":")
    if number == "free":
        return Money(0, currency), Money(0, currency)
    ends = (2 ** ((int(number) + more) / 2) for more in (0, 1))
    least, below = (Money(round(end * 100) * 10_000, currency) for end in ends)
    return least, below


def split(name: str) -> tuple[str, str]:
    """Return a feature's kind, without the prefix of attributes, and its value."""
    kind, _, value = name.partition("=")
    return kind.removeprefix("attribute."), value
