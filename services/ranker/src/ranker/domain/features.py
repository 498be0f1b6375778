"""Names of the features of a product, from which a model learns.

A feature is named ``kind=value``: ``id=100062``, ``category=Wine > Red`` (and ``category=Wine``),
``brand=Casa Valduga``, ``price_band=EUR:10``, ``tag=Beef`` and, for requested attributes,
``attribute.country=Brazil``. Training and serving both use this module, so that a product added
after training is represented as in training.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ranker.domain.arrays import Floats
from sightline_rules.categories import ancestors

ID_KIND = "id"
CATEGORY_KIND, BRAND_KIND, PRICE_KIND, TAG_KIND = "category", "brand", "price_band", "tag"
ATTRIBUTE_KIND = "attribute."
"""Prefix, followed by the attribute's key."""
LOOK_KIND = "look"
"""Its value is the most typical product of a group that looks similar; for display only."""
STYLE_KIND = "style"
"""Contribution of a photo; models before 0.14 have features ``style=00`` and so on."""


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


@dataclass(frozen=True, slots=True)
class PhotoVectors:
    """Photo vectors of products, one for each, in the retriever's visual space."""

    product_ids: tuple[str, ...]
    """Sorted; without products that have no photo."""
    vectors: Floats
    """(products, dimension)"""
    space_version: str


def feature_names(product: Product, attribute_keys: Sequence[str]) -> tuple[str, ...]:
    """Return the product's features, sorted without duplicates, its id's first."""
    names = {f"category={path}" for path in ancestors(product.category)}
    names.update(f"tag={tag}" for tag in product.tags)
    names.update(
        f"attribute.{key}={value}" for key, value in product.attributes if key in attribute_keys
    )
    if product.brand:
        names.add(f"brand={product.brand}")
    if product.price is not None:
        names.add(f"price_band={price_band(product.price)}")
    return (f"{ID_KIND}={product.product_id}", *sorted(names))


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
