"""Small training data: an invented shop of two tastes, and the example's wines."""

from collections.abc import Sequence

import numpy as np

from examples.wines import catalogue
from ranker.domain.events import EventType, Interaction
from ranker.domain.features import Money, PhotoVectors, Product
from ranker.domain.log import EventColumns
from ranker.domain.model import Model
from ranker.domain.recipe import Recipe
from ranker.learning.training.fitting import fitted
from ranker.learning.training.training_data import Given
from tests.fakes.ranker import did, product

RECIPE = Recipe(dimension=8, epochs=4)

PRODUCTS = [product(f"r{n}", "Red", brand="A") for n in range(5)] + [
    product(f"w{n}", "White", brand="B") for n in range(5)
]
EVENTS = [
    did(f"{kind}-{person}", f"{kind}{(person + n) % 4}", EventType.PURCHASE, at=n)
    for kind in "rw"
    for person in range(8)
    for n in range(3)
]
"""Half of the shoppers buy red wines, the others white ones; no shopper buys r4 or w4."""


def wines() -> tuple[list[Product], list[Interaction]]:
    """Return the example's wines and ratings."""
    products = [
        Product(
            wine.id,
            wine.type,
            wine.brand,
            Money(int(wine.price * 1_000_000), wine.currency),
            wine.tags,
            (
                ("country", wine.attributes.country),
                *(("grape", grape) for grape in wine.attributes.grapes),
            ),
        )
        for wine in catalogue.load_wines()
    ]
    events = [
        Interaction(
            rating.user_id,
            rating.wine_id,
            EventType.RATING,
            rating.value,
            int(rating.time.timestamp() * 1e6),
            rating.event_id,
        )
        for rating in catalogue.load_ratings()
    ]
    return products, events


def drawn_vectors(products: Sequence[Product], dimension: int = 12) -> PhotoVectors:
    """Return photo vectors that distinguish categories, drawn from a seed; the last product has no
    photo."""
    rng = np.random.default_rng(5)
    ids = sorted(one.product_id for one in products)[:-1]
    kinds = {one.product_id: one.category for one in products}
    centres = {kind: rng.standard_normal(dimension) for kind in sorted({*kinds.values()})}
    rows = [centres[kinds[item]] + 0.1 * rng.standard_normal(dimension) for item in ids]
    return PhotoVectors(tuple(ids), np.array(rows, np.float32), "v1")


def fit(
    log: EventColumns,
    products: Sequence[Product],
    recipe: Recipe,
    *,
    attributes=None,
    **given: object,
) -> Model:
    """Return only the model of a training on these inputs."""
    progress = given.pop("progress", None)
    return fitted(
        Given(log, products, attributes=attributes or {}, **given), recipe, progress
    ).model
